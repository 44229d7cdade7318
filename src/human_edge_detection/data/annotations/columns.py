"""Images with their person annotations, stored as columns: a dozen arrays, whatever the number of images.

A Python object for each coordinate of COCO's persons takes a gigabyte, and a data worker that reads them copies the
memory pages that they lie in, as reading changes their reference counts. Arrays take 170 MB and can be mapped from a
file that all processes share; the objects of one image are made when it is accessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.polygons_and_rle import Box, Segmentation, whole_pixels


@dataclass(frozen=True)
class PersonAnnotation:
    """One person, or one crowd region.

    Attributes:
        id: The annotation's id in the COCO file.
        box: Bounding box ``x1, y1, x2, y2`` in pixels, clipped to the image, with an area above 0.
        segmentation: Polygons or compressed RLE, checked.
        outlines: ``(P, 2)`` x and y in pixels of the corners of each polygon, or of the polygons around RLE, see
            :func:`~human_edge_detection.data.annotations.rle_to_polygons.trace`; empty for RLE not traced yet.
        is_crowd: Whether this is a region of several persons that are not annotated one by one (COCO's ``iscrowd``).
    """

    id: int
    box: Box
    segmentation: Segmentation
    outlines: tuple[NDArray[np.float64], ...] = field(compare=False, repr=False)
    is_crowd: bool


@dataclass(frozen=True)
class AnnotatedImage:
    """One image with its person annotations.

    Attributes:
        id: The image's id in the COCO file.
        file_name: Relative to the folder of image files.
        width: Pixels.
        height: Pixels.
        persons: Annotations of single persons.
        crowds: Annotations of crowd regions, and of persons with a box and no mask: their boxes as regions.
        exhaustive: Whether every person is annotated; else there may be others outside the boxes of ``persons``.
    """

    id: int
    file_name: str
    width: int
    height: int
    persons: tuple[PersonAnnotation, ...]
    crowds: tuple[PersonAnnotation, ...]
    exhaustive: bool

    @property
    def known_boxes(self) -> tuple[tuple[int, int, int, int], ...] | None:
        """Boxes of whole pixels outside of which nobody knows what is there; None: all of the image is known."""
        return None if self.exhaustive else tuple(whole_pixels(person.box) for person in self.persons)


@dataclass(frozen=True, eq=False)
class AnnotationColumns:
    """n images with m annotations, of q polygons with P points in all. Offsets start with 0.

    Attributes:
        image_ids: ``(n,)`` int64.
        sizes: ``(n, 2)`` int32, height and width in pixels.
        exhaustive: ``(n,)`` bool, see :class:`AnnotatedImage`.
        terms: ``(n,)`` int32, number of each image's terms among ``terms_texts``.
        terms_texts: What is said of the terms of images, in UTF-8, joined by line ends; uint8. "" is unknown.
        names: File names in UTF-8, one after the other; uint8.
        name_offsets: ``(n + 1,)`` int64, into ``names``.
        first_persons: ``(n + 1,)`` int64: the annotations of image i are those from ``first_persons[i]`` on,
            before ``first_persons[i + 1]``: persons, then crowds, each in the order of the file.
        first_crowds: ``(n,)`` int64: the first annotation of image i that is a crowd region, or the end of all its own.
        annotation_ids: ``(m,)`` int64.
        boxes: ``(m, 4)`` float64, see :class:`PersonAnnotation`.
        polygons: ``(m, 2)`` int64: number of the first polygon of an annotation, and of the one after its last. These
            are the polygons of its segmentation, or those around its RLE if it was traced.
        runs: ``(m, 2)`` int64: start and end of its RLE in ``run_lengths``. Equal: its segmentation is polygons.
        polygon_offsets: ``(q + 1,)`` int64, into ``points``.
        points: ``(P, 2)`` float64, x and y in pixels.
        run_lengths: COCO's compressed RLE strings in ASCII, one after the other; uint8.
    """

    image_ids: NDArray[np.int64]
    sizes: NDArray[np.int32]
    exhaustive: NDArray[np.bool_]
    terms: NDArray[np.int32]
    terms_texts: NDArray[np.uint8]
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

    def image(self, number: int) -> AnnotatedImage:
        """Image ``number`` of the n, with its annotations."""
        start, end = self.first_persons[number : number + 2].tolist()
        first_crowd = int(self.first_crowds[number])
        height, width = self.sizes[number].tolist()
        annotations = [self._annotation(i, height, width, is_crowd=i >= first_crowd) for i in range(start, end)]
        persons, crowds = annotations[: first_crowd - start], annotations[first_crowd - start :]
        name = self.file_name(number)
        exhaustive = bool(self.exhaustive[number])
        return AnnotatedImage(
            int(self.image_ids[number]), name, width, height, tuple(persons), tuple(crowds), exhaustive
        )

    def file_name(self, number: int) -> str:
        """The file name of image ``number``, relative to the folder of image files."""
        start, end = self.name_offsets[number : number + 2].tolist()
        return self.names[start:end].tobytes().decode()

    def _annotation(self, number: int, height: int, width: int, *, is_crowd: bool) -> PersonAnnotation:
        """Annotation ``number`` of the m, on an image of ``(height, width)`` pixels."""
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


class AnnotatedImages(Sequence[AnnotatedImage]):
    """All or some of the images in :class:`AnnotationColumns`; the objects of an image are made when it is accessed.

    Properties give a column of all images, which is much quicker than accessing the images one after the other.
    """

    def __init__(self, packed: AnnotationColumns, positions: range | NDArray[np.int64] | None = None) -> None:
        """A view of some images.

        Args:
            packed: The columns.
            positions: Which images of ``packed``, in which order; None: all of them.
        """
        self._packed = packed
        self._positions = range(len(packed.image_ids)) if positions is None else positions

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> AnnotatedImage: ...
    @overload
    def __getitem__(self, index: slice) -> AnnotatedImages: ...
    def __getitem__(self, index: int | slice) -> AnnotatedImage | AnnotatedImages:
        if isinstance(index, slice):
            return AnnotatedImages(self._packed, self._positions[index])
        return self._packed.image(int(self._positions[index]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AnnotatedImages):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"<{len(self)} images>"

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> AnnotatedImages:
        """The images at ``indices``, over the same arrays."""
        return AnnotatedImages(self._packed, self.positions[np.asarray(indices, np.int64)])

    @property
    def ids(self) -> NDArray[np.int64]:
        """``(n,)`` int64 image ids."""
        return self._packed.image_ids[self.positions]

    @property
    def sizes(self) -> NDArray[np.int32]:
        """``(n, 2)`` int32 heights and widths in pixels."""
        return self._packed.sizes[self.positions]

    @property
    def exhaustive(self) -> NDArray[np.bool_]:
        """``(n,)`` whether every person on an image is annotated."""
        return self._packed.exhaustive[self.positions]

    @property
    def terms(self) -> Counter[str]:
        """Terms -> number of images under them; "" where nothing is known."""
        texts = self._packed.terms_texts.tobytes().decode().split("\n")
        numbers, counts = np.unique(self._packed.terms[self.positions], return_counts=True)
        return Counter({texts[number]: count for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)})

    @property
    def person_counts(self) -> NDArray[np.int64]:
        """``(n,)`` int64 number of persons on each image, crowd regions not counted."""
        return (self._packed.first_crowds - self._packed.first_persons[:-1])[self.positions]

    @property
    def file_names(self) -> list[str]:
        """The n file names."""
        return [self._packed.file_name(position) for position in self.positions.tolist()]

    @property
    def columns(self) -> AnnotationColumns:
        """The columns that these images are some of, by ``positions``."""
        return self._packed

    @property
    def positions(self) -> NDArray[np.int64]:
        """``(n,)`` positions of these images in ``columns``."""
        return np.asarray(self._positions, np.int64)
