"""JPEG files without their end marker: the pixels of some are whole, as when a camera or a download lost two bytes."""

from io import BytesIO

import numpy as np
from PIL import Image

from human_edge_detection.data.images.header import read_header
from human_edge_detection.errors import DataError

_JPEG, _SCAN, _END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_TAILS = tuple(np.random.default_rng(seed).integers(0, 255, 64, np.uint8).tobytes() for seed in range(4))
"""Different continuations of the coded pixels, none of which has a marker: 255 begins one."""
_CUT_OFF = (bytes(16), b"\xff")
"""What a file ends with whose rest was never written, or that ends within a marker."""


def lacks_end(content: bytes) -> bool:
    """Whether this is a JPEG whose last scan is not followed by an end marker; quick for files that have one."""
    if not content.startswith(_JPEG):
        return False
    end = content.rfind(_END)
    return content.find(_SCAN, max(end, 0)) >= 0


def with_end(content: bytes) -> bytes:
    """``content`` with the end marker that it lacks, where its pixels are whole; else unchanged.

    They are whole when what follows them does not change any: then the decoder has had all that it wanted.
    """
    if not lacks_end(content) or content.endswith(_CUT_OFF):
        return content
    try:
        read_header(content + _END)
    except DataError:
        return content
    first, *others = [_pixels(content + tail + _END) for tail in _TAILS]
    return content + _END if first is not None and all(pixels == first for pixels in others) else content


def _pixels(content: bytes) -> bytes | None:
    """The decoded pixels; None where there are none. By Pillow, as OpenCV writes to the terminal at each try."""
    try:
        with Image.open(BytesIO(content), formats=("JPEG",)) as image:
            return image.tobytes()
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return None
