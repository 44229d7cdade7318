"""People on photographs, as the annotations say, and what had to be left out."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from human_edge_detection.data.annotations.columns import Photographs
from human_edge_detection.data.annotations.polygons_and_rle import shorten
from human_edge_detection.errors import DataError

logger = logging.getLogger(__name__)

_NAMED = 3
"""Bad samples that a message names; it counts the rest."""


class BadSample(NamedTuple):
    """A photograph that cannot be used, and why: because of itself or of its annotations."""

    file_name: str
    problem: str


@dataclass(frozen=True)
class PeopleAnnotations:
    """One annotation file, read and checked.

    Attributes:
        file: The annotation file.
        images_dir: Folder that file names are relative to.
        photographs: Those that can be used.
        sha256: Of the file's bytes.
        skipped: What was left out.
    """

    file: Path
    images_dir: Path
    photographs: Photographs
    sha256: str
    skipped: tuple[BadSample, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Equal for equal data: ``sha256``, or another digest when samples were left out of the file."""
        if not self.skipped:
            return self.sha256
        names = sorted(sample.file_name for sample in self.skipped)
        return hashlib.sha256("\n".join([self.sha256, *names]).encode()).hexdigest()


def split_off(people: PeopleAnnotations, share: float) -> tuple[PeopleAnnotations, PeopleAnnotations]:
    """All photographs but ``share`` of them, and these: the same ones whatever their order in the file.

    Raises:
        DataError: Nothing would be left on one side, or nobody be on the photographs that are split off.
    """
    ids = people.photographs.ids.tolist()
    order = sorted(range(len(ids)), key=lambda index: hashlib.sha256(str(ids[index]).encode()).digest())
    chosen = np.zeros(len(ids), bool)
    chosen[order[: round(share * len(ids))]] = True
    rest, split = (
        replace(people, photographs=people.photographs.select(np.flatnonzero(part))) for part in (~chosen, chosen)
    )
    if not rest.photographs or not split.photographs.person_counts.any():
        raise DataError(
            f"{people.file}: {share:g} of {len(order)} photographs are too few to be split off; give a larger share"
        )
    return rest, split


def without(people: PeopleAnnotations, bad: Sequence[BadSample]) -> PeopleAnnotations:
    """``people`` without the photographs in ``bad``, which are listed in ``skipped``, with one warning.

    Raises:
        DataError: More than half of the photographs would be gone, or every person.
    """
    names = {sample.file_name for sample in bad}
    kept = people.photographs
    if names:
        kept = kept.select([index for index, name in enumerate(kept.file_names) if name not in names])
    rest = replace(people, photographs=kept, skipped=(*people.skipped, *bad))
    total = len(kept) + len(rest.skipped)
    if len(rest.skipped) > len(kept):
        raise DataError(
            f"{people.file}: {len(rest.skipped)} of {total} photographs cannot be used, more than half: "
            f"{_named(rest.skipped)}; mend the data"
        )
    if not kept.person_counts.any():
        raise DataError(f"{people.file}: no annotated persons in {len(kept)} images; give a file that has some")
    if bad:
        logger.warning("%s: %d of %d photographs are left out: %s", people.file, len(bad), total, _named(bad))
    return rest


def refusal(people: PeopleAnnotations, bad: Sequence[BadSample]) -> DataError:
    """The error that refuses ``people`` because of ``bad``, which is not empty."""
    return DataError(
        f"{people.file}: {len(bad)} of {len(people.photographs)} photographs cannot be used: {_named(bad)}; mend or "
        "replace them, or train without them: --set data.on_bad_sample=skip"
    )


def _named(bad: Sequence[BadSample]) -> str:
    named = ", ".join(f"{shorten(sample.file_name)} ({sample.problem})" for sample in bad[:_NAMED])
    return named if len(bad) <= _NAMED else f"{named} and {len(bad) - _NAMED} more"
