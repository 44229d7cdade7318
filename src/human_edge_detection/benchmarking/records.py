"""What is asked of a benchmark, and what comes out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from human_edge_detection.errors import ConfigError

Size = tuple[int, int]
"""(height, width) in pixels."""
_MAX_THREADS: Final = 1024
_MAX_ROIS: Final = 1000
_MAX_ROUNDS: Final = 100_000
_SIDES_PX: Final = (32, 4096)
_STRIDE_PX: Final = 32
"""What the sides of an image are multiples of."""


@dataclass(frozen=True)
class Settings:
    """What is varied, and how often each case is measured.

    Attributes:
        threads: Numbers of threads of the CPU.
        image_sizes: (height, width) of the images, for what can be exported; None: each model's own.
        rois: Numbers of boxes that models with a head for rois are asked about.
        rounds: Measurements of each case.

    Raises:
        ConfigError: A value is out of range; named as the flags are.
    """

    threads: tuple[int, ...] = (1,)
    image_sizes: tuple[Size, ...] | None = None
    rois: tuple[int, ...] = (1, 3, 10)
    rounds: int = 50

    def __post_init__(self) -> None:
        for name, values, most in (
            ("threads", self.threads, _MAX_THREADS),
            ("rois", self.rois, _MAX_ROIS),
            ("rounds", (self.rounds,), _MAX_ROUNDS),
        ):
            if not values or any(not 1 <= value <= most for value in values):
                raise ConfigError(f"--{name}: expected 1 to {most}, got {', '.join(map(str, values)) or 'none'}")
        for height, width in self.image_sizes or ():
            if any(side % _STRIDE_PX or not _SIDES_PX[0] <= side <= _SIDES_PX[1] for side in (height, width)):
                raise ConfigError(
                    f"--image_sizes: sides must be multiples of {_STRIDE_PX}, from {_SIDES_PX[0]} to {_SIDES_PX[1]}, "
                    f"got {height}x{width}"
                )


@dataclass(frozen=True)
class Row:
    """One file in one setting.

    Attributes:
        model: Name of the run, the experiment or the file.
        file: The format of the file: onnx, tflite or xml.
        weights: trained, random or foreign.
        kind: What it gives: person_map, instances, boxes.
        image_height: In pixels.
        image_width: In pixels.
        rois: Boxes that it was asked about; None: it takes none.
        threads: Of the CPU.
        provider: What computes.
        median_ms: Of the time for one image.
        p95_ms: 95 % of the rounds took no longer.
        cpu_ms: Median of the processor time of all threads, which other programs hardly change.
        ratio: Time of this over that of the reference, median over the rounds.
        memory_mib: Growth of a process that runs this and nothing else.
        file_mib: Of the file.
        miou: As of ``hed evaluate``; None: no head for rois, random weights, or no data were given.
        person_iou: Of the person map, over the pixels of the image files.
        AP: COCO mask AP in the true boxes, as of ``hed evaluate``.
    """

    model: str
    file: str
    weights: str
    kind: str
    image_height: int
    image_width: int
    rois: int | None
    threads: int
    provider: str
    median_ms: float
    p95_ms: float
    cpu_ms: float
    ratio: float | None
    memory_mib: float | None
    file_mib: float
    miou: float | None = None
    person_iou: float | None = None
    AP: float | None = None

    @property
    def size(self) -> Size:
        """(height, width) of the image."""
        return (self.image_height, self.image_width)


@dataclass(frozen=True)
class Benchmark:
    """What was measured, where, and what has to be known about it.

    Attributes:
        rows: One for each file and setting.
        reference: The model that ratios are of.
        settings: That were asked for.
        machine: Processor, cores, load before, versions.
        data: Annotations, their fingerprint, images and persons; None: accuracy was not asked for.
        metrics: Of each file, by ``model`` and image size: every metric of ``hed evaluate``.
        notes: In the reader's words.
    """

    rows: tuple[Row, ...]
    reference: str
    settings: Settings
    machine: dict[str, Any]
    data: dict[str, Any] | None = None
    metrics: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)
