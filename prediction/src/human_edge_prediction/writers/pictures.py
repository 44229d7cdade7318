"""Predictions as pictures: overlays, a mask for each person, classes, cut-outs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.prediction import BACKGROUND, OTHERS, PERSON, Prediction
from human_edge_prediction.sources.frames import Frame
from human_edge_prediction.sources.listing import Source
from human_edge_prediction.writers.files import jpeg, png
from human_edge_prediction.writers.writer import FileForEach, FolderForEach, Target

CLASS_COLOURS: Final = {BACKGROUND: (0, 0, 0), PERSON: (230, 159, 0), OTHERS: (86, 180, 233)}
"""By value of a class map, RGB."""
_SOFT_PX: Final = 1.0
"""Over so many pixels, standard deviation, a soft edge goes from the person to nothing."""


class OverlayWriter(FileForEach):
    """The image with the persons drawn on it, ``NAME.jpg``."""

    def __init__(self, folder: Path, *, of_videos: bool = True) -> None:
        """Where to write.

        Args:
            folder: For all images.
            of_videos: Of the frames of videos too.
        """
        super().__init__(folder, ".jpg")
        self._of_videos = of_videos

    def targets(self, source: Source) -> Iterable[Target]:
        """As of :class:`FileForEach`."""
        return super().targets(source) if self._of_videos or not source.is_video else []

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """As of :class:`FileForEach`."""
        if self._of_videos or frame.index is None:
            super().write(frame, prediction)

    def content(self, frame: Frame, prediction: Prediction) -> bytes:
        """As of :class:`FileForEach`."""
        return jpeg(prediction.draw(frame.image))


class ClassMapWriter(FileForEach):
    """The class of each pixel, ``NAME.png`` of the image's size: values of ``class_map``, shown by a palette."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ".png")

    def content(self, frame: Frame, prediction: Prediction) -> bytes:
        """As of :class:`FileForEach`."""
        return palette_png(prediction.class_map())


class MaskWriter(FolderForEach):
    """One mask a person, ``NAME/000.png`` of the image's size: 255 in the person, 0 elsewhere."""

    def contents(self, frame: Frame, prediction: Prediction) -> Iterator[tuple[int, bytes]]:
        """As of :class:`FolderForEach`."""
        for person in prediction.persons():
            mask = np.zeros(prediction.image_size, np.uint8)
            mask[person.place] = person.mask * np.uint8(255)
            yield person.number, png(mask)


class CutoutWriter(FolderForEach):
    """Each person cut out of the image, ``NAME/000.png`` as large as its mask, transparent around it."""

    def __init__(self, folder: Path, *, soft: bool) -> None:
        """Where to write.

        Args:
            folder: For all images.
            soft: Edges fade over two pixels, instead of ending at one.
        """
        super().__init__(folder)
        self._soft = soft

    def contents(self, frame: Frame, prediction: Prediction) -> Iterator[tuple[int, bytes]]:
        """As of :class:`FolderForEach`; a person without a pixel has no file."""
        for person in prediction.persons():
            if not person.mask.any():
                continue
            alpha = person.mask * np.uint8(255)
            if self._soft:
                alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), _SOFT_PX), np.uint8)
            x, y, width, height = cv2.boundingRect(alpha)
            inside = (slice(y, y + height), slice(x, x + width))
            pixels = frame.image[person.place][inside]
            yield person.number, png(np.dstack([pixels, alpha[inside]]))


def palette_png(classes: NDArray[np.uint8]) -> bytes:
    """Classes ``(H, W)`` as a PNG that has them as values and shows them in colours, which OpenCV cannot write."""
    height, width = classes.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits, palette, plain, no interlacing
    palette = bytes(value for number in sorted(CLASS_COLOURS) for value in CLASS_COLOURS[number])
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = classes
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
