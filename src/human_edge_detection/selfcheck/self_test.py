"""The self-test of ``hed doctor``: a tiny training on this machine, killed, resumed, exported and compared."""

from __future__ import annotations

import logging
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from human_edge_detection.errors import HumanEdgeDetectionError, StorageError
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.write import delete_folder
from human_edge_detection.runner.execution.launch import export_command
from human_edge_detection.runs.records import ParityReport, read_section

logger = logging.getLogger(__name__)

_BASE: Final = "quickstart_student_b0"
_KILLS: Final = 1


def tiny_experiment() -> ExperimentConfig:
    """A real experiment on the sample data, as small as it gets; one data worker, so that its way is tried too."""
    return derive(
        get_config(_BASE),
        name="self_test",
        data={"sample": {"image_size": [96, 128]}, "num_workers": 1},
        model={"encoder": "mobilenet_v2", "image_size": [64, 64], "roi_size": [16, 12], "mask_size": [32, 24]},
        training={"batch_size": 2, "deterministic": True},
    )


def self_test(folder: Path) -> str:
    """Trains, kills, resumes, compares and exports in a new folder below ``folder``, which is deleted again.

    Every step raises when something is not as it should be: a loss that is not finite, a checkpoint that does not
    read back, a resumed run that ends in other weights, an exported model with other outputs.

    Returns:
        What was done, in words.

    Raises:
        HumanEdgeDetectionError: What failed.
    """
    from human_edge_detection.selfcheck.verify_resume import verify_resume

    try:
        place = Path(tempfile.mkdtemp(prefix="hed_doctor_", dir=folder))
    except OSError as error:
        raise StorageError(f"{folder} cannot be written ({error.strerror})") from error
    started = time.monotonic()
    try:
        resumed = verify_resume(tiny_experiment(), place, kills=_KILLS)
        if resumed.difference is not None:
            raise HumanEdgeDetectionError(f"a resumed run is not identical: {resumed.difference}")
        parity = _export(resumed.run.best, resumed.run.parity)
    finally:
        delete_folder(place)
    return (
        f"{time.monotonic() - started:.0f} s on {resumed.device}: trained {resumed.steps} steps, killed, resumed to "
        f"the same {resumed.tensors} tensors, exported ({parity.in_words})"
    )


def _export(checkpoint: Path, report: Path) -> ParityReport:
    logger.info("exporting to ONNX")
    ended = subprocess.run(export_command(checkpoint), capture_output=True, text=True, check=False)
    parity = read_section(ParityReport, report)
    if ended.returncode != 0 or parity is None:
        said = ended.stderr.strip().splitlines() or ["it said nothing"]
        raise HumanEdgeDetectionError(f"the export ended with exit code {ended.returncode} ({said[-1]})")
    return parity
