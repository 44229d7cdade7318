"""Training on views that are made in other ways than the built-in one, from the command line."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from pipelines import transform, write_pipeline

from human_edge_detection.cli.main import main
from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.runs.paths import RunPaths

SMALL = [
    "--epochs",
    "1",
    "--batch_size",
    "2",
    "--encoder_weights",
    "none",
    "--precision",
    "fp32",
    "--set",
    "training.visualize_images=0",
    "--set",
    "model.image_size=[64,64]",
    "--set",
    "model.roi_size=[16,12]",
    "--set",
    "model.mask_size=[32,24]",
    "--set",
    "data.sample.train_images=6",
    "--set",
    "data.sample.val_images=2",
]


def weights(run: Path) -> Mapping[str, torch.Tensor]:
    return read_checkpoint(RunPaths(run).latest)[0].model


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pipeline=pipeline.json", "copy_paste={}"])
def test_workers_make_no_difference(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pipeline(Path("pipeline.json"), transform("HorizontalFlip", p=0.5), transform("Affine", rotate=[-20, 20]))
    command = ["train", "--config", "quickstart_student_b0", *SMALL, "--set", f"data.augmentation.{way}"]
    assert main([*command, "--output_dir", "alone", "--num_workers", "0"]) == 0
    assert main([*command, "--output_dir", "helped", "--num_workers", "2"]) == 0
    alone, helped = weights(Path("alone/quickstart_student_b0")), weights(Path("helped/quickstart_student_b0"))
    assert alone
    assert all(torch.equal(alone[name], helped[name]) for name in alone)
