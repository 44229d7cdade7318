"""Parity check of the exported model that finds the persons itself: whom it finds, and the masks in its boxes.

Masks are compared in the boxes that the exported model found, so that a box that moved within its tolerance does not
count a second time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.experiments.schema.model import DetectorConfig
from human_edge_detection.exporters.detection_parity import (
    BOX_TOLERANCE_PX,
    Detections,
    compare_detections,
    expected_detections,
)
from human_edge_detection.exporters.exportable import ExportableStudent
from human_edge_detection.exporters.graph import with_constant
from human_edge_detection.exporters.parity import Array, Inputs, case_of, open_session, problem_of
from human_edge_detection.runs.records import (
    LARGEST_AMOUNT,
    DetectionFigures,
    DetectorParity,
    ParityCase,
    ParityTolerances,
)

MIN_SCORE: Final = "min_score"
"""The input of the traced model that is a constant of the file."""


class Found(NamedTuple):
    """Outputs of the exported model: of N persons in B images."""

    boxes: Array
    scores: Array
    masks: Array
    binary_masks: Array

    def are_usable(self, images: int) -> bool:
        """Whether a model can be asked about its boxes: numbers, and of the images that there are."""
        boxes = self.boxes
        return (
            boxes.shape == (len(self.scores), 5)
            and bool(np.isfinite(boxes).all())
            and bool(np.isin(boxes[:, 0], np.arange(images)).all())
        )


def compare_detector(
    content: bytes,
    model: RgbPersonSegmenter,
    config: DetectorConfig,
    inputs: Sequence[Inputs],
    tolerances: ParityTolerances,
) -> list[ParityCase]:
    """Compares the exported model with the trained one: on one image, on two, with a blank one, on that alone.

    A last case finds whoever is likeliest, so that boxes and masks are compared in models too that are sure of nobody.

    Args:
        content: The ONNX model, with its input :data:`MIN_SCORE`.
        model: The trained one.
        config: Of its detector.
        inputs: Images to take.
        tolerances: Of probabilities and scores.
    """
    images = list({len(case["images"]): case["images"] for case in inputs}.values())
    blank = torch.zeros_like(images[0])
    cases = [(config, case) for case in (*images, torch.cat([blank, images[0]]), blank)]
    cases.append((config.model_copy(update={"min_score": 0.0}), images[-1]))
    sessions = {asked.min_score: open_session(with_constant(content, MIN_SCORE, asked.min_score)) for asked, _ in cases}
    return [_compare_case(sessions[asked.min_score], model, asked, case, tolerances) for asked, case in cases]


@torch.no_grad()
def _compare_case(
    session: onnxruntime.InferenceSession,
    model: RgbPersonSegmenter,
    config: DetectorConfig,
    images: Tensor,
    tolerances: ParityTolerances,
) -> ParityCase:
    found = Found(*session.run(Found._fields, {"images": images.numpy()}))
    are_usable = found.are_usable(len(images))
    boxes = found.boxes if are_usable else found.boxes.reshape(-1, 5)[:0]
    masks, binary_masks = ExportableStudent(model)(images, torch.from_numpy(boxes))
    return case_of(
        [("masks", masks.numpy(), found.masks), ("binary_masks", binary_masks.numpy(), found.binary_masks)],
        images=len(images),
        rois=len(found.scores),
        tolerances=tolerances,
        detections=_figures(found, model, config, images, tolerances) if are_usable else _unusable(config),
    )


def _figures(
    found: Found, model: RgbPersonSegmenter, config: DetectorConfig, images: Tensor, tolerances: ParityTolerances
) -> DetectionFigures:
    """How what was found differs from what the trained model finds in the same images."""
    maps = model(images, images.new_zeros(0, 5)).aux
    centre_logits, person_boxes = maps["centre_logits"], maps["person_boxes"]
    if not (centre_logits.isfinite().all() and person_boxes.isfinite().all()):
        return _unusable(config)
    expected = expected_detections(
        centre_logits,
        person_boxes,
        min_score=config.min_score,
        max_persons=config.max_persons,
        tolerances=tolerances,
    )
    of_image = [found.boxes[:, 0] == number for number in range(len(images))]
    compared = [
        compare_detections(
            one,
            Detections(found.boxes[own, 1:], found.scores[own]),
            image_size=(images.shape[-2], images.shape[-1]),
            tolerances=tolerances,
        )
        for one, own in zip(expected, of_image, strict=True)
    ]
    return DetectionFigures(
        min_score=config.min_score,
        max_box_difference=max(one.max_box_difference for one in compared),
        max_score_difference=max(one.max_score_difference for one in compared),
        missing=sum(one.missing for one in compared),
        extra=sum(one.extra for one in compared),
    )


def _unusable(config: DetectorConfig) -> DetectionFigures:
    """Of boxes that are none, of either model."""
    return DetectionFigures(
        min_score=config.min_score,
        max_box_difference=LARGEST_AMOUNT,
        max_score_difference=LARGEST_AMOUNT,
        missing=0,
        extra=0,
    )


def summarise_detector(
    cases: list[ParityCase], tolerances: ParityTolerances, *, onnx: str, content: bytes
) -> DetectorParity:
    """The worst figures of all cases of the model ``content``, and whether they are within tolerances."""
    outputs = [output for case in cases for output in case.outputs]
    figures = [case.detections for case in cases if case.detections is not None]
    parity = DetectorParity(
        onnx=onnx,
        size_bytes=len(content),
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        max_probability_difference=max(output.max_probability_difference for output in outputs),
        class_changes=sum(output.class_changes for output in outputs),
        max_box_difference=max(one.max_box_difference for one in figures),
        max_score_difference=max(one.max_score_difference for one in figures),
        missing=sum(one.missing for one in figures),
        extra=sum(one.extra for one in figures),
        cases=cases,
    )
    return parity.model_copy(update={"problem": _problem_of(parity, tolerances)})


def _problem_of(parity: DetectorParity, tolerances: ParityTolerances) -> str | None:
    """What is not allowed, with its tolerance, in one line; None if all is."""
    if parity.max_box_difference >= LARGEST_AMOUNT:
        return f"{parity.onnx}: boxes are not finite, or of no image"
    problems = []
    if parity.max_box_difference > BOX_TOLERANCE_PX:
        problems.append(
            f"boxes differ from PyTorch's by {parity.max_box_difference:.3g} px (allowed: {BOX_TOLERANCE_PX:g})"
        )
    if parity.max_score_difference > tolerances.probability:
        problems.append(
            f"scores differ from PyTorch's by {parity.max_score_difference:.3g} (allowed: {tolerances.probability:g})"
        )
    if parity.missing or parity.extra:
        problems.append(
            f"{parity.missing} persons are missing and {parity.extra} are too many (allowed: 0 whose score is further "
            f"than {tolerances.probability:g} from min_score, and whose place is likelier than the places beside it by "
            f"{tolerances.margin:g})"
        )
    of_masks = problem_of(parity.cases, tolerances)
    if of_masks:
        problems.append(of_masks)
    return f"{parity.onnx}: {', and '.join(problems)}" if problems else None
