"""``hed quantize`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from constant_models import OURS, constant_model
from onnx import helper
from small_exports import SAID, small_export

from human_edge_detection.api import quantization
from human_edge_detection.cli.main import main
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.exporters.quantization.report import Speed
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.paths import RunPaths


@pytest.fixture
def run(tmp_path: Path, tiny_config: ExperimentConfig) -> RunPaths:
    """A run that was exported."""
    paths = RunPaths(tmp_path / "experiments" / "tiny")
    write_json(paths.config, tiny_config.model_dump(mode="json"))
    small_export(paths.onnx)
    return paths


def faster(first: Path, second: Path) -> Speed:
    return Speed(3.0, 2.0, 1, 3, "a processor")


def slower(first: Path, second: Path) -> Speed:
    return Speed(2.0, 3.0, 1, 3, "a processor")


def test_a_run_is_quantised_and_scored_as_the_command_says(
    run: RunPaths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quantization, "_race", faster)
    where = ["--output_dir", str(run.root.parent), "--max_loss", "1"]
    assert main(["quantize", "tiny", *where]) == 0
    out = capsys.readouterr().out
    made = run.onnx.with_name("best_model.int8.onnx")
    report = json.loads(run.quantization.read_text())
    assert "layers in int8: 4 of 4" in out
    assert f"speed: {1.5:.2f} times as fast" in out
    assert str(made) in out
    evaluated = run.root / "evaluation.json"
    assert main(["evaluate", "--model", str(made), "--num_workers", "0", "--json", str(evaluated)]) == 0
    metrics = json.loads(evaluated.read_text())["metrics"]
    assert {name: metrics[name] for name in report["int8_metrics"]} == report["int8_metrics"]
    assert main(["quantize", str(made)]) == 2
    assert "is quantised already" in capsys.readouterr().err


def test_files_of_other_formats_are_refused_before_anything_is_measured(
    run: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(run.onnx)
    helper.set_model_props(model, {**SAID, "format": "onnx-portable"})
    portable = run.onnx.with_name("best_model.portable.onnx")
    onnx.save(model, str(portable))
    assert main(["quantize", str(portable)]) == 2
    assert "is of --format onnx-portable; only those of --format onnx are quantised" in capsys.readouterr().err


def test_a_refusal_is_one_line(
    run: RunPaths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quantization, "_race", slower)
    assert main(["quantize", str(run.onnx), "--max_loss", "1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("error: ")
    assert "not faster on this machine" in err
    assert [file.name for file in run.checkpoints.iterdir()] == ["best_model.onnx"]
    assert "not faster" in json.loads(run.quantization.read_text())["problem"]


def prepared(folder: Path, empty: Path) -> None:
    small_export(folder / "ours.onnx")
    constant_model(folder / "theirs.onnx", {"person": np.zeros((1, 2), np.float32)})
    outputs = {"binary_masks": np.zeros((1, 1, 64, 64), np.float32)}
    constant_model(folder / "constant.onnx", outputs, shape=(1, 3, 64, 64), metadata=OURS)
    found = {"boxes": np.zeros((1, 5)), "scores": np.zeros(1), "masks": np.zeros((1, 3, 4, 4)), **outputs}
    arrays = {name: np.asarray(value, np.float32) for name, value in found.items()}
    constant_model(folder / "ours.detect.onnx", arrays, shape=(1, 3, 64, 64), metadata=OURS)
    free = onnx.load(small_export(folder / "free.onnx"))
    for side in free.graph.input[0].type.tensor_type.shape.dim[2:]:
        side.dim_param = "side"
    del free.graph.output[1].type.tensor_type.shape.dim[2:]
    helper.set_model_props(free, OURS)
    onnx.save(free, folder / "free.onnx")
    (folder / "text.onnx").write_text("no model")
    (folder / "not_exported").mkdir()
    (folder / "not_exported" / "status.json").write_text("{}")
    content = json.loads((empty / "annotations" / "instances_train.json").read_text())
    content["annotations"] = content["annotations"][:1]
    (folder / "empty.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.onnx"], "no such file"),
        (["text.onnx"], "cannot open it"),
        (["theirs.onnx"], "was not exported by human-edge-detection"),
        (["constant.onnx"], "has no convolution"),
        (["ours.detect.onnx"], "finds the persons itself; give best_model.onnx beside it"),
        (["free.onnx"], "which this version does not know"),
        (["a.pth"], "give the .onnx of hed export"),
        (["not_exported"], "was not exported; give hed export not_exported first"),
        (["no_run"], "no run 'no_run'"),
        (["ours.onnx"], "nothing says where the data are; give --data_root DIR"),
        (["ours.onnx", "--data_root", "nowhere"], "nowhere"),
        (
            ["ours.onnx", "--train_ann", "empty.json", "--train_images", "images/train"],
            "does not say where the val data are",
        ),
        (
            [
                *("ours.onnx", "--train_ann", "empty.json", "--train_images", "images/train"),
                *("--val_ann", "annotations/instances_val.json", "--val_images", "images/val"),
            ],
            "1 of 8 images show persons, and quantisation takes at least 2",
        ),
        (["ours.onnx", "--calibration_images", "0"], "--calibration_images: expected 1 to 100000, got 0"),
        (["ours.onnx", "--max_loss", "-1"], "--max_loss: expected 0 to 1, got -1"),
        (["ours.onnx", "--scan_minutes", "nan"], "--scan_minutes"),
        (["ours.onnx", "--seed", "-1"], "--seed"),
    ],
)
def test_mistakes_are_one_line(
    tiny_coco: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, tiny_coco)
    for name in ("images", "annotations"):
        (tmp_path / name).symlink_to(tiny_coco / name)
    before = sorted(tmp_path.iterdir())
    assert main(["quantize", *arguments]) == 2
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert out == ""
    assert len(errors) == 1
    assert words in errors[0]
    assert sorted(tmp_path.iterdir()) == before
