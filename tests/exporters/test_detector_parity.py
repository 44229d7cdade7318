"""Whom the exported model finds, and the masks in its boxes: what passes and what does not, with a made-up runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from human_edge_detection.advanced.detector import find_persons
from human_edge_detection.experiments.schema.model import DetectorConfig
from human_edge_detection.exporters import detector_parity
from human_edge_detection.exporters.detector_parity import Found, compare_detector, summarise_detector
from human_edge_detection.exporters.parity import FLOAT32
from human_edge_detection.runs.records import DetectorParity
from human_edge_detection.structures import SegmentationOutput

CONFIG = DetectorConfig(min_score=0.3, max_persons=3)
Change = Callable[[Found], Found]


class Model(nn.Module):
    """Finds a person of 0.8 at the left of each image that is not blank, and others of 0.2 everywhere."""

    def forward(self, images: Tensor, rois: Tensor) -> SegmentationOutput:
        probability = torch.full((len(images), 1, 4, 8), 0.01)
        probability[..., 1, [1, 4, 7]] = 0.2
        probability[images.amax((1, 2, 3)) > 0, :, 1, 1] = 0.8
        x = torch.arange(8) / 10
        boxes = torch.stack([x, x * 0, x + 0.2, x * 0 + 0.5])[None, :, None].expand(len(images), 4, 4, 8)
        masks = rois[:, 1:4, None, None].expand(-1, 3, 2, 2) * 10
        maps = {"centre_logits": probability.logit(), "person_boxes": boxes, "full_image_logits": images[:, :1]}
        return SegmentationOutput(masks, maps)


def compare(monkeypatch: pytest.MonkeyPatch, change: Change = lambda found: found) -> DetectorParity:
    """With a runtime that answers as the model does, with changes."""

    class Session:
        def __init__(self, min_score: float) -> None:
            self.min_score = min_score

        def run(self, names: tuple[str, ...], feeds: dict[str, Any]) -> list[Any]:
            images = torch.from_numpy(feeds["images"])
            maps = Model()(images, torch.zeros(0, 5)).aux
            rois, scores = find_persons(maps["centre_logits"], maps["person_boxes"], most=3).as_rois(self.min_score)
            masks = Model()(images, rois).logits
            found = Found(rois.numpy(), scores.numpy(), masks.numpy(), images[:, :1].sigmoid().numpy())
            return list(change(found))

    monkeypatch.setattr(detector_parity, "open_session", Session)
    monkeypatch.setattr(detector_parity, "with_constant", lambda content, name, value: value)
    images = torch.full((2, 3, 16, 32), 0.5)
    inputs = [{"images": images[:1]}, {"images": images}]
    cases = compare_detector(b"", Model(), CONFIG, inputs, FLOAT32)  # type: ignore[arg-type]
    return summarise_detector(cases, FLOAT32, onnx="a.detect.onnx", content=b"a model")


def test_the_same_model_passes_on_each_case(monkeypatch: pytest.MonkeyPatch) -> None:
    parity = compare(monkeypatch)
    assert parity.problem is None
    assert [(case.images, case.rois) for case in parity.cases] == [(1, 1), (2, 2), (2, 1), (1, 0), (2, 6)]
    assert parity.in_words.endswith("boxes by 0 px, classes in 0 pixels")


def moved(found: Found, pixels: float) -> Found:
    """The masks are still those in its boxes."""
    boxes = found.boxes + np.array([0, pixels / 32, 0, 0, 0], np.float32)
    return found._replace(boxes=boxes, masks=Model()(torch.zeros(2, 3, 16, 32), torch.from_numpy(boxes)).logits.numpy())


def persons_of(found: Found, change: Callable[[np.ndarray], np.ndarray]) -> Found:
    """With other persons, and the same person map."""
    boxes, scores, masks = (change(part) for part in found[:3])
    return Found(boxes, scores, masks, found.binary_masks)


def with_nan(values: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1)) == 0, np.float32("nan"), values)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda found: moved(found, 0.45), None),
        (lambda found: moved(found, 0.7), "boxes differ from PyTorch's by 0.7 px (allowed: 0.5)"),
        (lambda found: found._replace(scores=found.scores + np.float32(9e-4)), None),
        (
            lambda found: found._replace(scores=found.scores + np.float32(2e-3)),
            "scores differ from PyTorch's by 0.002 ",
        ),
        (lambda found: persons_of(found, lambda part: part[:0]), "6 persons are missing and 0 are"),
        (
            lambda found: persons_of(found, lambda part: np.concatenate([part, part[:1]])),
            "0 persons are missing and 4 are too many",
        ),
        (
            lambda found: found._replace(masks=found.masks[:, [2, 1, 0]]),
            "probabilities of masks differ from PyTorch's by ",
        ),
        (lambda found: found._replace(binary_masks=found.binary_masks / 2), "probabilities of binary_masks differ"),
        (lambda found: found._replace(boxes=with_nan(found.boxes)), "boxes are not finite, or of no image"),
        (lambda found: found._replace(boxes=found.boxes + np.float32(5)), "boxes are not finite, or of no image"),
        (lambda found: found._replace(scores=with_nan(found.scores)), "persons are missing and"),
        (lambda found: found._replace(masks=with_nan(found.masks)), "masks have another shape than PyTorch's, or val"),
    ],
)
def test_what_is_otherwise_is_named_with_its_figure_in_one_line(
    monkeypatch: pytest.MonkeyPatch, change: Change, problem: str | None
) -> None:
    found = compare(monkeypatch, change).problem
    if problem is None:
        assert found is None
    else:
        assert str(found).startswith("a.detect.onnx: ")
        assert problem in str(found)
        assert "\n" not in str(found)
