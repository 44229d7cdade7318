"""The embedded sample data of a batch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from human_edge_detection.experiments.schema.experiment import SampleDataConfig
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runs.paths import sample_data_dir

logger = logging.getLogger(__name__)


def make_sample_data(plan: Sequence[PlannedRun], output_dir: Path) -> None:
    """Draws the embedded sample data that runs of ``plan`` train on, each kind once, before the first child starts."""
    samples = dict.fromkeys(run.config.data.sample for run in plan if not run.finished)
    for sample in samples:
        if sample is not None:
            draw_sample_data(sample, output_dir)


def draw_sample_data(sample: SampleDataConfig, output_dir: Path) -> Path:
    """Draws ``sample`` to where runs below ``output_dir`` look for it, unless it is there; returns the folder.

    Raises:
        DataError: Something else is there.
    """
    from human_edge_detection.data.drawn.data_set import write_sample_people

    root = sample_data_dir(output_dir, sample)
    logger.info("sample data: %s", root)
    return write_sample_people(root, **dict(sample))
