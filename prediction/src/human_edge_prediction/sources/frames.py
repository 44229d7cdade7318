"""The images of sources, one after the other, those of videos among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from human_edge_prediction.errors import ImageFileError, SourceError
from human_edge_prediction.images.read import Image, read_image
from human_edge_prediction.sources.listing import Source
from human_edge_prediction.sources.video import Video


@dataclass(frozen=True, eq=False)
class Frame:
    """An image to predict on.

    Attributes:
        source: The file.
        image: ``(H, W, 3)`` RGB.
        index: Of the frame of a video, from 0; None: an image file.
        fps: Of the video; None: an image file.
    """

    source: Source
    image: Image
    index: int | None = None
    fps: float | None = None

    @property
    def name(self) -> str:
        """Of what is written for it: that of an image file, or of the video with a folder for its frames."""
        return self.source.name if self.index is None else f"{self.source.name}/{self.index:06d}"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.shape[0], self.image.shape[1]


def count_frames(sources: Sequence[Source]) -> int | None:
    """How many images there are, as far as video files tell; None when one does not."""
    total = 0
    for source in sources:
        if source.is_video:
            try:
                with Video(source.path) as video:
                    frames = video.frames
            except SourceError:  # said when it is its turn
                continue
            if frames is None:
                return None
            total += frames
        else:
            total += 1
    return total


def read_frames(sources: Sequence[Source], failed: Callable[[str], None]) -> Iterator[Frame]:
    """The images; what cannot be read is passed to ``failed`` as one line, and the rest goes on."""
    for source in sources:
        try:
            if source.is_video:
                with Video(source.path) as video:
                    for index, image in enumerate(video):
                        yield Frame(source, image, index, video.fps)
            else:
                yield Frame(source, read_image(source.path))
        except (ImageFileError, SourceError) as error:
            failed(str(error))
