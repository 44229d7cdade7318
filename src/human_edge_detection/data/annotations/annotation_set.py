"""The person annotations of one file, and the images that had to be left out."""

import hashlib
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from human_edge_detection.data.annotations.columns import AnnotatedImages
from human_edge_detection.data.annotations.dataset_findings import Finding
from human_edge_detection.data.annotations.polygons_and_rle import shorten
from human_edge_detection.errors import DataError

logger = logging.getLogger(__name__)

_MAX_NAMED = 3
"""Bad samples that a message names; it gives the number of the rest."""


class BadImage(NamedTuple):
    """An image that cannot be used, and its problem: of the image file or of its annotations."""

    file_name: str
    problem: str


class Advice(NamedTuple):
    """How a command goes on without images: those that cannot be used, and those that are not there."""

    skip: str
    only_present: str


TRAINING = Advice("train without them: --set data.on_bad_sample=skip", "hed prepare-data --only_present")
PREPARING = Advice("go on without them: --on_bad_sample skip", "--only_present")


@dataclass(frozen=True)
class AnnotationSet:
    """One annotation file, read and checked.

    Attributes:
        file: The annotation file, or what the annotations were made of.
        images_dir: Folder of image files; file names are relative to it.
        images: The images that can be used.
        sha256: Of the bytes of the annotation file, or of the packed annotations where there is none.
        skipped: The images that were left out.
        has_unknown: Whether the file has what older versions of this tool took for background: images that are not
            exhaustively labelled, and persons with an empty mask or box.
        findings: What is suspicious in the file as a whole; each was said in a warning.
        drawn: The ids of ``images`` where these were drawn at random from the file; None: all of it is used.
        images_fingerprint: Of the bytes of the image files, in the order of the file; None: they were not read.
    """

    file: Path
    images_dir: Path
    images: AnnotatedImages
    sha256: str
    skipped: tuple[BadImage, ...] = ()
    has_unknown: bool = False
    findings: tuple[Finding, ...] = ()
    drawn: tuple[int, ...] | None = None
    images_fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:
        """Equal for equal annotations: ``sha256``, or a digest of it, of the images drawn and left out, and a word.

        The word tells scores on data with something unknown from those of versions that took it for background.
        """
        if not self.skipped and self.drawn is None and not self.has_unknown:
            return self.sha256
        drawn = [] if self.drawn is None else [f"drawn {' '.join(map(str, sorted(self.drawn)))}"]
        names = sorted(sample.file_name for sample in self.skipped)
        word = ["unknown is ignored"] if self.has_unknown else []
        return hashlib.sha256("\n".join([self.sha256, *word, *drawn, *names]).encode()).hexdigest()

    @property
    def score_key(self) -> str:
        """By which a score on these data is kept: by annotations and, where they were read, images."""
        return self.fingerprint if self.images_fingerprint is None else f"{self.fingerprint}+{self.images_fingerprint}"


def split_off(people: AnnotationSet, share: float) -> tuple[AnnotationSet, AnnotationSet]:
    """Splits a share of the images off; the choice depends on image ids only, not on their order in the file.

    Args:
        people: All images.
        share: Fraction of the images to split off, 0 to 1.

    Returns:
        The remaining images, and those that are split off.

    Raises:
        DataError: One of the two parts would have no image, or the part that is split off no person.
    """
    order = _shuffled(map(str, people.images.ids.tolist()))
    chosen = np.zeros(len(order), bool)
    chosen[order[: round(share * len(order))]] = True
    rest, split = (replace(people, images=people.images.select(np.flatnonzero(part))) for part in (~chosen, chosen))
    if not rest.images or not split.images.person_counts.any():
        raise DataError(
            f"{people.file}: {share:g} of {len(order)} images are too few to be split off; give a larger share"
        )
    return rest, split


def draw_images(people: AnnotationSet, count: int | None, *, seed: int) -> AnnotationSet:
    """``count`` of the images, each as likely as any other; the choice depends on ``seed`` and image ids only.

    Args:
        people: All images.
        count: How many; None, or as many as there are: all.
        seed: Another one draws other images.

    Returns:
        The drawn images, in their order in ``people``.

    Raises:
        DataError: None of them shows a person.
    """
    ids = people.images.ids.tolist()
    if count is None or count >= len(ids):
        return people
    chosen = sorted(_shuffled(f"{seed} {image_id}" for image_id in ids)[:count])
    drawn = replace(people, images=people.images.select(chosen), drawn=tuple(ids[index] for index in chosen))
    if not drawn.images.person_counts.any():
        raise DataError(f"{people.file}: the {count} images drawn of {len(ids)} show no person; draw more")
    logger.info("%s: %d of %d images are used, drawn with seed %d", people.file, count, len(ids), seed)
    return drawn


def without(people: AnnotationSet, bad: Sequence[BadImage]) -> AnnotationSet:
    """``people`` without the images in ``bad``, which are added to ``skipped``; logs one warning.

    Raises:
        DataError: More than half of the images, or every person, would be left out.
    """
    names = {sample.file_name for sample in bad}
    kept = people.images
    if names:
        kept = kept.select([index for index, name in enumerate(kept.file_names) if name not in names])
    rest = replace(people, images=kept, skipped=(*people.skipped, *bad))
    total = len(kept) + len(rest.skipped)
    if len(rest.skipped) > len(kept):
        raise DataError(
            f"{people.file}: {len(rest.skipped)} of {total} images cannot be used, more than half: "
            f"{_named(rest.skipped)}; mend the data"
        )
    if not kept.person_counts.any():
        raise DataError(f"{people.file}: no annotated persons in {len(kept)} images; give a file that has some")
    if bad:
        logger.warning("%s: %d of %d images are left out: %s", people.file, len(bad), total, _named(bad))
    return rest


def only_these(people: AnnotationSet, names: Collection[str], *, others: str) -> AnnotationSet:
    """``people`` with the images of these file names only; logs how many these are, and what the ``others`` are.

    Raises:
        DataError: None of them shows a person.
    """
    kept = people.images.select([index for index, name in enumerate(people.images.file_names) if name in names])
    if not kept.person_counts.any():
        raise DataError(
            f"{people.file}: {len(kept)} of {len(people.images)} images are taken from {people.images_dir}, and show "
            "no person; give the folder that holds the images"
        )
    if len(kept) < len(people.images):
        total = len(people.images)
        logger.warning("%s: %d of %d images are taken; the others are %s", people.file, len(kept), total, others)
    return replace(people, images=kept)


def refusal(people: AnnotationSet, bad: Sequence[BadImage], advice: Advice = TRAINING) -> DataError:
    """The error that refuses ``people`` because of ``bad``, which is not empty."""
    return DataError(
        f"{people.file}: {len(bad)} of {len(people.images)} images cannot be used: {_named(bad)}; mend or "
        f"replace them, or {advice.skip}"
    )


def _shuffled(keys: Iterable[str]) -> list[int]:
    """The positions of ``keys`` in a random order that depends on them only: by the hash of each."""
    digests = [hashlib.sha256(key.encode()).digest() for key in keys]
    return sorted(range(len(digests)), key=digests.__getitem__)


def _named(bad: Sequence[BadImage]) -> str:
    """The first bad samples with their problems, and the number of the rest."""
    named = ", ".join(f"{shorten(sample.file_name)} ({sample.problem})" for sample in bad[:_MAX_NAMED])
    return named if len(bad) <= _MAX_NAMED else f"{named} and {len(bad) - _MAX_NAMED} more"
