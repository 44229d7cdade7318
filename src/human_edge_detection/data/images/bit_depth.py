"""How many bits the values of 16-bit images use: those of a camera with 12 bits are nearly black when read as 8-bit."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

BITS: Final = 16
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_DEPTH_AT: Final = 24
"""Position of the bits of a value in a PNG; the only format read here that has 16."""


def bits_used(content: bytes) -> int | None:
    """Bits of the largest value of a 16-bit image, 0 to 16; None for an image of 8 bits, or one that is damaged.

    Args:
        content: An image file whose header was found good: nothing bounds its pixels here.
    """
    if not content.startswith(_PNG) or content[_DEPTH_AT : _DEPTH_AT + 1] != bytes([BITS]):
        return None
    try:
        values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        return None
    return None if values is None else int(values.max()).bit_length()
