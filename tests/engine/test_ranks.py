"""One process alone: nothing is sent, nothing changes; the rest is in tests/engine/session/test_together.py."""

import pytest
import torch
from torch import nn

from human_edge_detection.engine.ranks import ALONE, Ranks
from human_edge_detection.errors import DataError, TrainingError
from human_edge_detection.metrics.segmentation import SegmentationMetrics


def test_one_process_hears_itself() -> None:
    assert ALONE.is_first
    assert ALONE.gather("counts") == ["counts"]
    assert ALONE.broadcast({"a": 1}) == {"a": 1}
    assert ALONE.agreed(lambda: 3) == 3
    metrics = SegmentationMetrics((4, 4))
    assert ALONE.merged(lambda: metrics) is metrics


def test_gradients_and_buffers_of_one_process_stay_as_they_are() -> None:
    layer = nn.BatchNorm2d(2)
    assert layer.weight.grad is None
    ALONE.sum_gradients(list(layer.parameters()))
    ALONE.share_buffers(layer)
    assert layer.weight.grad is None
    assert torch.equal(ALONE.any_of(torch.tensor(1.0)), torch.tensor(1.0))


def test_what_is_raised_in_one_process_is_raised() -> None:
    def unreadable() -> None:
        raise DataError("a.jpg cannot be read")

    with pytest.raises(DataError, match=r"a\.jpg"):
        ALONE.agreed(unreadable)


def test_without_the_others_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr("torch.distributed.all_gather_object", closed)
    with pytest.raises(TrainingError, match=r"another process of this run was lost .* the same command goes on"):
        Ranks(0, 2).gather("anybody there?")
