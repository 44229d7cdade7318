"""What a run says of itself: status.json while it runs, result.json when it has finished; and what a probe found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.base import Fraction, Section
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.read import read_regular_file
from human_edge_detection.files.strict_json import MAX_BYTES, read_json

Kind = TypeVar("Kind", bound=Section)
State = Literal["running", "finished", "interrupted", "failed"]
EpochRecord = dict[str, float | int | None]
"""What is recorded of one epoch: a line of metrics.jsonl."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""What is counted, or numbered: a float holds it exactly."""
LARGEST_AMOUNT: Final = 1e15
Amount = Annotated[float, Field(ge=0.0, le=LARGEST_AMOUNT)]
"""What is measured and not negative: seconds, images a second, differences."""
MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=60)]
Scores = dict[MetricName, Fraction | None]
"""Metrics by name."""
_EPOCH_RECORD: Final[TypeAdapter[EpochRecord]] = TypeAdapter(dict[str, Count | FiniteFloat | None])
MAX_HISTORY_BYTES: Final = 1 << 28
"""Of metrics.jsonl: 50,000 epochs."""
_MOVE_AWAY: Final = "move it away, and give the training command of its run again"
_DELETE: Final = "delete this file and give the training command again"
_ADVICE: Final = {
    "config.json": "restore it from a backup, or move the folder of the run away",
    "contents.json": "delete this file alone: what it says is found anew",
    "resumed_from.json": "delete this file alone",
    "status.json": f"{_DELETE}: it is written anew",
    "result.json": f"{_DELETE}: it validates once and trains nothing",
    "soft_labels_metadata.json": "delete this file and give hed soft-labels again",
    "parity.json": "delete this file and export again",
    "latency.json": "delete this file alone: hed run --export_onnx measures anew",
    "test_scores.json": "delete this file alone: hed evaluate --split test makes it anew",
    "test_per_image.json": "delete this file alone: hed evaluate --split test makes it anew",
}
"""What to do about a damaged file, by its name; the runs themselves are in their checkpoints."""
_SHOWN: Final = 120
"""Characters of a field's path in a message: keys of a damaged file can be anything."""


class RunStatus(Section):
    """Where a run stands. ``running`` with a dead process means that it was killed."""

    state: State
    epoch: Count = Field(0, description="Epochs completed.")
    epochs: Count = Field(description="Epochs in all.")
    step: Count = Field(0, description="Optimizer updates done.")
    steps: Count | None = Field(None, description="Optimizer updates in all; unknown before the first.")
    seconds_per_step: Amount | None = None
    """On the clock, validation and saving included, as this process has seen it so far."""
    error: str | None = None
    pid: int = Field(ge=1, lt=2**31)
    host: str
    started: str
    updated: str
    peak_bytes: Count | None = None
    """Most memory that this process has held so far, helpers left out; null where the system does not tell."""
    beats: Count = Field(0, description="Grows while the run makes steps or validates; standing still: it hangs.")


class CheckpointSummary(Section):
    """What can be said of a checkpoint without opening it; the ``.json`` beside it."""

    experiment: str
    sha256: str
    """Of the file."""
    size_bytes: Count | None = None
    """Of the file; None in summaries of older versions."""
    epoch: Count
    metrics: Scores
    data_fingerprint: str
    step: Count | None = None
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
    teacher_miou: Fraction | None = None
    teacher_parameters: Count | None = None
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
    unet_parameters: Count
    total_parameters: Count
    best_epoch: Count
    epochs: Count
    metrics: Scores
    """Validation metrics of the best epoch, and of what a detector then finds."""
    seconds: Amount
    """Spent in training steps and waiting for their data; validation and saving not counted."""
    images: Count | None = None
    """Training images seen."""
    images_per_second: Amount | None
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
    unlabelled: str | None = None
    """Of the images without labels that the teacher alone spoke about, and of where the boxes on them came from."""
    early_stopped: bool = False
    skipped_samples: tuple[SkippedSample, ...] = ()
    """Of both splits, where ``data.on_bad_sample`` is ``skip``."""
    teacher_kind: str | None = None
    """Of an external teacher: of a model file ``person_map``, ``instances``, ``prompted`` or ``exported`` (our own), of
    answers in files ``results`` or ``maps``."""
    teacher_full_image_iou: Fraction | None = None
    """IoU of the teacher's person map on the validation data; None in results of older versions."""


class ParityTolerances(Section):
    """What an exported model may answer otherwise than the trained one."""

    probability: Fraction
    """Largest absolute difference of a probability."""
    margin: Fraction
    """Where the trained model's two largest probabilities are closer than this, a pixel may change its class."""


class OutputParity(Section):
    """One output of the exported model, compared with the trained model's."""

    output: str
    max_difference: Amount
    """Of the values as they are: logits of ``masks``, probabilities of ``binary_masks``."""
    max_probability_difference: Amount
    """Of the probabilities of the classes."""
    class_changes: Count
    """Pixels of another class, without those that may change it."""


class DetectionFigures(Section):
    """What the exported detector finds in some images, compared with what the trained one finds."""

    min_score: Fraction
    """Who is less likely was not looked for."""
    max_box_difference: Amount
    """Of a coordinate, pixels."""
    max_score_difference: Amount
    missing: Count
    """Whom the trained model finds for sure and the exported one does not."""
    extra: Count
    """Whom the exported model finds where the trained one has nobody."""


class ParityCase(Section):
    """One comparison of the exported model with the trained one; its figures are the worst of its outputs."""

    images: Count
    rois: Count
    """That were given, or that the exported model found."""
    max_difference: Amount
    mask_iou: Fraction
    outputs: tuple[OutputParity, ...] = ()
    """None in reports of older versions."""
    detections: DetectionFigures | None = None
    """Of a model that finds the persons itself."""


class DetectorParity(Section):
    """The exported model that finds the persons itself, and what the export measured of it."""

    onnx: str
    """As :attr:`ParityReport.onnx`."""
    size_bytes: Count
    onnx_sha256: str
    max_probability_difference: Amount
    """Of the outputs that are masks, in the boxes that it found itself."""
    class_changes: Count
    max_box_difference: Amount
    """Of a coordinate, pixels."""
    max_score_difference: Amount
    missing: Count
    extra: Count
    """Of all cases, see :class:`DetectionFigures`."""
    problem: str | None = None
    """Why it has not passed, in one line."""
    cases: list[ParityCase]

    @property
    def in_words(self) -> str:
        """As :attr:`ParityReport.in_words`."""
        return (
            f"probabilities differ by at most {self.max_probability_difference:.2g}, scores by "
            f"{self.max_score_difference:.2g}, boxes by {self.max_box_difference:.2g} px, classes in "
            f"{self.class_changes} pixels"
        )


class ParityReport(Section):
    """What the export measured; parity.json."""

    onnx: str
    """The file, of whatever format; relative to the folder of parity.json, so that it holds when the run is renamed."""
    format: str = "onnx"
    runtime: str | None = None
    """What computed the file, with its version; None where nobody wrote it down."""
    checkpoint_sha256: str
    opset: Count
    """Of the ONNX graph that it is, or was made from."""
    size_bytes: Count
    """Of the file and what belongs to it, without metadata beside it."""
    onnx_sha256: str | None = None
    """Of the same; None in reports of older versions."""
    tolerance: Amount | None = None
    """Of ``max_difference``, in reports of older versions; None since :attr:`tolerances` are the rule."""
    tolerances: ParityTolerances | None = None
    """None in reports of older versions, as are the figures that they limit."""
    max_difference: Amount
    """Of the outputs as they are; only reported, as logits of a sure model are large, and so is their rounding."""
    max_probability_difference: Amount | None = None
    class_changes: Count | None = None
    """Of all cases and outputs."""
    mask_iou: Fraction
    passed: bool
    problem: str | None = None
    """Why it has not passed, in one line; None in reports of older versions."""
    cases: list[ParityCase]
    detector: DetectorParity | None = None
    """Of the model that finds the persons itself, where there is one; ``passed`` and ``problem`` are of both files, all
    else is of ``onnx`` alone."""

    @property
    def in_words(self) -> str:
        """The largest differences and what is allowed, for a line about an export."""
        if self.tolerances is None or self.max_probability_difference is None:
            return f"differs from PyTorch by {self.max_difference:.2g}, allowed {self.tolerance}"
        return (
            f"probabilities differ by at most {self.max_probability_difference:.2g} (allowed "
            f"{self.tolerances.probability:g}), raw outputs by {self.max_difference:.2g}, classes in "
            f"{self.class_changes} pixels"
        )


class LatencyReport(Section):
    """How long the exported model takes for one image on the processor; latency.json."""

    median_ms: Amount
    """Of one call, on the clock."""
    p95_ms: Amount
    """What 95 % of the calls stayed below."""
    cpu_ms: Amount
    """Median of the processor time, which other programs hardly change."""
    threads: Count
    rois: Count | None
    """None of a model that takes none."""
    image_size: tuple[Count, Count]
    """(height, width)."""
    rounds: Count
    """In each of which every model of the measurement had its turn."""
    onnx_sha256: str
    """Of the file that was measured."""
    measured: str
    """When, in UTC."""
    processor: str
    together_with: str
    """Name of the measurement: figures are comparable where it is equal, as these models took turns."""


class ProbeRequest(Section):
    """A few steps of a training that are to be measured, with random weights."""

    config: ExperimentConfig
    teachers: tuple[ExperimentConfig, ...] = ()
    """Those that are asked in each step; none where there are none, or their soft labels are stored."""
    batch_sizes: tuple[Annotated[int, Field(ge=1)], ...]
    """Ascending; each is measured by itself."""
    steps: int = Field(ge=1)
    """Measured after one to warm up."""
    crowded: bool = False
    """Take the images with the most persons, which need the most memory, and not those that training begins with."""


class Probe(Section):
    """What a few steps of a training with one batch size took."""

    batch_size: Count
    steps: Count
    """So many were timed, after one to warm up."""
    seconds_per_step: Amount
    """Median on the clock: an optimizer update, with waiting for its batches."""
    seconds_per_validation_batch: Amount
    steps_per_epoch: Count
    validation_batches: Count
    epochs: Count
    training_images: Count
    peak_bytes: Count | None
    """Most memory that the process held, on a GPU what its tensors held there; null where nobody tells."""
    available_bytes: Count | None
    """What it might have held when it began."""
    device: str
    machine: str
    """The GPU, or the processor and its threads."""
    precision: str

    @property
    def seconds_per_epoch(self) -> float:
        """Training and validation; saving and drawing take more."""
        return (
            self.steps_per_epoch * self.seconds_per_step + self.validation_batches * self.seconds_per_validation_batch
        )


class ProbeReport(Section):
    """What a child found: the probes until the next one might not have fitted, or why there is none."""

    probes: tuple[Probe, ...] = ()
    error: str | None = None
    """What the user can mend."""


def read_section(kind: type[Kind], path: Path, *, max_bytes: int = MAX_BYTES) -> Kind | None:
    """The ``kind`` stored at ``path``; None when there is no file.

    Raises:
        CheckpointError: The file is there and cannot be read, or is not what it should be.
    """
    try:
        return read_json(TypeAdapter(kind), path, max_bytes=max_bytes)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise CheckpointError(
            f"{path}: not what this tool writes there ({problem_of(error)}): damaged, edited, or of another version; "
            f"{_ADVICE.get(path.name, _MOVE_AWAY)}"
        ) from error


def read_history(path: Path) -> list[EpochRecord]:
    """The records of metrics.jsonl, one an epoch; none when there is no such file.

    Raises:
        CheckpointError: It is damaged.
    """
    try:
        lines = read_regular_file(path, max_bytes=MAX_HISTORY_BYTES).splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return [_EPOCH_RECORD.validate_json(line, strict=True) for line in lines]
    except ValidationError as error:
        raise CheckpointError(
            f"{path}: expected a JSON object of numbers a line ({problem_of(error)}); restore it, or train the run anew"
        ) from error


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """What to say of a file of a run that the system does not let us read."""
    problem = error.strerror or type(error).__name__
    return CheckpointError(f"{path}: cannot be read ({problem}); mend its rights, or put a regular file there")


def problem_of(error: ValueError) -> str:
    """The first thing that is wrong, ``field: problem`` in one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = " ".join(".".join(map(str, first["loc"])).split())
    return f"{place[-_SHOWN:]}: {first['msg']}" if place else first["msg"]
