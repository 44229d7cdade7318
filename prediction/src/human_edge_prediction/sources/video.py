"""Frames of a video file, turned as the file says."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import cv2
import numpy as np

from human_edge_prediction.errors import SourceError
from human_edge_prediction.images.read import Image

USUAL_FPS: Final = 25.0
"""Taken where a file does not say."""
_MOST_FPS: Final = 1000.0
_MISSING_SHARE: Final = 0.9
"""A file counts its frames from its duration, which is a little wrong in many. With fewer than that it is cut off."""
_QUIET: Final = "-8"
"""Log level of FFmpeg at which it writes nothing."""


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """OpenCV and FFmpeg say nothing on standard error: what is wrong is said here, in one line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _QUIET)
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


class Video:
    """A video file that is open; a context manager.

    Attributes:
        path: The file.
        fps: Frames a second.
        frames: How many there are, as the file says; None: it does not say.
    """

    def __init__(self, path: Path) -> None:
        """Opens a file.

        Raises:
            SourceError: It is missing or no video, or cannot be decoded.
        """
        if not path.is_file():
            raise SourceError(f"{path}: {'is not a file' if path.exists() else 'no such file'}; give a video file")
        with quiet_opencv():
            self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SourceError(
                f"{path}: is no video that can be decoded, or a damaged one; convert it, for example to MP4 with H.264"
            )
        self.path = path
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 0 < fps <= _MOST_FPS else USUAL_FPS
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frames = int(count) if math.isfinite(count) and 0 < count < 2**31 else None

    def __iter__(self) -> Iterator[Image]:
        """The frames, ``(H, W, 3)`` RGB, one after the other.

        Raises:
            SourceError: Nothing, or far less than the file says, can be decoded; what can has been given before.
        """
        count = 0
        while True:
            there, frame = self._capture.read()
            if not there:
                break
            count += 1
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        if not count:
            raise SourceError(f"{self.path}: not one frame of this video can be decoded; convert it")
        if self.frames is not None and count < self.frames * _MISSING_SHARE:
            raise SourceError(f"{self.path}: is cut off or damaged: {count} of {self.frames} frames can be decoded")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._capture.release()
