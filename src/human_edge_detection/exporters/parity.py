"""Parity check: compares the outputs of an exported model with those of the trained model on images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from human_edge_detection.data.dataset import PersonDataset, collate
from human_edge_detection.errors import ExportError
from human_edge_detection.runs.records import ParityCase, ParityReport

TOLERANCE = 1e-4
"""Largest permitted absolute difference of an output: logits of ``masks``, probabilities of ``binary_masks``."""
IMAGE_COUNTS = (1, 2)
"""Numbers of images to compare with."""
ROI_COUNTS = (1, 5)
"""Numbers of rois to compare with, for each number of images."""
_ERRORS_ONLY = 3
"""Log level of ONNX Runtime."""
_MAX_FLOAT = float(np.finfo(np.float32).max)
"""Stands for a difference that is not finite, which JSON cannot hold."""
_MAX_GROWTH = 0.05
"""Most that a side of a repeated box moves outwards, as a fraction of the image."""

Inputs = Mapping[str, Tensor]
"""``images (B, 3, IH, IW)`` and, for a model with a roi head, ``rois (N, 5)``."""
Array = NDArray[np.float32]


class MaskAgreement(NamedTuple):
    """Pixels that both models give the same person class, and pixels that either gives a person class."""

    both: int
    either: int

    @property
    def iou(self) -> float:
        """Intersection over union, in [0, 1]; 1 where neither model finds a person."""
        return self.both / self.either if self.either else 1.0


def parity_inputs(dataset: PersonDataset, *, with_rois: bool) -> list[Inputs]:
    """Images and rois for every combination of :data:`IMAGE_COUNTS` and :data:`ROI_COUNTS`, the largest last.

    Args:
        dataset: Not augmented. The first images with persons are used, repeatedly when there are too few.
        with_rois: Whether the model has a roi head; if not, there is one case for each number of images.

    Raises:
        DataError: An image cannot be read.
    """
    with_persons = np.flatnonzero(dataset.people.images.person_counts).tolist()
    cases: list[Inputs] = []
    for count in IMAGE_COUNTS:
        samples = [dataset[(0, with_persons[number % len(with_persons)])] for number in range(count)]
        batch = collate(samples).to(torch.device("cpu"))
        if with_rois:
            cases += [{"images": batch.images, "rois": take_rois(batch.rois, rois)} for rois in ROI_COUNTS]
        else:
            cases.append({"images": batch.images})
    return cases


def take_rois(rois: Tensor, count: int) -> Tensor:
    """Takes ``count`` of the ``(N, 5)`` rois, from all images in turn, beginning with the last image.

    When there are too few they are repeated, with boxes enlarged at random.

    Returns:
        ``(count, 5)``.
    """
    # 1. Order by the number of a roi among those of its image, then by image, the last one first.
    rank = [int((rois[:number, 0] == roi[0]).sum()) for number, roi in enumerate(rois)]
    order = sorted(range(len(rois)), key=lambda number: (rank[number], -float(rois[number, 0])))
    taken = rois[[order[number % len(order)] for number in range(count)]]
    # 2. Enlarge the repeated ones, within the image.
    growth = torch.rand(count, 4, generator=torch.Generator().manual_seed(0)) * _MAX_GROWTH
    growth[: len(rois)] = 0.0
    low, high = (taken[:, 1:3] - growth[:, :2]).clamp(min=0.0), (taken[:, 3:] + growth[:, 2:]).clamp(max=1.0)
    return torch.cat([taken[:, :1], low, high], dim=1)


def compare(content: bytes, student: nn.Module, cases: Sequence[Inputs]) -> list[ParityCase]:
    """Runs ONNX Runtime on the CPU and PyTorch, and compares their outputs case by case.

    Args:
        content: The ONNX model.
        student: Called with the inputs by name; returns a tuple in the order of the ONNX model's outputs.
        cases: Inputs, see :func:`parity_inputs`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return [_compare_case(session, student, inputs) for inputs in cases]


@torch.no_grad()
def _compare_case(session: onnxruntime.InferenceSession, student: nn.Module, inputs: Inputs) -> ParityCase:
    """The largest difference and the agreement of the masks over all outputs of one case."""
    expected = [output.numpy() for output in student(**inputs)]
    exported = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    pairs = list(zip(expected, exported, strict=True))
    agreements = [agreement(one, other) for one, other in pairs]
    return ParityCase(
        images=len(inputs["images"]),
        rois=len(inputs.get("rois", ())),
        max_difference=max(max_difference(one, other) for one, other in pairs),
        mask_iou=MaskAgreement(sum(a.both for a in agreements), sum(a.either for a in agreements)).iou,
    )


def max_difference(one: Array, other: Array) -> float:
    """Largest absolute difference of two outputs; the largest float if shapes differ or a value is not finite."""
    if one.shape != other.shape:
        return _MAX_FLOAT
    difference = np.abs(one.astype(np.float64) - other).max(initial=0.0)
    return float(difference) if np.isfinite(difference) else _MAX_FLOAT


def agreement(one: Array, other: Array) -> MaskAgreement:
    """How well the masks of two outputs agree; if their shapes differ, in no pixel."""
    if one.shape != other.shape:
        return MaskAgreement(0, 1)
    first, second = _classes(one), _classes(other)
    person = (first > 0) | (second > 0)
    return MaskAgreement(int((person & (first == second)).sum()), int(person.sum()))


def _classes(output: Array) -> NDArray[np.int64]:
    """Classes of ``(N, 3, H, W)`` logits, or of ``(B, 1, IH, IW)`` person probabilities."""
    classes = output.argmax(axis=1) if output.shape[1] > 1 else output[:, 0] > 0.5
    return classes.astype(np.int64)


def summarise(
    cases: list[ParityCase], *, onnx: str, content: bytes, checkpoint_sha256: str, opset: int
) -> ParityReport:
    """The report of all cases of the model ``content``: the largest difference and the smallest mask IoU."""
    difference = max(case.max_difference for case in cases)
    return ParityReport(
        onnx=onnx,
        checkpoint_sha256=checkpoint_sha256,
        opset=opset,
        size_bytes=len(content),
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        tolerance=TOLERANCE,
        max_difference=difference,
        mask_iou=min(case.mask_iou for case in cases),
        passed=difference <= TOLERANCE,
        cases=cases,
    )


def require_passed(report: ParityReport) -> None:
    """Raises an error for a report of a model whose outputs differ.

    Raises:
        ExportError: The report has not passed; the message names the worst case and its difference.
    """
    if report.passed:
        return
    worst = max(report.cases, key=lambda case: case.max_difference)
    raise ExportError(
        f"ONNX Runtime and PyTorch differ by {worst.max_difference:.3g} for {worst.images} images and "
        f"{worst.rois} rois (mask IoU {worst.mask_iou:.4f}), allowed {report.tolerance:.0e}; {report.onnx} was not "
        "written; export another checkpoint, or report this with the checkpoint"
    )
