"""Run-length encoding of masks as COCO has it, which pycocotools reads and writes.

Counts of pixels, column by column, of background and mask in turn, starting with background. As text (``maskApi.c`` of
pycocotools): each count, from the fourth on as the difference to the one two before, in groups of five bits, the least
first; the sixth bit says that another group follows; plus 48, an ASCII character.
"""

from __future__ import annotations

from typing import Final, TypedDict

import numpy as np
from numpy.typing import NDArray

_BITS: Final = 5
_MORE: Final = 1 << _BITS
_SIGN: Final = 1 << (_BITS - 1)
_FIRST_CHARACTER: Final = 48


class Rle(TypedDict):
    """A mask: ``size`` [height, width] of the image and ``counts`` as text."""

    size: list[int]
    counts: str


def encode(mask: NDArray[np.bool_], place: tuple[int, int], size: tuple[int, int]) -> Rle:
    """The RLE of a mask that lies on an image, without a mask of the whole image.

    Args:
        mask: ``(h, w)``.
        place: (row, column) of its first pixel on the image.
        size: (height, width) of the image.
    """
    return {"size": [int(size[0]), int(size[1])], "counts": _text(run_lengths(mask, place, size))}


def run_lengths(mask: NDArray[np.bool_], place: tuple[int, int], size: tuple[int, int]) -> NDArray[np.int64]:
    """Lengths of the runs of background and mask in turn, in column-major order, starting with background.

    Arguments as of :func:`encode`.
    """
    height, width = size
    # 1. Where each column of the mask changes: +1 where a run of it starts, -1 behind its end.
    columns = np.ascontiguousarray(mask.T)
    padded = np.zeros((columns.shape[0], columns.shape[1] + 2), np.int8)
    padded[:, 1:-1] = columns
    column, row = np.nonzero(np.diff(padded, axis=1))
    # 2. As positions on the image. A run that goes on in the next column ends and starts at one position.
    changes = (column + place[1]).astype(np.int64) * height + row + place[0]
    if len(changes) > 2:
        is_joint = np.zeros(len(changes), bool)
        same = changes[1:] == changes[:-1]
        is_joint[1:] |= same
        is_joint[:-1] |= same
        changes = changes[~is_joint]
    # 3. Their distances; the last run is there only if it is not empty.
    total = height * width
    ends = changes if len(changes) and changes[-1] == total else np.append(changes, total)
    return np.diff(ends, prepend=0)


def _text(counts: NDArray[np.int64]) -> str:
    values = counts.copy()
    values[3:] -= counts[1:-2]
    characters = bytearray()
    for value in values.tolist():
        more = True
        while more:
            group = value & (_MORE - 1)
            value >>= _BITS
            more = value != (-1 if group & _SIGN else 0)
            characters.append((group | _MORE if more else group) + _FIRST_CHARACTER)
    return characters.decode("ascii")
