"""The pictures inside a page: each once, as many as fit, and maps of persons as transparent overlays."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from human_edge_detection.errors import CheckpointError
from human_edge_detection.runs.person_maps import IGNORED, NOBODY, OTHERS

_COLOURS: Final = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233))
"""Of persons, in turn: Okabe and Ito's, which color-blind readers can tell apart."""
_OTHERS_COLOUR: Final = (150, 150, 150)
_IGNORED_COLOUR: Final = (20, 20, 20)
_FILL, _OUTLINE, _IGNORED_ALPHA = 110, 255, 150
_LARGEST_SIDE_PX: Final = 2048


class Pictures:
    """What is inside the page, by a short name.

    Args:
        budget: Bytes that they may take in the page.
    """

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._names: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        """Name -> ``data:`` URL."""
        self.images = 0
        """Photographs and drawings among them, overlays not counted."""
        self.left_out = 0
        """Images that there was no room for."""

    def add_all(self, image: str, overlays: Sequence[str]) -> list[str] | None:
        """Names of an image and of its overlays; None when they do not fit any more.

        Args:
            image: JPEG in base64.
            overlays: PNG in base64.
        """
        sources = [f"data:image/jpeg;base64,{image}", *(f"data:image/png;base64,{overlay}" for overlay in overlays)]
        digests = [hashlib.sha256(source.encode()).hexdigest() for source in sources]
        new = {digest: source for digest, source in zip(digests, sources, strict=True) if digest not in self._names}
        size = sum(map(len, new.values()))
        if size > self._budget:
            self.left_out += 1
            return None
        self._budget -= size
        self.images += digests[0] in new
        for digest, source in new.items():
            self._names[digest] = f"p{len(self._names)}"
            self.sources[self._names[digest]] = source
        return [self._names[digest] for digest in digests]


def overlay(encoded: str) -> str:
    """The map of persons ``encoded`` (PNG in base64) in colours, transparent where nobody is; PNG in base64.

    Raises:
        CheckpointError: It is no such map.
    """
    persons = _decode(encoded)
    # Index of the palette: 0 nobody, then a fill and an outline for each colour, for others, and the ignored.
    colour = np.where(persons == OTHERS, len(_COLOURS), (persons.astype(np.int64) - 1) % len(_COLOURS))
    index = 1 + 2 * colour + _outlines(persons)
    index[persons == NOBODY] = 0
    index[persons == IGNORED] = 1 + 2 * (len(_COLOURS) + 1)
    picture = Image.fromarray(index.astype(np.uint8), "P")
    fills = [colour for colour in (*_COLOURS, _OTHERS_COLOUR) for _ in range(2)]
    picture.putpalette([channel for colour in ((0, 0, 0), *fills, _IGNORED_COLOUR) for channel in colour])
    alphas = [0, *([_FILL, _OUTLINE] * (len(_COLOURS) + 1)), _IGNORED_ALPHA]
    buffer = BytesIO()
    picture.save(buffer, "PNG", transparency=bytes(alphas), optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def jpeg(rgb: NDArray[np.uint8], quality: int = 80) -> str:
    """``(H, W, 3)`` uint8 RGB as JPEG in base64, without any metadata."""
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return base64.b64encode(buffer.getvalue()).decode()


def size_of(encoded: str) -> tuple[int, int]:
    """(height, width) of a PNG or JPEG in base64; its pixels are not decoded.

    Raises:
        CheckpointError: It is no picture.
    """
    try:
        with Image.open(BytesIO(base64.b64decode(encoded))) as picture:
            return picture.height, picture.width
    except (OSError, ValueError, SyntaxError) as error:
        raise CheckpointError(f"not a picture ({error})") from error


def _decode(encoded: str) -> NDArray[np.uint8]:
    height, width = size_of(encoded)
    if max(height, width) > _LARGEST_SIDE_PX:
        raise CheckpointError(f"a map of {width} x {height} pixels")
    try:
        with Image.open(BytesIO(base64.b64decode(encoded))) as picture:
            return np.asarray(picture.convert("L"), np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise CheckpointError(f"not a map of persons ({error})") from error


def _outlines(persons: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels that have a neighbour of another person, or of nobody."""
    found = np.zeros(persons.shape, bool)
    for axis in (0, 1):
        differs = np.diff(persons.astype(np.int64), axis=axis) != 0
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        found[tuple(before)] |= differs
        found[tuple(after)] |= differs
    return found
