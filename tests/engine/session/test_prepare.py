import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pipelines import transform, write_pipeline

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


def test_built_in_views_beside_a_pipeline_are_warned_about(
    tiny_config: ExperimentConfig, train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write_pipeline(tmp_path / "pipeline.json", transform("HorizontalFlip", p=0.5))
    views = {"pipeline": str(file), "rotate": 20.0, "blur": 0.0, "box_jitter": 0.2}
    config = derive(tiny_config, name="views", data={"augmentation": views}, training={"epochs": 1})
    assert train(config, RunPaths(tmp_path / "run")).metrics["miou"] is not None
    unused = "data.augmentation.rotate, data.augmentation.blur: no effect beside data.augmentation.pipeline"
    assert unused in caplog.text
