"""Whether an exported model answers as the trained one does, on photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from human_edge_detection.data.dataset import PeopleDataset, collate
from human_edge_detection.errors import ExportError
from human_edge_detection.runs.records import ParityCase, ParityReport

TOLERANCE = 1e-4
"""Largest absolute difference of an answer: logits of ``masks``, probabilities of ``binary_masks``."""
IMAGE_COUNTS = (1, 2)
ROI_COUNTS = (1, 5)
_ERRORS_ONLY = 3
_LARGEST = float(np.finfo(np.float32).max)
"""Stands for a difference that is not finite, which JSON cannot hold."""
_GROWTH = 0.05
"""How much the sides of a box that is used again move outwards at most, as a fraction of the photograph."""

Inputs = Mapping[str, Tensor]
"""``images (B, 3, IH, IW)`` and, for a model with a roi head, ``rois (N, 5)``."""
Array = NDArray[np.float32]


class MaskAgreement(NamedTuple):
    """Pixels that both models call the same person class, and pixels that either calls a person."""

    both: int
    either: int

    @property
    def iou(self) -> float:
        """In [0, 1]; 1 where neither sees anyone."""
        return self.both / self.either if self.either else 1.0


def parity_inputs(dataset: PeopleDataset, *, with_rois: bool) -> list[Inputs]:
    """Photographs and boxes for every combination of :data:`IMAGE_COUNTS` and :data:`ROI_COUNTS`, the largest last.

    Args:
        dataset: Not augmented. The first photographs with people are used, again when there are too few.
        with_rois: Also give rois; otherwise one case for each image count.

    Raises:
        DataError: A photograph cannot be read.
    """
    with_people = np.flatnonzero(dataset.people.photographs.person_counts).tolist()
    cases: list[Inputs] = []
    for count in IMAGE_COUNTS:
        batch = collate([dataset[(0, with_people[number % len(with_people)])] for number in range(count)])
        if with_rois:
            cases += [{"images": batch.images, "rois": take_rois(batch.rois, rois)} for rois in ROI_COUNTS]
        else:
            cases.append({"images": batch.images})
    return cases


def take_rois(rois: Tensor, count: int) -> Tensor:
    """``count`` of the ``(N, 5)`` rois, the last photograph's first and the photographs in turn.

    When there are too few they come again, a little larger.
    """
    rank = [int((rois[:number, 0] == roi[0]).sum()) for number, roi in enumerate(rois)]
    order = sorted(range(len(rois)), key=lambda number: (rank[number], -float(rois[number, 0])))
    taken = rois[[order[number % len(order)] for number in range(count)]]
    growth = torch.rand(count, 4, generator=torch.Generator().manual_seed(0)) * _GROWTH
    growth[: len(rois)] = 0.0
    low, high = (taken[:, 1:3] - growth[:, :2]).clamp(min=0.0), (taken[:, 3:] + growth[:, 2:]).clamp(max=1.0)
    return torch.cat([taken[:, :1], low, high], dim=1)


def compare(content: bytes, student: nn.Module, cases: Sequence[Inputs]) -> list[ParityCase]:
    """ONNX Runtime's answers (on the CPU) beside PyTorch's.

    Args:
        content: The ONNX model.
        student: Called with the inputs by name; answers a tuple in the order of the ONNX model's outputs.
        cases: Inputs, see :func:`parity_inputs`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return [_compare_case(session, student, inputs) for inputs in cases]


@torch.no_grad()
def _compare_case(session: onnxruntime.InferenceSession, student: nn.Module, inputs: Inputs) -> ParityCase:
    expected = [answer.numpy() for answer in student(**inputs)]
    answered = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    pairs = list(zip(expected, answered, strict=True))
    agreements = [agreement(one, other) for one, other in pairs]
    return ParityCase(
        images=len(inputs["images"]),
        rois=len(inputs.get("rois", ())),
        max_difference=max(max_difference(one, other) for one, other in pairs),
        mask_iou=MaskAgreement(sum(a.both for a in agreements), sum(a.either for a in agreements)).iou,
    )


def max_difference(one: Array, other: Array) -> float:
    """Largest absolute difference; the largest float for other shapes and for answers that are not finite."""
    if one.shape != other.shape:
        return _LARGEST
    difference = np.abs(one.astype(np.float64) - other).max(initial=0.0)
    return float(difference) if np.isfinite(difference) else _LARGEST


def agreement(one: Array, other: Array) -> MaskAgreement:
    """How well the masks of two answers agree; nothing agrees between other shapes."""
    if one.shape != other.shape:
        return MaskAgreement(0, 1)
    first, second = _classes(one), _classes(other)
    person = (first > 0) | (second > 0)
    return MaskAgreement(int((person & (first == second)).sum()), int(person.sum()))


def _classes(answer: Array) -> NDArray[np.int64]:
    """Classes of ``(N, 3, H, W)`` logits, or of ``(B, 1, IH, IW)`` person probabilities."""
    classes = answer.argmax(axis=1) if answer.shape[1] > 1 else answer[:, 0] > 0.5
    return classes.astype(np.int64)


def summarise(
    cases: list[ParityCase], *, onnx: Path, checkpoint_sha256: str, opset: int, size_bytes: int
) -> ParityReport:
    """The report of all cases: the largest difference and the smallest mask IoU."""
    difference = max(case.max_difference for case in cases)
    return ParityReport(
        onnx=str(onnx),
        checkpoint_sha256=checkpoint_sha256,
        opset=opset,
        size_bytes=size_bytes,
        tolerance=TOLERANCE,
        max_difference=difference,
        mask_iou=min(case.mask_iou for case in cases),
        passed=difference <= TOLERANCE,
        cases=cases,
    )


def require_passed(report: ParityReport) -> None:
    """Refuses a model that differs.

    Raises:
        ExportError: Names the worst case and its difference.
    """
    if report.passed:
        return
    worst = max(report.cases, key=lambda case: case.max_difference)
    raise ExportError(
        f"ONNX Runtime and PyTorch differ by {worst.max_difference:.3g} for {worst.images} images and "
        f"{worst.rois} rois (mask IoU {worst.mask_iou:.4f}), allowed {report.tolerance:.0e}; {report.onnx} was not "
        "written; export another checkpoint, or report this with the checkpoint"
    )
