import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from human_edge_detection.cli.main import main
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive

ROI_METRICS = ("miou", "iou_target", "target_iou_per_roi", "boundary_f1", "AP", "AP50", "AP_medium")


@pytest.fixture
def checkpoint(tiny_config: ExperimentConfig, tmp_path: Path) -> Path:
    return save(tiny_config, tmp_path / "tiny.pth")


def save(config: ExperimentConfig, path: Path) -> Path:
    """A model that calls every pixel of a box the target, and every pixel of the image a person."""
    model = build_model(config.model)
    state = {
        name: torch.zeros_like(value) if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    state["unet.unet.segmentation_head.0.bias"].fill_(5.0)
    if model.head is not None:
        state["head.correction.bias"][1] = 9.0
    save_checkpoint(path, Checkpoint(config, state, 2, {}, "data"))
    return path


def evaluate(checkpoint: Path, tmp_path: Path, *arguments: str) -> dict[str, Any]:
    output = tmp_path / "out" / "evaluation.json"
    command = ["evaluate", "--checkpoint", str(checkpoint), "--num_workers", "0", "--json", str(output), *arguments]
    assert main(command) == 0
    assert [file.name for file in output.parent.iterdir()] == [output.name]
    report: dict[str, Any] = json.loads(output.read_text())
    return report


def test_every_metric_of_a_model_that_fills_the_boxes(
    checkpoint: Path, tiny_coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluate(checkpoint, tmp_path)
    shown = capsys.readouterr().out
    metrics = report["metrics"]
    annotations = tiny_coco / "annotations" / "instances_val.json"
    persons = json.loads(annotations.read_text())["annotations"]
    assert (report["experiment"], report["epoch"]) == ("tiny", 2)
    assert report["checkpoint_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert report["data_fingerprint"] == hashlib.sha256(annotations.read_bytes()).hexdigest()
    assert (report["images"], report["persons"]) == (4, len(persons))
    # An upright ellipse fills pi/4 of its box, so it counts as found at IoU 0.50 to 0.75, at 6 of COCO's 10 thresholds.
    assert metrics["target_iou_per_roi"] == pytest.approx(0.785, abs=0.03)
    assert (metrics["iou_background"], metrics["iou_nontarget"]) == (0.0, 0.0)
    assert (metrics["AP50"], metrics["AP75"]) == (1.0, 1.0)
    assert metrics["AP"] == pytest.approx(0.6)
    assert metrics["AP_large"] is None, "an image of 96 x 128 has no large person here"
    assert 0.0 < metrics["full_image_iou"] < 0.5
    for name, value in metrics.items():
        assert name in shown
        assert value is None or f"{value:.4f}" in shown


def test_no_metric_depends_on_the_batches(checkpoint: Path, tmp_path: Path) -> None:
    one = evaluate(checkpoint, tmp_path, "--batch_size", "1")["metrics"]
    assert one == evaluate(checkpoint, tmp_path, "--batch_size", "3")["metrics"]


def test_split_and_data_flags_choose_the_images(checkpoint: Path, tiny_coco: Path, tmp_path: Path) -> None:
    assert evaluate(checkpoint, tmp_path, "--split", "train")["images"] == 8
    files = ("--val_ann", str(tiny_coco / "annotations/instances_train.json"))
    assert evaluate(checkpoint, tmp_path, *files, "--val_images", str(tiny_coco / "images/train"))["images"] == 8
    assert evaluate(checkpoint, tmp_path, "--data_root", str(tiny_coco))["images"] == 4


def test_a_model_without_roi_head_is_measured_on_the_full_image(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    config = derive(tiny_config, name="unet", model={"head": "none"})
    metrics = evaluate(save(config, tmp_path / "unet.pth"), tmp_path)["metrics"]
    assert {metrics[name] for name in ROI_METRICS} == {None}
    assert 0.0 < metrics["full_image_iou"] < 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_size", "0"], "--batch_size"),
        (["--num_workers", "-1"], "--num_workers"),
        (["--precision", "fp16", "--device", "cpu"], "fp16"),
        (["--train_ann", "a.json", "--train_images", "b"], "val"),
        (["--json", "."], "folder"),
        (["--val_ann", "a.json", "--val_images", "."], "a.json"),
        (["--split", "test"], "no test annotations; tried annotations/instances_test_person.json, "),
        (["--split", "test", "--test_ann", "a.json"], "give both --test_ann FILE and --test_images DIR"),
        (["--split", "foo"], "argument --split: invalid choice: 'foo'"),
    ],
)
def test_mistakes_are_one_line(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["evaluate", "--checkpoint", str(checkpoint), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_test_split_is_held_against_what_the_model_has_seen(
    checkpoint: Path, tested_coco: Path, tiny_coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = evaluate(checkpoint, tmp_path, "--split", "test", "--data_root", str(tested_coco))
    assert (fresh["split"], fresh["images"], fresh["also_in"]) == ("test", 4, {"train": 0, "val": 0})
    assert fresh["scores_file"] is None, "a checkpoint that is no run's best"
    shown = capsys.readouterr()
    assert "4 test images" in shown.out
    assert "test: nothing was trained or chosen on test" in shown.out
    val = ("--test_ann", str(tiny_coco / "annotations/instances_val.json"), "--test_images", f"{tiny_coco}/images/val")
    assert evaluate(checkpoint, tmp_path, "--split", "test", *val)["also_in"] == {"train": 0, "val": 4}
    shown = capsys.readouterr()
    assert "4 of 4 images of test are also in val, byte for byte" in shown.err
    assert "test: some images are also in other splits (4 in val): these scores say little about new ones" in shown.out
    assert "nothing was trained" not in shown.out
    assert evaluate(checkpoint, tmp_path)["split"] == "val"
    assert "the best epoch was chosen on val" in capsys.readouterr().out
