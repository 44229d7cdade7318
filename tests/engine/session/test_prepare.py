import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult

Train = Callable[..., RunResult]


def test_a_run_of_a_gpu_goes_on_where_its_precision_does_not_exist(
    tiny_config: ExperimentConfig, train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """``auto`` was fp16 on a GPU that has no bf16; a CPU has no fp16 to train in."""
    paths, config = RunPaths(tmp_path / "run"), derive(tiny_config, name="moved", training={"precision": "auto"})
    train(derive(config, name="moved", training={"epochs": 1}), paths)
    checkpoint, _ = read_checkpoint(paths.latest)
    assert checkpoint.training is not None
    scaler = {
        "scale": 512.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 2000,
        "_growth_tracker": 0,
    }
    save_checkpoint(
        paths.latest, replace(checkpoint, training={**checkpoint.training, "precision": "fp16", "scaler": scaler})
    )
    assert train(derive(config, name="moved", training={"epochs": 2}), paths).epochs == 2
    assert "this run was trained in fp16 until now, which is not for cpu: it goes on in fp32" in caplog.text
    assert json.loads(paths.provenance.read_text())["precision"] == "fp32"
