"""Parity check: compares the outputs of an exported model with those of the trained model on images.

What counts is what a user sees: probabilities and classes. The difference of the logits is reported and judges nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from human_edge_detection.data.dataset import PersonDataset, collate
from human_edge_detection.errors import ExportError
from human_edge_detection.exporters.exportable import ExportableStudent
from human_edge_detection.runs.records import (
    LARGEST_AMOUNT,
    DetectionFigures,
    DetectorParity,
    OutputParity,
    ParityCase,
    ParityReport,
    ParityTolerances,
)
from human_edge_prediction.models.own import OwnModel

FLOAT32: Final = ParityTolerances(probability=1e-3, margin=2e-3)
"""For a model that computes in float32."""
FLOAT16: Final = ParityTolerances(probability=1e-2, margin=2e-2)
"""For a model that computes in float16, whose numbers have 11 binary digits."""
IMAGE_COUNTS = (1, 2)
"""Numbers of images to compare with."""
ROI_COUNTS = (1, 5)
"""Numbers of rois to compare with, for each number of images."""
ODD_BOXES: Final = (
    (0.0, 0.0, 1.0, 1.0),
    (0.0, 0.31, 0.013, 0.97),
    (0.987, 0.0, 1.0, 0.43),
    (0.0, 0.993, 0.57, 1.0),
    (0.613, 0.207, 1.0, 1.0),
    (0.333, 0.251, 0.338, 0.257),
)
"""Boxes at borders and corners, narrower than a pixel of the features, and of no whole number of pixels: fractions."""
_ERRORS_ONLY = 3
"""Log level of ONNX Runtime."""
_MAX_GROWTH = 0.05
"""Most that a side of a repeated box moves outwards, as a fraction of the image."""

Inputs = Mapping[str, Tensor]
"""``images (B, 3, IH, IW)`` and, for a model with a roi head, ``rois (N, 5)``."""
Array = NDArray[np.float32]
Probabilities = NDArray[np.float64]
"""Of the classes, on axis 1."""


class MaskAgreement(NamedTuple):
    """Pixels that both models give the same person class, and pixels that either gives a person class."""

    both: int
    either: int

    @property
    def iou(self) -> float:
        """Intersection over union, in [0, 1]; 1 where neither model finds a person."""
        return self.both / self.either if self.either else 1.0


def parity_inputs(dataset: PersonDataset, *, with_rois: bool) -> list[Inputs]:
    """Images and rois for every combination of :data:`IMAGE_COUNTS` and :data:`ROI_COUNTS`, and :data:`ODD_BOXES`.

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
    if with_rois:
        images = cases[-1]["images"]
        index = (torch.arange(len(ODD_BOXES))[:, None] + 1) % len(images)  # the last image first, as above
        cases.append({"images": images, "rois": torch.cat([index.float(), torch.tensor(ODD_BOXES)], dim=1)})
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


def compare(
    content: bytes, student: nn.Module, cases: Sequence[Inputs], tolerances: ParityTolerances
) -> list[ParityCase]:
    """Runs ONNX Runtime on the CPU and PyTorch, and compares their outputs case by case.

    Args:
        content: The ONNX model.
        student: Called with the inputs by name; returns a tuple in the order of the ONNX model's outputs.
        cases: Inputs, see :func:`parity_inputs`.
        tolerances: Its margin says which pixels may change their class.
    """
    session = open_session(content)
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Inputs) -> Mapping[str, Array]:
        outputs = session.run(names, {name: tensor.numpy() for name, tensor in inputs.items()})
        return dict(zip(names, outputs, strict=True))

    return [_compare_case(run, names, student, inputs, tolerances) for inputs in cases]


def compare_model(
    model: OwnModel, student: ExportableStudent, cases: Sequence[Inputs], tolerances: ParityTolerances
) -> list[ParityCase]:
    """As :func:`compare`, of a file of any format, as the package for prediction runs it.

    Raises:
        PredictionError: It cannot be run.
    """
    no_rois = np.zeros((0, 5), np.float32)

    def run(inputs: Inputs) -> Mapping[str, Array]:
        rois = inputs["rois"].numpy() if "rois" in inputs else no_rois
        return model.run(inputs["images"].numpy(), rois)

    return [_compare_case(run, student.outputs, student, inputs, tolerances) for inputs in cases]


def open_session(content: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU, with as many threads as PyTorch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def _compare_case(
    run: Callable[[Inputs], Mapping[str, Array]],
    names: Sequence[str],
    student: nn.Module,
    inputs: Inputs,
    tolerances: ParityTolerances,
) -> ParityCase:
    """The figures of each output of one case, and the agreement of the masks over all of them."""
    expected = [output.numpy() for output in student(**inputs)]
    exported = run(inputs)
    return case_of(
        [(name, one, exported[name]) for name, one in zip(names, expected, strict=True)],
        images=len(inputs["images"]),
        rois=len(inputs.get("rois", ())),
        tolerances=tolerances,
    )


def case_of(
    compared: Sequence[tuple[str, Array, Array]],
    *,
    images: int,
    rois: int,
    tolerances: ParityTolerances,
    detections: DetectionFigures | None = None,
) -> ParityCase:
    """The figures of a case from its outputs: name, expected and exported, see :func:`compare_output`."""
    outputs = tuple(compare_output(*output, tolerances) for output in compared)
    agreements = [agreement(*output) for output in compared]
    return ParityCase(
        images=images,
        rois=rois,
        max_difference=max(output.max_difference for output in outputs),
        mask_iou=MaskAgreement(sum(a.both for a in agreements), sum(a.either for a in agreements)).iou,
        outputs=outputs,
        detections=detections,
    )


def compare_output(name: str, expected: Array, exported: Array, tolerances: ParityTolerances) -> OutputParity:
    """The figures of one output.

    Args:
        name: ``masks``, which are logits ``(N, 3, H, W)``, or ``binary_masks``, person probabilities ``(B, 1, H, W)``.
        expected: What PyTorch gives.
        exported: What the exported model gives. Has it another shape, or is a value not finite, both differences are
            :data:`~human_edge_detection.runs.records.LARGEST_AMOUNT`, and all pixels count as changed.
        tolerances: Its margin says which pixels may change their class.
    """
    trained = probabilities_of(name, expected)
    if not _are_comparable(expected, exported):
        changes = trained[:, 0].size
        return OutputParity(
            output=name,
            max_difference=LARGEST_AMOUNT,
            max_probability_difference=LARGEST_AMOUNT,
            class_changes=changes,
        )
    other = probabilities_of(name, exported)
    changed = trained.argmax(axis=1) != other.argmax(axis=1)
    return OutputParity(
        output=name,
        max_difference=_max_difference(expected, exported),
        max_probability_difference=_max_difference(trained, other),
        class_changes=int((changed & (_margin(trained) >= tolerances.margin)).sum()),
    )


def agreement(name: str, expected: Array, exported: Array) -> MaskAgreement:
    """How well the masks of two outputs agree, see :func:`compare_output`; where that cannot be said, in no pixel."""
    if not _are_comparable(expected, exported):
        return MaskAgreement(0, 1)
    first, second = (probabilities_of(name, output).argmax(axis=1) for output in (expected, exported))
    person = (first > 0) | (second > 0)
    return MaskAgreement(int((person & (first == second)).sum()), int(person.sum()))


def _are_comparable(expected: Array, exported: Array) -> bool:
    return expected.shape == exported.shape and bool(np.isfinite(expected).all() and np.isfinite(exported).all())


def _max_difference(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    return min(float(np.abs(one.astype(np.float64) - other).max(initial=0.0)), LARGEST_AMOUNT)


def _margin(probabilities: Probabilities) -> Probabilities:
    """The largest probability minus the second one, without axis 1."""
    ordered = np.sort(probabilities, axis=1)
    margin: Probabilities = ordered[:, -1] - ordered[:, -2]
    return margin


def _of_logits(logits: Array) -> Probabilities:
    probabilities: Probabilities = torch.from_numpy(logits).double().softmax(dim=1).numpy()
    return probabilities


def _of_person(probability: Array) -> Probabilities:
    """``(B, 1, H, W)`` as the two classes no person and person: above 0.5 it is a person."""
    person = probability.astype(np.float64)
    return np.concatenate([1.0 - person, person], axis=1)


_PROBABILITIES: Final[Mapping[str, Callable[[Array], Probabilities]]] = {
    "masks": _of_logits,
    "binary_masks": _of_person,
}
"""Output -> how its values become probabilities of classes."""


def probabilities_of(output: str, values: Array) -> Probabilities:
    """The probabilities of classes, on axis 1, that the values of an output stand for."""
    return _PROBABILITIES[output](values)


def summarise(
    cases: list[ParityCase],
    tolerances: ParityTolerances,
    *,
    onnx: str,
    content: bytes,
    checkpoint_sha256: str,
    opset: int,
    detector: DetectorParity | None = None,
) -> ParityReport:
    """The report of all cases of the model ``content``: the worst figures, and whether they are within tolerances.

    With ``detector``, which is of the model beside it, it passes if that passes too.
    """
    outputs = [output for case in cases for output in case.outputs]
    problems = [problem_of(cases, tolerances), None if detector is None else detector.problem]
    problem = "; ".join(filter(None, problems)) or None
    return ParityReport(
        onnx=onnx,
        checkpoint_sha256=checkpoint_sha256,
        opset=opset,
        size_bytes=len(content),
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        tolerances=tolerances,
        max_difference=max(case.max_difference for case in cases),
        max_probability_difference=max(output.max_probability_difference for output in outputs),
        class_changes=sum(output.class_changes for output in outputs),
        mask_iou=min(case.mask_iou for case in cases),
        passed=problem is None,
        problem=problem,
        cases=cases,
        detector=detector,
    )


def problem_of(cases: Iterable[ParityCase], tolerances: ParityTolerances) -> str | None:
    """The worst of each figure of masks that is not allowed, with tolerance and where, in one line; None if all are."""
    compared = [(output, f"images: {case.images}, rois: {case.rois}") for case in cases for output in case.outputs]
    furthest, of_furthest = max(compared, key=lambda pair: pair[0].max_probability_difference)
    if furthest.max_probability_difference >= LARGEST_AMOUNT:
        return f"{furthest.output} have another shape than PyTorch's, or values that are not finite ({of_furthest})"
    problems = []
    if furthest.max_probability_difference > tolerances.probability:
        problems.append(
            f"probabilities of {furthest.output} differ from PyTorch's by {furthest.max_probability_difference:.3g} "
            f"({of_furthest}; allowed: {tolerances.probability:g})"
        )
    changed, of_changed = max(compared, key=lambda pair: pair[0].class_changes)
    if changed.class_changes > 0:
        problems.append(
            f"{changed.class_changes} pixels of {changed.output} have another class "
            f"({of_changed}; allowed: 0 where the margin is {tolerances.margin:g} or more)"
        )
    return ", and ".join(problems) or None


def require_passed(report: ParityReport) -> None:
    """Raises an error for a report of a model whose outputs differ.

    Raises:
        ExportError: The report has not passed; the message has the worst figures, what is allowed, and where.
    """
    if not report.passed:
        raise ExportError(
            f"{report.problem}; {report.onnx} was not written; export another checkpoint, or report this with the "
            "checkpoint"
        )
