"""Views by an albumentations pipeline, in the place of the built-in ones: image and masks at the image's resolution."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.views.pipeline_file import (
    FIELD,
    NOT_BUILT,
    arguments_of,
    build_pipeline,
    compose_of,
    one_line,
)
from human_edge_detection.errors import ConfigError, DataError
from human_edge_detection.files.read import file_sha256

_TRIED_SIZES: Final = ((192, 256), (2048, 2048))
"""Height and width of images that each transform is tried on; the second for crops that the first is too small for."""


class Transformed(NamedTuple):
    """What a pipeline made of an image, and how.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB; of another size than the image was, where a transform says so.
        masks: ``(M, H, W)`` uint8, 0 or 1.
        inside: ``(H, W)`` uint8, 0 where the image does not reach.
        applied: Name of each transform that took part, with what it drew.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    inside: NDArray[np.uint8]
    applied: tuple[tuple[str, Mapping[str, Any]], ...]


class Pipeline:
    """A pipeline of albumentations. Not for several threads at once; processes may have copies."""

    def __init__(self, path: Path) -> None:
        """Reads a file and tries each of its transforms.

        Args:
            path: YAML or JSON, as ``A.save`` writes it.

        Raises:
            ConfigError: As :func:`~human_edge_detection.data.views.pipeline_file.build_pipeline` does; or a transform
                needs more than an image with masks and boxes, or makes something else than that of them.
        """
        self.path = path
        self._compose, self._leaves = build_pipeline(path)
        for place, transform in self._leaves:
            self._try(place, transform)

    @property
    def transforms(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Name and arguments of each transform, its probability ``p`` among them."""
        return [(type(transform).__name__, arguments_of(transform)) for _, transform in self._leaves]

    def apply(self, image: NDArray[np.uint8], masks: NDArray[np.uint8], rng: np.random.Generator) -> Transformed:
        """Transforms an image with its masks; equal states of ``rng`` give equal results, in any process.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            masks: ``(M, H, W)`` uint8, 0 or 1; transforms that look for boxes see those around them.
            rng: Source of all randomness.

        Raises:
            DataError: A transform cannot take this image; the message lacks its subject.
        """
        # Generators shared by all transforms: set_random_seed would give each its own with the same seed, so that
        # all of them drew the same numbers, and flips would come with blurs.
        generator, python = (int(rng.integers(2**63)) for _ in range(2))
        self._compose.set_random_state(np.random.default_rng(generator), random.Random(python))  # noqa: S311
        try:
            return _call(self._compose, image, masks)
        except (*NOT_BUILT, cv2.error, _crop_size_error()) as error:
            raise DataError(f"{FIELD} {self.path}: {one_line(error)}; change the pipeline") from error

    def _try(self, place: str, transform: Any) -> None:
        """Applies a copy of one transform to a made-up image with two persons, whatever its probability is."""
        copied = copy.deepcopy(transform)
        copied.p = 1.0
        alone = compose_of([copied])
        problem = None
        for height, width in _TRIED_SIZES:
            image = np.full((height, width, 3), 127, np.uint8)
            masks = np.zeros((2, height, width), np.uint8)
            masks[0, height // 4 :, width // 8 : width // 3] = masks[1, : height // 2, width // 2 :] = 1
            try:
                alone.set_random_state(np.random.default_rng(0), random.Random(0))  # noqa: S311
                _call(alone, image, masks)
                problem = None
                break
            except (*NOT_BUILT, cv2.error, _crop_size_error()) as error:
                problem = one_line(error)
        if problem is not None:
            raise ConfigError(f"{FIELD} {self.path}: {place}: {problem}; leave it out, or change its arguments")


def check_pipeline(path: Path) -> None:
    """Refuses a file that :class:`Pipeline` refuses; one that was good is not tried again while it stays as it is.

    Raises:
        ConfigError: Says what is wrong with it.
    """
    _try_once(path, file_sha256(path))


@lru_cache(maxsize=64)
def _try_once(path: Path, sha256: str | None) -> None:
    Pipeline(path)


def _call(compose: Any, image: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Transformed:
    """One call of albumentations.

    Raises:
        ValueError: What came out is not an image of uint8 RGB with masks of its size.
    """
    planes = np.concatenate([masks, np.ones((1, *image.shape[:2]), np.uint8)])
    boxes = np.array([tight_box(mask) for mask in masks], np.float32).reshape(-1, 4)
    boxes = boxes[boxes[:, 2] > 0]
    output = compose(image=image, masks=planes, bboxes=boxes, labels=np.arange(len(boxes)))
    made, layers = output["image"], output["masks"]
    is_image = isinstance(made, np.ndarray) and made.dtype == np.uint8 and made.shape[2:] == (3,) and made.size
    if not is_image:
        shape = tuple(getattr(made, "shape", ()))
        raise ValueError(f"makes {getattr(made, 'dtype', type(made).__name__)} {shape}, expected uint8 (H, W, 3)")
    layers = np.asarray(layers)
    if layers.shape != (len(planes), *made.shape[:2]):
        raise ValueError(f"makes masks of {layers.shape[1:]} for an image of {made.shape[:2]}")
    layers = (layers > 0).astype(np.uint8)
    return Transformed(np.ascontiguousarray(made), layers[:-1], layers[-1], tuple(output.get("applied_transforms", ())))


def tight_box(mask: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """``x1, y1, x2, y2`` around what is not 0, in pixels; zeros for an empty mask."""
    x, y, width, height = cv2.boundingRect(mask)
    return x, y, x + width, y + height


def _crop_size_error() -> Any:
    """What crops raise that are larger than the image; it is not among the built-in kinds of errors."""
    from albumentations.augmentations.crops.transforms import CropSizeError

    return CropSizeError
