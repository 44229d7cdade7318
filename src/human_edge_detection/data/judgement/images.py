"""What the image files of a split say together, and what two splits have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.columns import AnnotatedImages
from human_edge_detection.data.annotations.dataset_findings import Finding
from human_edge_detection.data.annotations.equal_outlines import outline_hashes, owners_of
from human_edge_detection.data.annotations.polygons_and_rle import shorten
from human_edge_detection.data.annotations.scan import Scan
from human_edge_detection.data.annotations.whole_file import boxes_around
from human_edge_detection.data.images.bit_depth import BITS
from human_edge_detection.files.read import is_file

REPORT_FILE: Final = "prepare_report.json"
"""Beside the annotations of a prepared data set: there the question how images were annotated was answered."""
_MAX_FEW_BITS: Final = 14
"""With so many bits or fewer, an image is at least four times too dark."""
_SLACK: Final = 1.02
"""Outlines that end this factor beyond the image are imprecise."""
_DROP: Final = "hed prepare-data --duplicates drop"


class ExifKinds(NamedTuple):
    """Names of images that are shown turned or mirrored by their EXIF orientation, by what their size says.

    Attributes:
        shown: Annotated with the size that they are shown at, which is not the size of the stored pixels.
        stored: Annotated with the size of the stored pixels, which is not the size that they are shown at.
        unclear: Both sizes are equal: half turns, mirrored images, and square ones.
    """

    shown: list[str]
    stored: list[str]
    unclear: list[str]


def exif_kinds(people: AnnotationSet, scan: Scan) -> ExifKinds:
    """Sorts the images with an EXIF orientation other than upright."""
    kinds = ExifKinds([], [], [])
    for name, size in zip(people.images.file_names, people.images.sizes.tolist(), strict=True):
        facts = scan.facts.get(name)
        if facts is None or facts.orientation == 1:
            continue
        if facts.orientation <= 4 or facts.height == facts.width:
            kinds.unclear.append(name)
        else:
            kinds[size == [facts.height, facts.width]].append(name)
    return kinds


def judge_images(people: AnnotationSet, scan: Scan) -> tuple[Finding, ...]:
    """What is wrong or suspicious in the image files of ``people`` as a whole."""
    return (*_exif(people, scan), *_ends(people, scan), *_few_bits(scan), *_equal_images(people, scan))


def judge_splits(
    names: tuple[str, str], splits: tuple[AnnotationSet, AnnotationSet], scans: tuple[Scan, Scan]
) -> tuple[Finding, ...]:
    """What two splits have in common, which must have no image in common.

    Args:
        names: Of the splits, for messages.
        splits: The one that is trained on, and the one that is measured on.
        scans: Of their images.
    """
    common = common_images(splits, scans)
    if not common.by_file and not common.by_outline:
        return ()
    total = len(splits[1].images)
    pair = shorten((common.by_file or common.by_outline)[0])
    text = (
        f"{len(common.by_file)} of {total} images of {names[1]} are also in {names[0]}, byte for byte, and "
        f"{len(common.by_outline)} more have the same outlines as images there (first: {pair}): scores on them say "
        "little"
    )
    return (Finding("splits", text, False, f"take them out of {names[0]}: {_DROP}"),)


class CommonImages(NamedTuple):
    """Names of images of one split that another one has: the same file, or another file with the same outlines."""

    by_file: list[str]
    by_outline: list[str]


def common_images(splits: tuple[AnnotationSet, AnnotationSet], scans: tuple[Scan, Scan]) -> CommonImages:
    """The images of the second split that the first one has as well."""
    digests = {*scans[0].digests.values()}
    equal = [n for n in splits[1].images.file_names if scans[1].digests.get(n) in digests]
    known = {*equal}
    outlines = [_outlines(split.images) for split in splits]
    # An image is the same when each of its outlines is one of the other split; those of few points do not count.
    hashes, owners = outlines[1]
    found = np.isin(hashes, outlines[0][0])
    owned, wanted = np.bincount(owners[found], minlength=1), np.bincount(owners, minlength=1)
    same = np.flatnonzero((wanted > 0) & (np.pad(owned, (0, len(wanted) - len(owned))) == wanted))
    names = splits[1].images.file_names
    return CommonImages(equal, [names[number] for number in same.tolist() if names[number] not in known])


def _outlines(images: AnnotatedImages) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes of the outlines that have one, and the number of the image of each."""
    hashes, owners = outline_hashes(images.columns), owners_of(images.columns)
    numbers = np.full(len(images.columns.image_ids), -1)
    numbers[images.positions] = np.arange(len(images))
    kept = (hashes != 0) & (numbers[owners] >= 0)
    return hashes[kept], numbers[owners[kept]]


def _exif(people: AnnotationSet, scan: Scan) -> Iterator[Finding]:
    kinds = exif_kinds(people, scan)
    if kinds.stored:
        text = (
            f"{len(kinds.stored)} of {len(kinds.stored) + len(kinds.shown)} images that EXIF turns by 90 degrees have "
            f"the size of their stored pixels in the annotations (first: {shorten(kinds.stored[0])})"
        )
        beyond_stored, beyond_shown = _outlines_beyond(people, kinds.stored)
        if beyond_shown and not beyond_stored:
            text += f": they were annotated as stored ({beyond_shown} outlines reach beyond the images as shown)"
            mend = "turn their annotations: hed prepare-data --exif stored"
        elif beyond_stored and not beyond_shown:
            text += f", but were annotated as shown ({beyond_stored} outlines reach beyond the images as stored)"
            mend = "exchange width and height: hed prepare-data --exif shown"
        else:
            mend = (
                "look at one; if it was annotated as stored: hed prepare-data --exif stored; if it was annotated as "
                "shown and only its size is that of the stored pixels: --exif shown"
            )
        yield Finding("exif", text, True, mend)
    elif kinds.unclear and not kinds.shown and not is_file(people.file.parent.parent / REPORT_FILE):
        counts = Counter(scan.facts[name].orientation for name in kinds.unclear)
        listed = ", ".join(f"{number}: {count}" for number, count in sorted(counts.items()))
        text = (
            f"{len(kinds.unclear)} of {len(people.images)} images are turned or mirrored by EXIF and keep their size "
            f"(orientation {listed}; first: {shorten(kinds.unclear[0])}); annotations are taken as drawn on the turned "
            "image"
        )
        yield Finding(
            "exif", text, False, "if the tool ignored EXIF: hed prepare-data --exif stored; if not: --exif shown"
        )


def _outlines_beyond(people: AnnotationSet, names: list[str]) -> tuple[int, int]:
    """How many outlines reach beyond these images as they are stored, and as they are shown, turned by 90 degrees.

    The annotated size of the images is that of their stored pixels.
    """
    columns, owners = people.images.columns, owners_of(people.images.columns)
    is_meant = np.zeros(len(columns.image_ids), bool)
    is_meant[people.images.positions[np.isin(people.images.file_names, names)]] = True
    kept = is_meant[owners]
    ends, limits = boxes_around(columns)[kept, 2:], columns.sizes[owners[kept]] * _SLACK
    beyond_stored, beyond_shown = (ends > limits[:, ::-1]).any(axis=1), (ends > limits).any(axis=1)
    return int((beyond_stored & ~beyond_shown).sum()), int((beyond_shown & ~beyond_stored).sum())


def _ends(people: AnnotationSet, scan: Scan) -> Iterator[Finding]:
    bad = {sample.file_name for sample in scan.bad}
    without = [name for name, facts in scan.facts.items() if not facts.is_ended and name not in bad]
    if without:
        text = f"{len(without)} of {len(people.images)} JPEGs lack their end marker (first: {shorten(without[0])})"
        yield Finding("files", text, False, "their pixels are whole and are used; download or save them again")


def _few_bits(scan: Scan) -> Iterator[Finding]:
    bits = {name: facts.bits_used for name, facts in scan.facts.items() if facts.bits_used is not None}
    few = {name: used for name, used in bits.items() if used <= _MAX_FEW_BITS}
    if few:
        name, most = max(few.items(), key=lambda item: item[1])
        factor = 2 ** (BITS - most)
        text = (
            f"{len(few)} of {len(bits)} 16-bit images use at most {most} of {BITS} bits (values up to {2**most - 1}, "
            f"as {shorten(name)}): they are read {factor} times too dark"
        )
        yield Finding("bits", text, False, f"multiply their values by {factor}, or write them with 8 bits")


def equal_images(people: AnnotationSet, digests: Mapping[str, str]) -> dict[str, str]:
    """The images of a split that an earlier one equals byte by byte, each with that one."""
    first: dict[str, str] = {}
    copies: dict[str, str] = {}
    for name in people.images.file_names:
        if name in digests and first.setdefault(digests[name], name) != name:
            copies[name] = first[digests[name]]
    return copies


def _equal_images(people: AnnotationSet, scan: Scan) -> Iterator[Finding]:
    copies = equal_images(people, scan.digests)
    if copies:
        copy, original = next(iter(copies.items()))
        text = (
            f"{len(copies)} of {len(people.images)} images equal an earlier one byte by byte (first: {shorten(copy)} "
            f"is {shorten(original)}); who is annotated on one copy only is background on the other"
        )
        yield Finding("repeated", text, False, f"leave the copies out: {_DROP}")
