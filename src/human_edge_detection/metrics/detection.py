"""COCO average precision of persons that a model finds itself, beside that with the true boxes, and recall.

Lin et al., "Microsoft COCO: Common Objects in Context", arXiv:1405.0312; computed by pycocotools.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

from human_edge_detection.metrics.coco_file import index_of, mask_entry, silence

MOST: Final = 100
"""Detections of an image that count, as in COCO."""
TALL: Final = 1 / 6
"""A tall person has at least so much of the height of the image."""
_AREAS: Final = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""COCO's sizes, by the area of the mask in pixels of the image file."""
_HEIGHTS: Final = {"tall": (TALL, 1e10)}
_ALL: Final = (0.0, 1e10)
_SIZES: Final = (*_AREAS, *_HEIGHTS)
_KINDS: Final = ("box", "own_mask", "given_mask")
METRICS: Final = (
    "recall10",
    *(f"recall10_{size}" for size in _SIZES),
    *(f"{kind}_{name}" for kind in _KINDS for name in ("AP", "AP50", *(f"AP50_{size}" for size in _SIZES))),
)
"""``recall10`` is that of boxes at IoU 0.5 with ten detections of each image at most. ``box`` is of boxes, ``own_mask``
of masks in the boxes that were found, ``given_mask`` of masks in the true boxes of the same images."""
_LIMITS: Final = (1, 10, MOST)
_PERSON: Final = 1
"""Category."""


class TruePerson(NamedTuple):
    """One person, or one region that does not count.

    Attributes:
        box: x1, y1, x2, y2 in pixels.
        segmentation: As COCO has it: polygons or RLE.
        area: Pixels of the mask.
        is_region: A detection in it is neither true nor false.
    """

    box: tuple[float, float, float, float]
    segmentation: Any
    area: float
    is_region: bool


class Prediction(NamedTuple):
    """n boxes of one image and what is in them.

    Attributes:
        boxes: ``(n, 4)`` x1, y1, x2, y2 as fractions of the image.
        masks: ``(n, H, W)`` probability of the person in the box.
        scores: ``(n,)`` in [0, 1] of the boxes; None: they were given, and the mean probability inside a mask counts.
    """

    boxes: NDArray[np.float32]
    masks: NDArray[np.float32]
    scores: NDArray[np.float32] | None


class DetectionMetrics:
    """Collects what was found on images whose persons are all annotated."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._truth: list[dict[str, Any]] = []
        self._results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS}

    def add(self, size: tuple[int, int], persons: Sequence[TruePerson], own: Prediction, given: Prediction) -> None:
        """Adds one image.

        Args:
            size: (height, width) of the image file.
            persons: All that is on it.
            own: What was found, at most :data:`MOST`.
            given: The masks in the true boxes.
        """
        number = len(self._images) + 1
        self._images.append({"id": number, "height": size[0], "width": size[1]})
        for person in persons:
            entry = {"segmentation": person.segmentation, "area": person.area, "iscrowd": int(person.is_region)}
            self._truth.append(_placed(entry, person.box, size, number, len(self._truth)))
        self._results["box"] += _boxes(own, size, number, len(self._results["box"]))
        for kind, prediction in (("own_mask", own), ("given_mask", given)):
            self._results[kind] += _masks(prediction, size, number, len(self._results[kind]))

    def compute(self) -> dict[str, float | None]:
        """Each of :data:`METRICS` in [0, 1]; None where no person of a size is there."""
        values: dict[str, float | None] = dict.fromkeys(METRICS)
        for kind, results in self._results.items():
            by_area = self._evaluate(kind, results, {"": _ALL, **_AREAS}, measure="area")
            by_height = self._evaluate(kind, results, _HEIGHTS, measure="height")
            values |= by_area | {name: value for name, value in by_height.items() if name in values}
        return values

    def _evaluate(
        self,
        kind: str,
        results: Sequence[Mapping[str, Any]],
        ranges: Mapping[str, tuple[float, float]],
        *,
        measure: str,
    ) -> dict[str, float | None]:
        """The metrics of one kind for persons whose ``measure`` is in each of ``ranges``, by name of the range."""
        sets = [[{**entry, "area": entry[measure]} for entry in entries] for entries in (self._truth, results)]
        category = {"id": _PERSON, "name": "person"}
        truth, found = (
            index_of({"images": self._images, "categories": [category], "annotations": entries}) for entries in sets
        )
        evaluation = COCOeval(truth, found, iouType="bbox" if kind == "box" else "segm")
        evaluation.params.maxDets = list(_LIMITS)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = list(map(list, ranges.values())), list(ranges)
        with silence():
            evaluation.evaluate()
            evaluation.accumulate()
        # Precision by (IoU, recall, category, range, limit), recall by (IoU, category, range, limit).
        precision, recall = evaluation.eval["precision"][:, :, 0, :, -1], evaluation.eval["recall"][0, 0, :, 1]
        metrics = {}
        for number, name in enumerate(ranges):
            ending = f"_{name}" if name else ""
            if kind == "box":
                metrics[f"recall10{ending}"] = _mean(recall[number])
            metrics[f"{kind}_AP50{ending}"] = _mean(precision[0, :, number])
            if not name:
                metrics[f"{kind}_AP"] = _mean(precision[:, :, number])
        return metrics


def _mean(values: NDArray[np.float64]) -> float | None:
    """Mean of ``values``, of which pycocotools has -1 where there are no true persons."""
    return float(np.mean(values)) if np.all(values >= 0) else None


def _boxes(prediction: Prediction, size: tuple[int, int], image: int, count: int) -> Iterator[dict[str, Any]]:
    assert prediction.scores is not None
    for box, score in zip(prediction.boxes, prediction.scores, strict=True):
        x1, y1, x2, y2 = _in_pixels(box, size)
        entry = {"score": float(score), "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
        yield _placed(entry, (x1, y1, x2, y2), size, image, count)
        count += 1


def _masks(prediction: Prediction, size: tuple[int, int], image: int, count: int) -> Iterator[dict[str, Any]]:
    """Those that are not empty."""
    for number, (box, probability) in enumerate(zip(prediction.boxes, prediction.masks, strict=True)):
        entry = mask_entry(probability, box, size)
        if entry is None:
            continue
        if prediction.scores is not None:
            entry["score"] = float(prediction.scores[number])
        yield _placed({**entry, "iscrowd": 0}, _in_pixels(box, size), size, image, count)
        count += 1


def _in_pixels(box: NDArray[np.float32], size: tuple[int, int]) -> tuple[float, float, float, float]:
    height, width = size
    x1, y1, x2, y2 = box.tolist()
    return x1 * width, y1 * height, x2 * width, y2 * height


def _placed(
    entry: dict[str, Any], box: tuple[float, float, float, float], size: tuple[int, int], image: int, count: int
) -> dict[str, Any]:
    """``entry`` with what COCO wants beside; the ``count``-th of all, as an id of 0 would count as none."""
    x1, y1, x2, y2 = box
    where = {"bbox": [x1, y1, x2 - x1, y2 - y1], "height": (y2 - y1) / size[0]}
    return {**entry, **where, "id": count + 1, "image_id": image, "category_id": _PERSON}
