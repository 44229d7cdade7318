"""A teacher's answers to an image as soft labels of one view of it, head by head: warped as the truth is.

What a mask says of itself is 0 or 1, of which a logit would be infinite, and no mask is right everywhere: see
:data:`DOUBT`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.columns import AnnotatedImage
from human_edge_detection.data.annotations.polygons_and_rle import whole_pixels
from human_edge_detection.data.dataset import Sample
from human_edge_detection.data.views.warp import Matrix, inverse, scaling, translation, warp
from human_edge_detection.engine.teaching.external.answers import ImageAnswers, Instance
from human_edge_detection.engine.teaching.external.matching import in_pixels, match_instances
from human_edge_detection.errors import ConfigError

DOUBT: Final = 0.05
"""Probability that a mask is wrong about a pixel, inside and outside: it says 0 or 1 and does not know better. Taken at
its word it would teach certainty, above all along its border, where it is wrong most often; about 95 % of the pixels of
a good mask are those of another annotator's. So a person matched with an annotation has 0.95 inside, whatever the score
(the annotation says that there is one); another has ``DOUBT + (1 - 2 DOUBT) score``; where nobody is, it is 0.05."""
LEAST: Final = 0.002
"""The same for maps that say how sure they are: half a level of 8 bits, the coarsest that there is."""
Values = NDArray[np.float32]
"""``(h, w)`` probabilities."""
_NOBODY: Final = (0.0,)
"""Outside of an image."""
SoftLabels = dict[str, NDArray[np.float16]]
"""Logits by head: ``(n, C, H, W)`` of the n rois, ``(1, 1, IH, IW)`` of the view; NaN where nothing is known."""


def to_soft_labels(
    answers: ImageAnswers | None, record: AnnotatedImage, sample: Sample, *, instances: bool
) -> SoftLabels:
    """The soft labels of one view.

    - The probability P of any person gives ``full_image_logits`` and, in each roi, ``bg_fg_logits``.
    - In the roi of a person whom an instance matches with probability t, this person is the target, and where not, P is
      that of another: ``target : non-target = t : (1 - t) P``. So the roi's person wins where two overlap, as in the
      truth. That is ``target_nontarget_logits``, where P is above one half: elsewhere there is nobody to ask about. The
      main ``logits`` compose both: background 1 - P, and the two parts of P. In other rois both heads are NaN.
    - All are logarithms of probabilities, or of odds where there is one channel. They are averaged over the area of a
      pixel as probabilities, as labels are.
    - NaN: outside of the image, under a person pasted into the view, and where the teacher was not asked.

    Args:
        answers: To the image; None: none, everything is NaN.
        record: The image with its annotations.
        sample: The view, with its matrix.
        instances: Whether the heads of single persons are wanted, which are NaN where there are none.

    Raises:
        ConfigError: The view has no matrix, so that nobody knows which pixel is where.
    """
    labels = nothing_said(sample, instances=instances)
    if answers is None:
        return labels
    view, persons = _View(record, sample), PersonsOfImage(answers, record)
    whole = view.of_view(persons.anyone)
    labels["full_image_logits"][0, 0] = np.log(whole / (1 - whole))
    for row, number in enumerate(sample.annotation_ids):
        person = view.of_roi(persons.anyone, row)
        labels["bg_fg_logits"][row] = np.log([1 - person, person])
        pair = persons.target_and_others(number)
        if pair is not None:
            parts = np.stack([view.of_roi(plane, row) for plane in pair])
            which = parts / parts.sum(axis=0)
            labels["target_nontarget_logits"][row] = np.log(np.where(person > 0.5, which, np.nan))
            labels["logits"][row] = np.log([1 - person, *(person * which)])
    return labels


def nothing_said(sample: Sample, *, instances: bool) -> SoftLabels:
    """The soft labels to a view about which the teacher was not asked: NaN everywhere; arguments as above."""
    count, size, mask_size = len(sample.boxes), sample.person_mask.shape, sample.roi_masks.shape[1:]
    labels: SoftLabels = {
        "bg_fg_logits": np.full((count, 2, *mask_size), np.nan, np.float16),
        "full_image_logits": np.full((1, 1, *size), np.nan, np.float16),
    }
    if instances:
        labels["logits"] = np.full((count, 3, *mask_size), np.nan, np.float16)
        labels["target_nontarget_logits"] = np.full((count, 2, *mask_size), np.nan, np.float16)
    return labels


class Plane(NamedTuple):
    """Probabilities over a whole image, as the source has them.

    Attributes:
        values: ``(h, w)`` in [0, 1].
        known: ``(h, w)`` bool: where they mean anything; None: everywhere.
        doubt: Least probability of either side that is to be taught.
    """

    values: Values
    known: NDArray[np.bool_] | None
    doubt: float


class _View:
    """Where each pixel of an image is in a view, and in its rois."""

    def __init__(self, record: AnnotatedImage, sample: Sample) -> None:
        if sample.matrix is None:
            raise ConfigError(
                "data.augmentation.pipeline: its views are no affine maps of the images, and answers of an external "
                "teacher cannot be moved along; leave it out, or teach without that teacher"
            )
        self._matrix = sample.matrix
        self._size = (record.height, record.width)
        self._sample = sample

    def of_view(self, plane: Plane) -> Values:
        """``plane`` as the view shows it, at the size of its person mask; NaN where it does not show the image."""
        height, width = self._sample.person_mask.shape
        seen = self._warped(plane, scaling(width, height), (height, width))
        if self._sample.pasted is not None:
            seen[self._sample.pasted > 0] = np.nan
        return seen

    def of_roi(self, plane: Plane, row: int) -> Values:
        """``plane`` in roi ``row``, at the size of its mask."""
        height, width = self._sample.roi_masks.shape[1:]
        x1, y1, x2, y2 = self._sample.boxes[row].astype(np.float64).tolist()
        to_roi = scaling(width / (x2 - x1), height / (y2 - y1)) @ translation(-x1, -y1)
        seen = self._warped(plane, to_roi, (height, width))
        if self._sample.pasted is not None:
            rows, columns = self._sample.pasted.shape
            from_view = to_roi @ scaling(1 / columns, 1 / rows)
            pasted = warp(self._sample.pasted.astype(np.float32), from_view, (height, width), _NOBODY)
            seen[pasted > 0] = np.nan
        return seen

    def _warped(self, plane: Plane, from_view: Matrix, size: tuple[int, int]) -> Values:
        """``plane`` at ``size``, to which ``from_view`` leads from fractions of the view; NaN where it is not known.

        Of a pixel that is known in part, and by more than half, the mean over this part.
        """
        values, known, doubt = plane
        # 1. From places of the plane, which may be coarser or finer than the image, to pixels of the image file.
        to_pixels = scaling(self._size[1] / values.shape[1], self._size[0] / values.shape[0])
        matrix = from_view @ self._matrix @ to_pixels
        # 2. The mean over each pixel, of what is known.
        mean = warp(values if known is None else np.where(known, values, np.float32(0)), matrix, size, _NOBODY)
        if known is not None or not _is_inside(matrix, values.shape, size):
            covered = np.ones(values.shape, np.float32) if known is None else known.astype(np.float32)
            share = warp(covered, matrix, size, _NOBODY)
            mean = np.divide(mean, share, out=np.full(size, np.nan, np.float32), where=share > 0.5)
        # 3. Never certain.
        return np.asarray(doubt + (1 - 2 * doubt) * mean, np.float32)


def _is_inside(matrix: Matrix, source: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether no pixel of the output blends into what lies outside of the source, half a pixel at its border too."""
    height, width = size
    corners = inverse(matrix)[:2] @ np.array([[0, width, width, 0], [0, 0, height, height], [1, 1, 1, 1]], np.float64)
    (left, top), (right, bottom) = corners.min(axis=1), corners.max(axis=1)
    return bool(min(left, top) >= 0.5 and right <= source[1] - 0.5 and bottom <= source[0] - 0.5)


class PersonsOfImage:
    """Probabilities of any person, and of one.

    Attributes:
        anyone: Of any person.
        matches: Which annotated person each instance is.
    """

    def __init__(self, answers: ImageAnswers, record: AnnotatedImage) -> None:
        size = (record.height, record.width)
        self._instances = [instance._replace(map=in_pixels(instance.map, size)) for instance in answers.instances]
        self._size = size
        self._doubt = DOUBT if any(instance.map.is_binary for instance in self._instances) else LEAST
        self.matches = match_instances(self._instances, record)
        self.anyone = self._union(record)
        if answers.person_map is not None:
            doubt = DOUBT if answers.person_map.is_binary else LEAST
            map_ = in_pixels(answers.person_map, size) if self.matches.of else answers.person_map
            self.anyone = Plane(map_.values, None, doubt)

    def target_and_others(self, annotation_id: int) -> tuple[Plane, Plane] | None:
        """Of this person, and of others where this person is not; None: no instance is this person."""
        match = self.matches.of.get(annotation_id)
        if match is None:
            return None
        target, others = np.zeros(self._size, np.float32), self.anyone.values.copy()
        _join(self._instances[match.instance], 1.0, target)
        _others_than(self._instances[match.instance], others)
        return Plane(target, None, self._doubt), Plane(others, self.anyone.known, self._doubt)

    def _union(self, record: AnnotatedImage) -> Plane:
        """Of any of the single persons; not known where the teacher was not asked."""
        plane = np.zeros(self._size, np.float32)
        matched = {match.instance for match in self.matches.of.values()}
        for position, instance in enumerate(self._instances):
            _join(instance, 1.0 if position in matched else instance.score, plane)
        asked = _asked_about(record, self._instances, self.matches.of.keys())
        return Plane(plane, None if asked is None else asked | (plane > 0.5), self._doubt)


def _join(instance: Instance, confidence: float, plane: Values) -> None:
    """Adds an instance, as likely as ``confidence``, to what ``plane`` says of others."""
    values, top, left, *_ = instance.map
    part = plane[top : top + values.shape[0], left : left + values.shape[1]]
    # Of what a teacher found itself, two instances may be one person; those that it was asked for are two.
    join = np.maximum if instance.annotation_id is None else _either
    part[:] = join(part, np.float32(confidence) * values)


def _others_than(instance: Instance, plane: Values) -> None:
    """Makes of ``plane``, of any person, that of others than this one."""
    values, top, left, *_ = instance.map
    plane[top : top + values.shape[0], left : left + values.shape[1]] *= 1 - values


def _either(one: Values, other: Values) -> Values:
    """Probability of one of two persons, who know nothing of each other."""
    return 1 - (1 - one) * (1 - other)


def _asked_about(
    record: AnnotatedImage, instances: Sequence[Instance], matched: Collection[int]
) -> NDArray[np.bool_] | None:
    """``(H, W)``: where the absence of all instances says that nobody is there; None: everywhere.

    Everywhere, if the teacher looked for persons itself. One that was asked for single persons says nothing of others:
    those whom it was not asked for or did not find, those in crowds, those that nobody annotated.
    """
    if all(instance.annotation_id is None for instance in instances):
        return None
    asked = np.ones((record.height, record.width), bool)
    if record.known_boxes is not None:
        asked[:] = False
        for x1, y1, x2, y2 in record.known_boxes:
            asked[y1:y2, x1:x2] = True
    for person in (*record.persons, *record.crowds):
        if person.is_crowd or person.id not in matched:
            x1, y1, x2, y2 = whole_pixels(person.box)
            asked[y1:y2, x1:x2] = False
    return asked
