"""A quantised file is written when it is nearly as right and faster, and else only the report is."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from small_exports import SAID, small_export

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.engine.exported import open_exported
from human_edge_detection.errors import ExportError
from human_edge_detection.exporters.quantization import quantize as module
from human_edge_detection.exporters.quantization.quantize import Quantization, Settings, quantize
from human_edge_detection.exporters.quantization.report import Speed
from human_edge_detection.exporters.quantization.sensitivity import Sensitivity, scan
from human_edge_detection.files.data_folder import find_split
from human_edge_prediction.models.own import OwnModel

FASTER, SLOWER = Speed(2.0, 1.0, 1, 3, "a processor"), Speed(2.0, 2.5, 1, 3, "a processor")


@pytest.fixture
def make(tiny_coco: Path, tmp_path: Path) -> Callable[..., Quantization]:
    def run(*, speed: Speed = FASTER, max_loss: float = 1.0, gated: bool = False) -> Quantization:
        train, val = (read_annotations(*find_split(tiny_coco, split)) for split in ("train", "val"))
        file = small_export(tmp_path / "tiny.onnx", gated=gated)
        settings = Settings(calibration_images=3, seed=0, max_loss=max_loss, scan_seconds=60.0)
        return quantize(open_exported(file), train, val, settings, lambda first, second: speed)

    return run


def scores(monkeypatch: pytest.MonkeyPatch, *, float_: float, int8: float) -> None:
    """Scores that do not depend on the data."""

    def score(model: OwnModel, people: AnnotationSet) -> dict[str, float | None]:
        is_float = model.path.name == "tiny.onnx"
        return {"miou": float_ if is_float else int8}

    monkeypatch.setattr(module, "score", score)


def report_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "tiny.int8.quantization.json").read_text())
    return found


def test_the_file_gives_nearly_the_same_and_says_what_was_done(
    make: Callable[..., Quantization], tmp_path: Path
) -> None:
    made = make()
    assert made.file == tmp_path / "tiny.int8.onnx"
    before, after = open_exported(tmp_path / "tiny.onnx"), open_exported(made.file)
    images = np.random.default_rng(1).random((2, 3, 64, 64), np.float32)
    rois = np.array([[0, 0.1, 0.2, 0.7, 0.9], [1, 0.3, 0.1, 0.9, 0.8]], np.float32)
    expected, found = before.run(images, rois), after.run(images, rois)
    for name in ("masks", "binary_masks"):
        difference = np.abs(expected[name] - found[name]).mean()
        assert 0.0 < difference < 0.05 * np.ptp(expected[name])
    said = after.runtime.metadata
    assert {name: said[name] for name in SAID if name != "metrics_of"} == {
        name: text for name, text in SAID.items() if name != "metrics_of"
    }
    assert "before quantisation" in said["metrics_of"]
    quantization = json.loads(said["quantization"])
    assert (quantization["quantized_share_of_layers"], quantization["layers_in_float"]) == (1.0, [])
    assert quantization["speedup"] == 2.0
    report = report_in(tmp_path)
    assert (report["calibration_images"], report["held_out_images"], report["layers"]) == (3, 4, 4)
    assert (report["problem"], report["speed"]["speedup"]) == (None, 2.0)
    for when in ("float", "int8"):
        assert report[f"{when}_metrics"]["miou"] == quantization["validation"]["miou"][when]
    content = made.file.read_bytes()
    assert (report["int8_bytes"], report["int8_sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_weights_have_seven_bits_and_a_scale_a_channel(make: Callable[..., Quantization]) -> None:
    """Eight bits overflow on x86 without VNNI, which no test on another processor would see."""
    graph = onnx.load(make().file).graph
    values = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    weights = {name: value for name, value in values.items() if value.dtype == np.int8 and value.ndim == 4}
    assert len(weights) == 4
    assert all(np.abs(value.astype(int)).max() <= 64 for value in weights.values())
    assert sorted(len(value) for name, value in values.items() if name.startswith("w") and name.endswith("_scale")) == [
        1,
        3,
        8,
        8,
    ]


def test_a_file_that_is_not_faster_is_refused(make: Callable[..., Quantization], tmp_path: Path) -> None:
    (tmp_path / "tiny.int8.onnx").write_text("an older one")
    with pytest.raises(
        ExportError, match=r"not faster on this machine \(a processor\): 2.50 ms instead of 2.00"
    ) as info:
        make(speed=SLOWER)
    assert "SiLU" not in str(info.value)
    assert (tmp_path / "tiny.int8.onnx").read_text() == "an older one"
    assert "not faster" in report_in(tmp_path)["problem"]


def test_a_file_that_loses_too_much_is_refused_and_told_of_lite0(
    make: Callable[..., Quantization], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, float_=0.5, int8=0.48)
    with pytest.raises(ExportError, match=r"falls from 0.5000 to 0.4800, by 0.0200 \(--max_loss 0.005\)") as info:
        make(max_loss=0.005, gated=True)
    assert "SiLU or squeeze-excitation" in str(info.value)
    assert "Lite0" in str(info.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tiny.int8.quantization.json", "tiny.onnx"]
    report = report_in(tmp_path)
    assert list(report["sensitivity"]) == ["first"], "blocks were tried before it was given up"


def test_layers_that_hurt_stay_in_float(make: Callable[..., Quantization], monkeypatch: pytest.MonkeyPatch) -> None:
    """The score falls as long as the most sensitive block is in integers."""
    from human_edge_detection.exporters.quantization import layers

    monkeypatch.setattr(layers, "_BLOCK", 1)
    hurts: list[str] = []

    def score(model: OwnModel, people: AnnotationSet) -> dict[str, float | None]:
        nodes = {node.name for node in onnx.load(model.path).graph.node if node.op_type == "DequantizeLinear"}
        return {"miou": 0.4 if any(name.startswith("w1") for name in nodes) else 0.5}

    def reordered(*arguments: Any, **settings: Any) -> list[Sensitivity]:
        found = scan(*arguments, **settings)
        hurts.extend(one.block.convolutions[0] for one in found)
        return sorted(found, key=lambda one: one.block.convolutions[0] != "first")

    monkeypatch.setattr(module, "score", score)
    monkeypatch.setattr(module, "scan", reordered)
    report = make(max_loss=0.005).report
    assert report.float_layers == ("first",)
    assert sorted(report.sensitivity) == sorted(hurts) == ["first", "masks", "person", "second"]
    assert report.quantized_share == 0.75
