"""How much of a training set an external teacher has answers to, and how well they fit the annotations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.columns import AnnotatedImage
from human_edge_detection.engine.teaching.external.answers import Answers, ImageAnswers
from human_edge_detection.engine.teaching.external.matching import MIN_IOU, placed_mask
from human_edge_detection.engine.teaching.external.to_soft_labels import DOUBT, LEAST, PersonsOfImage
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.base import Fraction, Section
from human_edge_detection.runs.records import Count
from human_edge_prediction.resampling import resize

logger = logging.getLogger(__name__)

POOR_PERSON_IOU: Final = 0.4
"""IoU of the person map with the truth below which answers contradict it: small models of 2017 have 0.7. That low, they
are of other images, or of another class."""
POOR_MATCHED: Final = 0.5
"""Share of the annotated persons below which the instances hardly teach anything about single persons."""
POOR_ANSWERED: Final = 0.5
"""Share of the training images below which a source hardly teaches."""
_LEAST_PROBABILITY: Final = 0.01
"""Where no map has as much anywhere, it was not written as a share of the largest level."""
_THREADS: Final = 4


class Coverage(Section):
    """What the answers are to, and how they fit.

    Attributes:
        images: Training images.
        answered: Of these, with an answer.
        others: Entries or maps of the source that are of no training image.
        persons: Annotated on the images with an answer.
        matched: Of these, with an instance that overlaps them by an IoU of 0.5 or more; None, as the next: the source
            is person maps alone.
        strangers: Instances that match nobody, on images of which every person is annotated.
        person_iou: IoU of the person map with the truth, over all pixels of these images; None: there are none.
        matched_iou: Mean IoU of matched persons and their instances; None: there are none.
    """

    images: Count
    answered: Count
    others: Count
    persons: Count
    matched: Count | None
    strangers: Count | None
    person_iou: Fraction | None
    matched_iou: Fraction | None

    @property
    def in_words(self) -> str:
        """One line."""
        words = [f"answers to {self.answered} of {self.images} training images"]
        words += [f"{self.others} to other images"] if self.others else []
        if self.person_iou is not None:
            words.append(f"IoU of the person map {self.person_iou:.3f}")
        if self.matched is not None:
            mean = "" if self.matched_iou is None else f" (mean IoU {self.matched_iou:.3f})"
            words.append(f"{self.matched} of {self.persons} persons matched{mean}")
            words.append(f"{self.strangers} instances match nobody")
        return ", ".join(words)


class ExternalRecord(Section):
    """What is remembered of the answers that soft labels were made of.

    Attributes:
        source: The file or folder, or the model file that was asked.
        kind: ``results`` or ``maps``.
        coverage: What they are to.
        thresholds: Least IoU of a person and its instance; probability that a mask is taken to be wrong about a pixel;
            least probability of a map.
    """

    source: str
    kind: str
    coverage: Coverage
    thresholds: dict[str, Fraction]


def record_answers(answers: Answers, people: AnnotationSet, *, source: Path) -> ExternalRecord:
    """Measures answers to ``people``, which ``source`` gave, and warns where they contradict the annotations.

    Raises:
        DataError: As :func:`measure_coverage`.
    """
    coverage = measure_coverage(answers, people)
    logger.info("%s: %s", source, coverage.in_words)
    warn_of_contradictions(source, coverage)
    thresholds = {"min_iou": MIN_IOU, "mask_doubt": DOUBT, "least_probability": LEAST}
    return ExternalRecord(source=str(source), kind=answers.kind, coverage=coverage, thresholds=thresholds)


class _Fit(NamedTuple):
    """How the answers to one image fit: counts as of :class:`Coverage`, and of pixels."""

    persons: int
    ious: tuple[float, ...]
    strangers: int
    common: int
    union: int
    highest: float


def measure_coverage(
    answers: Answers, people: AnnotationSet, *, after_image: Callable[[], None] = lambda: None
) -> Coverage:
    """Looks at all answers to ``people``: 10 ms an image.

    Args:
        answers: Them.
        people: What they are answers to.
        after_image: Called after each image.

    Raises:
        DataError: An answer cannot be read or is of another size than its image, or all probabilities are next to 0.
    """

    def fit_of(index: int) -> _Fit | None:
        found = answers.of(index)
        return None if found is None else _fit(found, people.images[index])

    fits = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for fit in pool.map(fit_of, range(len(people.images))):
            fits.append(fit)
            after_image()
    known = [fit for fit in fits if fit is not None]
    highest = max((fit.highest for fit in known), default=0.0)
    if known and not answers.has_instances and highest < _LEAST_PROBABILITY:
        raise DataError(
            f"{answers.source}: no probability above {highest:.4f} in any map; 255 (8 bit) or 65535 (16 bit) stands "
            "for a certain person: scale the levels up"
        )
    ious = [iou for fit in known for iou in fit.ious]
    union = sum(fit.union for fit in known)
    return Coverage(
        images=len(fits),
        answered=len(known),
        others=answers.others,
        persons=sum(fit.persons for fit in known),
        matched=len(ious) if answers.has_instances else None,
        strangers=sum(fit.strangers for fit in known) if answers.has_instances else None,
        person_iou=sum(fit.common for fit in known) / union if union else None,
        matched_iou=sum(ious) / len(ious) if ious else None,
    )


def warn_of_contradictions(source: Path, coverage: Coverage) -> None:
    """Says what of the answers does not go with the annotations, with figures."""
    if coverage.answered < POOR_ANSWERED * coverage.images:
        logger.warning(
            "%s: answers to only %d of %d training images (%d of its entries or maps are of other images): nothing is "
            "taught on the others; are these the answers to this split?",
            source,
            coverage.answered,
            coverage.images,
            coverage.others,
        )
    if coverage.person_iou is not None and coverage.person_iou < POOR_PERSON_IOU:
        logger.warning(
            "%s contradicts the annotations: IoU of its person map with them %.3f (expected %.1f and more); are these "
            "answers of other images, of another class, or turned? A student can hardly gain from them",
            source,
            coverage.person_iou,
            POOR_PERSON_IOU,
        )
    if coverage.matched is not None and coverage.matched < POOR_MATCHED * coverage.persons:
        logger.warning(
            "%s: only %d of %d annotated persons have an instance that overlaps them by half (IoU): of the others it "
            "teaches no outline",
            source,
            coverage.matched,
            coverage.persons,
        )


def _fit(answers: ImageAnswers, record: AnnotatedImage) -> _Fit:
    persons = PersonsOfImage(answers, record)
    values = persons.anyone.values
    common = union = 0
    if record.exhaustive:
        size = (record.height, record.width)
        said = (values if values.shape == size else resize(values, size)) > 0.5
        true, unknown = np.zeros(size, bool), np.zeros(size, bool)
        for person in record.persons:
            placed_mask(person.segmentation, *size).add_to(true)
        for crowd in record.crowds:
            placed_mask(crowd.segmentation, *size).add_to(unknown)
        common, union = int((said & true).sum()), int(((said & ~unknown) | true).sum())
    matches = persons.matches
    ious = tuple(match.iou for match in matches.of.values())
    strangers = len(matches.strangers) if record.exhaustive else 0
    return _Fit(len(record.persons), ious, strangers, common, union, float(values.max(initial=0.0)))
