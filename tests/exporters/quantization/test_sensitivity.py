"""As few blocks as possible stay in float."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from small_exports import small_export

from human_edge_detection.exporters.quantization import layers
from human_edge_detection.exporters.quantization.layers import Block
from human_edge_detection.exporters.quantization.qdq import Feeds, QdqQuantizer
from human_edge_detection.exporters.quantization.sensitivity import Sensitivity, fewest_in_float, scan

BLOCKS = [Block((name,), (name,)) for name in "abcdefgh"]
ORDER = [Sensitivity(block, 1.0 - number / 10) for number, block in enumerate(BLOCKS)]


@pytest.mark.parametrize("needed", range(1, 8))
def test_the_fewest_of_the_most_sensitive(needed: int) -> None:
    asked = []

    def loss(in_float: Sequence[Block]) -> float:
        asked.append(len(in_float))
        return 0.01 if len(in_float) < needed else 0.004

    assert fewest_in_float(ORDER, BLOCKS, loss, 0.005) == BLOCKS[:needed]
    assert len(asked) <= 3


def test_nothing_is_left_when_all_have_to_be_float() -> None:
    assert fewest_in_float(ORDER, BLOCKS, lambda in_float: 0.01, 0.005) is None


def test_blocks_that_nobody_tried_are_no_way_out() -> None:
    assert fewest_in_float(ORDER[:3], BLOCKS, lambda in_float: 0.01, 0.005) is None
    assert fewest_in_float(ORDER[:3], BLOCKS, lambda left: 0.01 - 0.004 * len(left), 0.005) == BLOCKS[:2]


@pytest.fixture
def images() -> list[Feeds]:
    rng = np.random.default_rng(0)
    rois = np.array([[0, 0.1, 0.1, 0.8, 0.9]], np.float32)
    return [{"images": rng.random((1, 3, 64, 64), np.float32), "rois": rois} for _ in range(2)]


@pytest.fixture
def quantizer(tmp_path: Path, images: list[Feeds], monkeypatch: pytest.MonkeyPatch) -> QdqQuantizer:
    """Of a model whose third convolution has a channel a thousand times as large as the others of its input."""
    monkeypatch.setattr(layers, "_BLOCK", 1)
    file = small_export(tmp_path / "model.onnx")
    model = onnx.load(file)
    (weight,) = (entry for entry in model.graph.initializer if entry.name == "w2")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0] *= 1000.0
    weight.CopyFrom(onnx.numpy_helper.from_array(values, "w2"))
    for name in ("w3", "w4"):
        (weight,) = (entry for entry in model.graph.initializer if entry.name == name)
        values = onnx.numpy_helper.to_array(weight).copy()
        values[:, 0] /= 1000.0
        weight.CopyFrom(onnx.numpy_helper.from_array(values, name))
    onnx.save(model, file)
    return QdqQuantizer(file, images, tmp_path)


def test_layers_that_see_ranges_of_a_thousand_are_the_most_sensitive(
    quantizer: QdqQuantizer, images: list[Feeds], tmp_path: Path
) -> None:
    found = scan(quantizer, (tmp_path / "model.onnx").read_bytes(), images, seconds=60.0)
    names = [one.block.convolutions[0] for one in found]
    assert sorted(names) == ["first", "masks", "person", "second"]
    assert names[-1] == "first", "the only one that has nothing to do with the large channel"
    assert all(one.difference > 0.0 for one in found)


def test_the_scan_ends_with_its_time_and_says_so(
    quantizer: QdqQuantizer, images: list[Feeds], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert scan(quantizer, (tmp_path / "model.onnx").read_bytes(), images, seconds=-1.0) == []
    assert "tried 0 of 4 blocks" in caplog.text
