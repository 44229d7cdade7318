"""Scores of exported files are those of ``hed evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from constant_models import OURS, constant_model
from numpy.typing import NDArray

from human_edge_detection.cli.main import main
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import build_model, build_validation_set
from human_edge_detection.engine.evaluation.evaluate import evaluate, predictor
from human_edge_detection.engine.evaluation.evaluate_exported import score
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.exporters.exportable import ExportableStudent
from human_edge_detection.files.data_folder import find_split
from human_edge_detection.files.write import write_json
from human_edge_detection.metrics.coco_ap import CocoMaskAp
from human_edge_prediction.description import ImageInput
from human_edge_prediction.models.own import OwnModel

SIZE = (1, 3, 64, 64)


class Network(OwnModel):
    """A network of PyTorch in the place of the file that would be exported from it."""

    def __init__(self, config: ExperimentConfig) -> None:
        torch.manual_seed(0)
        self.student = ExportableStudent(build_model(config.model)).eval()
        self.input = ImageInput(size=config.model.image_size)
        self._takes_rois, self._finds_persons, self._mask_size = True, False, config.model.mask_size

    @property
    def mask_size(self) -> tuple[int, int]:
        return self._mask_size

    @torch.no_grad()
    def run(self, images: NDArray[np.float32], rois: NDArray[np.float32]) -> dict[str, Any]:
        masks, people = self.student(torch.from_numpy(images), torch.from_numpy(rois))
        return {"masks": masks.numpy(), "binary_masks": people.numpy()}


@pytest.mark.usefixtures("small_networks")
def test_an_export_scores_as_the_network_that_it_was_made_from(tiny_config: ExperimentConfig, tiny_coco: Path) -> None:
    people = read_annotations(*find_split(tiny_coco, "val"))
    model = Network(tiny_config)
    images = []
    found = score(model, people, after_image=lambda: images.append(1))
    expected = evaluate(
        predictor(model.student.model),
        validation_batches(build_validation_set(tiny_config.model, people), batch_size=3, num_workers=0),
        device=torch.device("cpu"),
        precision="fp32",
        mask_size=tiny_config.model.mask_size,
        coco_ap=CocoMaskAp(people.file),
    )
    assert found == pytest.approx(expected, abs=1e-4)
    assert {"miou", "AP", "full_image_iou"} <= found.keys()
    assert len(images) == len(people.images)


def sure_of_everything(path: Path, **metadata: str) -> Path:
    """A file that sees a person at every pixel, and finds one whose box is the image."""
    masks = np.zeros((1, 3, 32, 24), np.float32)
    masks[:, 1] = 9.0
    outputs = {
        "boxes": np.array([[0, 0, 0, 1, 1]], np.float32),
        "scores": np.array([0.9], np.float32),
        "masks": masks,
        "binary_masks": np.full((1, 1, 64, 64), 0.99, np.float32),
    }
    return constant_model(path, outputs, shape=SIZE, metadata={**OURS, **metadata})


def evaluated(capsys: pytest.CaptureFixture[str], tmp_path: Path, file: Path, *arguments: str) -> dict[str, Any]:
    output = tmp_path / "evaluation.json"
    assert main(["evaluate", "--model", str(file), "--num_workers", "0", "--json", str(output), *arguments]) == 0
    assert str(file) in capsys.readouterr().out.replace("\n", "")
    found: dict[str, Any] = json.loads(output.read_text())
    return found


def test_a_file_that_finds_persons_is_scored_in_its_own_boxes(
    tiny_coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sure_of_everything(
        tmp_path / "best_model.detect.onnx", experiment="tiny", epoch="3", checkpoint_sha256="a" * 64
    )
    found = evaluated(capsys, tmp_path, file, "--data_root", str(tiny_coco))
    assert (found["experiment"], found["epoch"], found["checkpoint_sha256"]) == ("tiny", 3, "a" * 64)
    assert (found["model"], found["checkpoint"], found["images"]) == (str(file), None, 4)
    metrics = found["metrics"]
    assert metrics["box_AP50"] == 0.0, "no person is as large as the image"
    assert metrics["own_mask_AP50"] == 0.0
    assert 0.0 < metrics["full_image_iou"] < 0.5
    assert metrics["miou"] is None
    assert "given_mask_AP50" not in metrics, "it was not asked about the true boxes"


def test_the_run_around_a_file_says_which_data_it_has(
    tiny_config: ExperimentConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    write_json(run / "config.json", tiny_config.model_dump(mode="json"))
    (run / "checkpoints").mkdir()
    file = sure_of_everything(run / "checkpoints" / "best_model.onnx")
    assert evaluated(capsys, tmp_path, file)["images"] == 4
    assert evaluated(capsys, tmp_path, file, "--split", "train")["images"] == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "gone.onnx"], "no such file"),
        (["--model", "text.onnx"], "cannot open it"),
        (["--model", "best.pth"], "ends in .onnx, .tflite or .xml"),
        (["--model", "theirs.onnx"], "was not exported by human-edge-detection"),
        (["--model", "ours.onnx"], "nothing says where the data are; give --data_root DIR"),
        (["--model", "ours.onnx", "--data_root", "."], "."),
        (["--model", "ours.onnx", "--batch_size", "2"], "--batch_size: is of networks in PyTorch"),
        (["--model", "ours.onnx", "--precision", "bf16"], "--precision: is of networks in PyTorch"),
        (["--model", "ours.onnx", "--num_workers", "-1"], "--num_workers"),
        (["--model", "ours.onnx", "a_run"], "RUN and --model FILE: both say which model"),
        (["--model", "ours.onnx", "--checkpoint", "a.pth"], "--checkpoint and --model FILE"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    sure_of_everything(tmp_path / "ours.onnx")
    constant_model(tmp_path / "theirs.onnx", {"person": np.zeros((1, 2), np.float32)})
    for name in ("text.onnx", "best.pth"):
        (tmp_path / name).write_text("no model")
    assert main(["evaluate", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
