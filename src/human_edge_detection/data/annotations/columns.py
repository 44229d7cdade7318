"""Photographs with the people on them, held as a dozen arrays whatever their number.

A Python object for each coordinate of COCO's persons takes a gigabyte, and a data worker that looks at them copies the
pages that they lie in, as looking changes their reference counts. Arrays take 170 MB, can be mapped from a file, which
all processes share, and a photograph is made of them when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.polygons_and_rle import Box, Segmentation


@dataclass(frozen=True)
class PersonAnnotation:
    """One person, or one crowd region.

    Attributes:
        id: Annotation id of the file.
        box: ``x1, y1, x2, y2`` in pixels, clipped to the photograph, not empty.
        segmentation: Polygons or compressed run lengths, checked.
        outlines: ``(P, 2)`` x and y of the corners of each polygon, or around the pixels of run lengths, see
            :func:`~human_edge_detection.data.annotations.rle_to_polygons.trace`; empty when still to be traced.
        is_crowd: Whether this is a region with people not told apart.
    """

    id: int
    box: Box
    segmentation: Segmentation
    outlines: tuple[NDArray[np.float64], ...] = field(compare=False, repr=False)
    is_crowd: bool


@dataclass(frozen=True)
class Photograph:
    """One photograph with the people on it; ``file_name`` is relative to the folder of photographs."""

    id: int
    file_name: str
    width: int
    height: int
    persons: tuple[PersonAnnotation, ...]
    crowds: tuple[PersonAnnotation, ...]


@dataclass(frozen=True, eq=False)
class PackedPeople:
    """n photographs with m annotations, of q polygons with P points in all. Offsets start with 0.

    Attributes:
        image_ids: ``(n,)`` int64.
        sizes: ``(n, 2)`` int32, height and width.
        names: File names in UTF-8, one after the other; uint8.
        name_offsets: ``(n + 1,)`` int64, into ``names``.
        first_persons: ``(n + 1,)`` int64: the annotations of photograph i are those from ``first_persons[i]`` on,
            before ``first_persons[i + 1]``: persons, then crowds, each in the order of the file.
        first_crowds: ``(n,)`` int64: the first annotation of photograph i that is a crowd, or the end of them all.
        annotation_ids: ``(m,)`` int64.
        boxes: ``(m, 4)`` float64, see :class:`PersonAnnotation`.
        polygons: ``(m, 2)`` int64: number of the first polygon of an annotation, and of the one after its last: those
            of its segmentation, or the outlines around its run lengths, if these were traced.
        runs: ``(m, 2)`` int64: where its run lengths start and end. Equal: its segmentation is one of polygons.
        polygon_offsets: ``(q + 1,)`` int64, into ``points``.
        points: ``(P, 2)`` float64, x and y in pixels.
        run_lengths: COCO's compressed run lengths, one after the other; uint8.
    """

    image_ids: NDArray[np.int64]
    sizes: NDArray[np.int32]
    names: NDArray[np.uint8]
    name_offsets: NDArray[np.int64]
    first_persons: NDArray[np.int64]
    first_crowds: NDArray[np.int64]
    annotation_ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    polygons: NDArray[np.int64]
    runs: NDArray[np.int64]
    polygon_offsets: NDArray[np.int64]
    points: NDArray[np.float64]
    run_lengths: NDArray[np.uint8]

    def photograph(self, number: int) -> Photograph:
        """Photograph ``number`` of the n."""
        start, end = self.first_persons[number : number + 2].tolist()
        first_crowd = int(self.first_crowds[number])
        height, width = self.sizes[number].tolist()
        people = [self._annotation(i, height, width, is_crowd=i >= first_crowd) for i in range(start, end)]
        persons, crowds = people[: first_crowd - start], people[first_crowd - start :]
        name = self.file_name(number)
        return Photograph(int(self.image_ids[number]), name, width, height, tuple(persons), tuple(crowds))

    def file_name(self, number: int) -> str:
        """Its name, relative to the folder of photographs."""
        start, end = self.name_offsets[number : number + 2].tolist()
        return self.names[start:end].tobytes().decode()

    def _annotation(self, number: int, height: int, width: int, *, is_crowd: bool) -> PersonAnnotation:
        x1, y1, x2, y2 = self.boxes[number].tolist()
        first, end = self.polygons[number].tolist()
        offsets = self.polygon_offsets[first : end + 1].tolist()
        outlines = tuple(self.points[a:b] for a, b in pairwise(offsets))
        start, stop = self.runs[number].tolist()
        segmentation: Segmentation
        if start == stop:
            segmentation = [outline.ravel().tolist() for outline in outlines]
        else:
            counts = self.run_lengths[start:stop].tobytes().decode("ascii")
            segmentation = {"size": [height, width], "counts": counts}
        return PersonAnnotation(int(self.annotation_ids[number]), (x1, y1, x2, y2), segmentation, outlines, is_crowd)


class Photographs(Sequence[Photograph]):
    """All or some of the photographs in :class:`PackedPeople`, each made when it is asked for.

    What concerns many of them comes as columns, which are much quicker than the photographs one after the other.
    """

    def __init__(self, packed: PackedPeople, positions: range | NDArray[np.int64] | None = None) -> None:
        """``positions`` says which photographs of ``packed``, in which order; None: all."""
        self._packed = packed
        self._positions = range(len(packed.image_ids)) if positions is None else positions

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> Photograph: ...
    @overload
    def __getitem__(self, index: slice) -> Photographs: ...
    def __getitem__(self, index: int | slice) -> Photograph | Photographs:
        if isinstance(index, slice):
            return Photographs(self._packed, self._positions[index])
        return self._packed.photograph(int(self._positions[index]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Photographs):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"<{len(self)} photographs>"

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> Photographs:
        """Those at ``indices``, over the same arrays."""
        return Photographs(self._packed, self._rows[np.asarray(indices, np.int64)])

    @property
    def ids(self) -> NDArray[np.int64]:
        """``(n,)`` image ids."""
        return self._packed.image_ids[self._rows]

    @property
    def sizes(self) -> NDArray[np.int32]:
        """``(n, 2)`` heights and widths."""
        return self._packed.sizes[self._rows]

    @property
    def person_counts(self) -> NDArray[np.int64]:
        """``(n,)`` number of persons on each, crowds not counted."""
        return (self._packed.first_crowds - self._packed.first_persons[:-1])[self._rows]

    @property
    def file_names(self) -> list[str]:
        """The n names."""
        return [self._packed.file_name(position) for position in self._rows.tolist()]

    @property
    def _rows(self) -> NDArray[np.int64]:
        return np.asarray(self._positions, np.int64)
