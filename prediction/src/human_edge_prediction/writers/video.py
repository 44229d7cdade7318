"""Predictions as a video: each video of the sources with the persons drawn on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2

from human_edge_prediction.errors import OutputError, SourceError
from human_edge_prediction.prediction import Prediction
from human_edge_prediction.sources.frames import Frame
from human_edge_prediction.sources.listing import Source
from human_edge_prediction.sources.video import Video, quiet_opencv
from human_edge_prediction.writers.files import forget, temporary_for, writing
from human_edge_prediction.writers.writer import Target

CODECS: Final = (("mp4v", ".mp4"), ("MJPG", ".avi"))
"""Code and suffix, the best first. H.264 would be smaller, and OpenCV is built without an encoder for it."""


class _Open(NamedTuple):
    """A video that is being written: as ``temporary``, to be called ``path``."""

    source: Source
    size: tuple[int, int]
    encoder: Any
    temporary: Path
    path: Path


class VideoWriter:
    """``NAME.mp4`` with the frames and the rate of the source; without its sound, and of image files nothing."""

    def __init__(self, folder: Path, said: Callable[[str], None]) -> None:
        """Where to write.

        Args:
            folder: For all videos.
            said: Is told when another codec has to do.
        """
        self.place = folder
        self._said = said
        self._open: _Open | None = None
        self._frames = 0

    def targets(self, source: Source) -> Iterable[Target]:
        """As of ``Writer``."""
        return [Target(self.place / f"{source.name}{suffix}") for _, suffix in CODECS] if source.is_video else []

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """As of ``Writer``."""
        if frame.fps is None:
            return
        if self._open is None or self._open.source != frame.source:
            self.close()
            self._open, self._frames = self._start(frame, frame.fps), 0
        drawn = cv2.cvtColor(prediction.draw(frame.image), cv2.COLOR_RGB2BGR)
        height, width = self._open.size
        if frame.size != (height, width):  # some cameras change it within a file, and a video has one
            drawn = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
        self._open.encoder.write(drawn)
        self._frames += 1

    def close(self) -> None:
        """Ends the video that is being written: what there is of it is a whole one.

        Raises:
            OutputError: It is not, as the disk is full: OpenCV says nothing of that.
        """
        if self._open is not None:
            ended, self._open = self._open, None
            ended.encoder.release()
            if not _is_whole(ended.temporary, self._frames):
                forget(ended.temporary)
                raise OutputError(f"{ended.path} cannot be written; check free space and rights of its folder")
            with writing(ended.path):
                ended.temporary.replace(ended.path)

    def _start(self, frame: Frame, fps: float) -> _Open:
        height, width = frame.size
        for number, (code, suffix) in enumerate(CODECS):
            path = self.place / f"{frame.source.name}{suffix}"
            temporary = temporary_for(path)
            with quiet_opencv():
                encoder = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*code), fps, (width, height))
            if encoder.isOpened():
                if number:
                    self._said(f"{path}: there is no encoder for {CODECS[0][1]} here; written as {code}")
                return _Open(frame.source, (height, width), encoder, temporary, path)
            encoder.release()
            forget(temporary)
        raise OutputError(
            f"{self.place}: OpenCV has no encoder here that writes video; give --save overlay instead, and join "
            "these pictures with another program"
        )


def _is_whole(path: Path, frames: int) -> bool:
    """Whether a video can be opened and has so many frames, or one less, as rates are rounded."""
    try:
        with Video(path) as video:
            return video.frames is None or video.frames >= frames - 1
    except SourceError:
        return False
