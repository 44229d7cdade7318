"""What a run says of itself: status.json while it runs, result.json when it has finished."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.base import Section

Kind = TypeVar("Kind", bound=Section)
State = Literal["running", "finished", "interrupted", "failed"]
EpochRecord = dict[str, float | int | None]
"""What is recorded of one epoch: a line of metrics.jsonl."""
_EPOCH_RECORD: Final = TypeAdapter(EpochRecord)
_SHOWN: Final = 120
"""Characters of a field's path in a message: keys of a damaged file can be anything."""


class RunStatus(Section):
    """Where a run stands. ``running`` with a dead process means that it was killed."""

    state: State
    epoch: int = Field(0, ge=0, description="Epochs completed.")
    epochs: int = Field(ge=0, description="Epochs in all.")
    step: int = Field(0, ge=0, description="Optimizer updates done.")
    error: str | None = None
    pid: int
    host: str
    started: str
    updated: str
    beats: int = Field(0, ge=0, description="Grows while the run makes steps or validates; standing still: it hangs.")


class CheckpointSummary(Section):
    """What can be said of a checkpoint without opening it; the ``.json`` beside it."""

    experiment: str
    sha256: str
    """Of the file."""
    size_bytes: int | None = None
    """Of the file; None in summaries of older versions."""
    epoch: int
    metrics: dict[str, float | None]
    data_fingerprint: str
    step: int | None = None
    """Optimizer updates done; none in a checkpoint that is only weights."""


class SkippedSample(Section):
    """An image that was left out because it, or its annotation, cannot be used."""

    file_name: str
    problem: str


class RunResult(Section):
    """What a finished run reports; one comparison row is made of it."""

    experiment: str
    run_name: str
    seed: int
    encoder: str
    teacher_checkpoint: str | None = None
    teacher_sha256: str | None = None
    """Of several teachers, joined by ``+``; the other fields are of the first, ``teacher_miou`` of them together."""
    teacher_experiment: str | None = None
    teacher_encoder: str | None = None
    teacher_miou: float | None = None
    teacher_parameters: int | None = None
    temperature: float | None = None
    alpha: float | None = None
    """Both as the config has them: of the first epoch."""
    last_temperature: float | None = None
    last_alpha: float | None = None
    """As they were in the last epoch, where a schedule changes them."""
    last_loss: float | None = None
    last_hard_loss: float | None = None
    last_soft_loss: float | None = None
    """Means over the steps of the last epoch: the total, and its parts from ground truth and teacher, which
    add up to it. None in results of older versions; there is no soft part where nobody teaches."""
    unet_parameters: int
    total_parameters: int
    best_epoch: int
    epochs: int
    metrics: dict[str, float | None]
    """Validation metrics of the best epoch."""
    seconds: float
    """Spent in training steps and waiting for their data; validation and saving not counted."""
    images: int | None = None
    """Training images seen."""
    images_per_second: float | None
    """Training images a second, validation and saving not counted."""
    best_checkpoint: str
    """Relative to the folder of result.json, so that it holds when the run is renamed."""
    data_fingerprint: str
    """Of the validation annotations."""
    training_fingerprint: str | None = None
    """Of the training annotations."""
    validation_images: str | None = None
    """Fingerprint of the validation images; None in results of older versions, which did not look."""
    training_images: str | None = None
    """Of the training images."""
    early_stopped: bool = False
    skipped_samples: tuple[SkippedSample, ...] = ()
    """Of both splits, where ``data.on_bad_sample`` is ``skip``."""


class ParityCase(Section):
    """One comparison of the exported model with the trained one."""

    images: int
    rois: int
    max_difference: float
    mask_iou: float


class ParityReport(Section):
    """What the export measured; parity.json."""

    onnx: str
    """Relative to the folder of parity.json, so that it holds when the run is renamed."""
    checkpoint_sha256: str
    opset: int
    size_bytes: int
    onnx_sha256: str | None = None
    """Of the file; None in reports of older versions."""
    tolerance: float
    max_difference: float
    mask_iou: float
    passed: bool
    cases: list[ParityCase]


def read_section(kind: type[Kind], path: Path) -> Kind | None:
    """The ``kind`` stored at ``path``; None when there is no file.

    Raises:
        CheckpointError: The file is there and is not what it should be.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise CheckpointError(
            f"{path}: not a valid {kind.__name__} ({problem_of(error)}); "
            "it is damaged or of another version of this tool; move it away and start anew"
        ) from error


def read_history(path: Path) -> list[EpochRecord]:
    """The records of metrics.jsonl, one an epoch; none when there is no such file.

    Raises:
        CheckpointError: It is damaged.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    try:
        return [_EPOCH_RECORD.validate_json(line, strict=True) for line in lines]
    except ValidationError as error:
        raise CheckpointError(
            f"{path}: expected a JSON object of numbers a line ({problem_of(error)}); restore it, or train the run anew"
        ) from error


def problem_of(error: ValidationError) -> str:
    """The first thing that is wrong, ``field: problem`` in one line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = " ".join(".".join(map(str, first["loc"])).split())
    return f"{place[:_SHOWN]}: {first['msg']}" if place else first["msg"]
