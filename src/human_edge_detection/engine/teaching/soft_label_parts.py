"""Files of soft labels: a part holds those to up to 32 images of one view, as safetensors.

``view_0000/part_00000.safetensors`` has the tensor ``persons``, int64, with the number of rois of each image, and for
each head a float16 tensor of the logits, image after image: ``(rois, C, H, W)``, of a head over images ``(images, C, H,
W)``. NaN in all classes of a position means that the teacher says nothing about it. Any reader of safetensors reads
them::

    from safetensors.numpy import load_file
    part = load_file("labels/view_0000/part_00000.safetensors")
    part["persons"], part["logits"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.heads import BY_KEY
from human_edge_detection.files.read import hash_regular_file
from human_edge_detection.runs.records import Count

PART: Final = 32
"""Images in a part: few enough to gather one in memory, 200 MB with ten persons on each."""
MOST_BYTES: Final = 8 << 30
"""Of a part, or of a teacher's checkpoint: larger ones are not read."""
_PERSONS: Final = "persons"
_HEADER_BYTES: Final = 1024
"""Of a part, about; names and shapes of its tensors."""

Predictor = dict[str, NDArray[np.float16]]
"""To one image with n persons, by head: ``(n, C, H, W)``, the full-image head ``(1, 1, IH, IW)``."""
Heads = dict[str, tuple[int, int, int]]
"""Channels, height and width of each head that is stored."""


class Part(Section):
    """One file of soft labels, ``file`` relative to the folder."""

    file: str
    bytes: Count
    sha256: str


def parts_of_view(images: int) -> int:
    """How many parts hold a view of so many images."""
    return -(-images // PART)


def all_parts(images: int, views: int) -> Iterator[tuple[int, int]]:
    """View and number of each part."""
    return ((view, number) for view in range(views) for number in range(parts_of_view(images)))


def place_of(index: int) -> tuple[int, int]:
    """Number of the part that holds an image, and the position of the image in it."""
    return divmod(index, PART)


def part_file(view: int, number: int) -> str:
    """Name of a part, relative to the folder."""
    return f"view_{view:04d}/part_{number:05d}.safetensors"


def images_of(number: int, images: int) -> range:
    """Indices of the images in part ``number``."""
    return range(number * PART, min((number + 1) * PART, images))


def is_of_image(head: str) -> bool:
    """Whether the head with this key has one output for the whole image."""
    return BY_KEY[head].over == "images"


def pack(persons: Sequence[int], outputs: Sequence[Mapping[str, NDArray[np.float16]]], heads: Heads) -> bytes:
    """The content of a part.

    Args:
        persons: Number of rois of each image.
        outputs: To each image, the soft labels of all ``heads``.
        heads: What is stored.
    """
    tensors = {head: np.concatenate([output[head] for output in outputs]) for head in heads}
    return save({_PERSONS: np.array(persons, np.int64), **tensors})


def unpack(path: Path, position: int, heads: Heads) -> tuple[int, Predictor]:
    """Number of rois of the image at ``position`` in a part, and the soft labels to it; nothing else is read.

    Raises:
        OSError: There is no such file.
        ValueError: It is cut off, or holds something else.
    """
    try:
        with safe_open(path, framework="np") as part:
            persons = part.get_tensor(_PERSONS)
            first, count = int(persons[:position].sum()), int(persons[position])
            output = {}
            for head, shape in heads.items():
                start, rows = (position, 1) if is_of_image(head) else (first, count)
                # A slice of no rows is refused by safetensors.
                output[head] = part.get_slice(head)[start : start + rows] if rows else np.empty((0, *shape), np.float16)
    except (SafetensorError, IndexError) as error:
        raise ValueError(str(error)) from error
    return count, output


def is_whole(path: Path, images: int, heads: Heads) -> bool:
    """Whether a part lies at ``path`` with soft labels of ``heads`` to so many images."""
    try:
        with safe_open(path, framework="np") as part:
            persons = part.get_tensor(_PERSONS)
            rois = int(persons.sum())
            shapes = {name: tuple(part.get_slice(name).get_shape()) for name in part.keys() if name != _PERSONS}  # noqa: SIM118
    except (SafetensorError, OSError):
        return False
    expected = {head: (images if is_of_image(head) else rois, *shape) for head, shape in heads.items()}
    return len(persons) == images and shapes == expected


def describe_part(folder: Path, file: str) -> Part:
    """The entry of a part that lies in ``folder``."""
    path = folder / file
    return Part(file=file, bytes=path.stat().st_size, sha256=hash_regular_file(path, max_bytes=MOST_BYTES))


def largest_bytes(people: AnnotationSet, data: DataConfig, heads: Heads) -> int:
    """What one view of ``people`` takes at most; less where somebody is moved out of the image, or nobody is pasted."""
    copy_paste = None if data.augmentation is None else data.augmentation.copy_paste
    most = people.images.person_counts + (0 if copy_paste is None else copy_paste.max_persons)
    persons = int(np.minimum(most, data.max_rois_per_image).sum())
    images = len(people.images)
    rows = sum((images if is_of_image(head) else persons) * prod(shape) for head, shape in heads.items())
    return 2 * rows + 8 * images + _HEADER_BYTES * parts_of_view(images)
