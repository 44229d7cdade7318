"""What some steps of a training take: measured in a child, so that its peak memory is that of them alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from human_edge_detection.errors import ConfigError, TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_json
from human_edge_detection.runner import PROBE
from human_edge_detection.runner.execution.launch import launch
from human_edge_detection.runs.checkpoint_config import config_in_checkpoint
from human_edge_detection.runs.records import Probe, ProbeReport, ProbeRequest, read_section

REQUEST: Final = "request.json"
REPORT: Final = "report.json"


_STEPS: Final = 5
"""Of :func:`measure_training`, after one to warm up."""


def measure_training(config: ExperimentConfig, teacher: ExperimentConfig | None) -> Probe:
    """What five training steps of ``config`` take, with its own batch size.

    Args:
        config: With its data.
        teacher: The experiment that its teacher is of, where it has one; further teachers are those that it names.

    Raises:
        ConfigError: This training could not be started: its data, its device.
        CheckpointError: A teacher's checkpoint cannot be read.
        TrainingError: It does not fit into memory.
        KeyboardInterrupt: This process was asked to end meanwhile.
    """
    section, size = config.distillation, config.training.batch_size
    others = () if section is None else section.own_teacher_paths[1:]
    teachers = () if teacher is None else (teacher, *map(config_in_checkpoint, others))
    found = probe(ProbeRequest(config=config, teachers=teachers, batch_sizes=(size,), steps=_STEPS))
    if not found:
        raise TrainingError(
            f"training with {size} images in a batch does not fit into the memory here; lower --batch_size, "
            "model.image_size or data.max_rois_per_image"
        )
    return found[0]


def probe(request: ProbeRequest) -> Sequence[Probe]:
    """What the child finds that measures ``request``, one probe for each batch size that fits, ascending.

    It ends before the first batch size that might not fit; it is empty when none does.

    Raises:
        ConfigError: This training could not be started: its data, its device.
        TrainingError: The child ended in a bug.
        KeyboardInterrupt: This process was asked to end meanwhile.
    """
    with TemporaryDirectory(prefix="hed_probe_") as folder:
        write_json(Path(folder, REQUEST), request.model_dump(mode="json"))
        ended = launch([sys.executable, "-m", "human_edge_detection", PROBE, folder])
        if ended.interrupt is not None:
            raise ended.interrupt
        report = read_section(ProbeReport, Path(folder, REPORT)) or ProbeReport()
    if report.error is not None:
        raise ConfigError(report.error)
    if ended.returncode > 0:
        raise TrainingError(f"the process that measures training ended with exit code {ended.returncode}")
    return report.probes  # killed by a signal: most likely by the system, for want of memory
