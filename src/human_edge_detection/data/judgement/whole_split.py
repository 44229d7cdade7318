"""Makes the splits of a data set ready for writing: mended as asked, checked, judged as a whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from human_edge_detection.data.annotations.annotation_set import (
    PREPARING,
    AnnotationSet,
    only_these,
    refusal,
    without,
)
from human_edge_detection.data.annotations.coco import CocoSplit, check_annotations
from human_edge_detection.data.annotations.dataset_findings import Finding, settle
from human_edge_detection.data.annotations.equal_outlines import repeated
from human_edge_detection.data.annotations.image_files import find_files
from human_edge_detection.data.annotations.scan import Scan, scan_images
from human_edge_detection.data.images.read import image_facts
from human_edge_detection.data.judgement.images import common_images, equal_images, judge_images, judge_splits
from human_edge_detection.data.judgement.mend import (
    Unit,
    boxes_from_masks,
    crowds_as_persons,
    outlines_in_pixels,
    sized_as_shown,
    turned,
    without_annotations,
)

logger = logging.getLogger(__name__)

_APART = (("train", "val"), ("train", "test"), ("val", "test"))
"""Splits that must have no image in common; what they share is left out of the first. On ``val`` epochs are chosen, so
it is no test."""


@dataclass(frozen=True)
class Mending:
    """What is done about a data set that is wrong as a whole.

    Attributes:
        boxes: Take boxes as given, or those around the masks.
        exif: Annotations were drawn on images as they are shown, whatever size they say, or as they are stored, without
            their EXIF turn; auto: as shown, and a size that contradicts it is refused.
        outlines: Unit of the polygons.
        duplicates: Keep what is given twice, or leave the copies out: persons and images of a split, images of
            ``train`` that another split has as well, and images of ``val`` that ``test`` has.
        on_bad_sample: Refuse a data set with images that cannot be used, or leave these out.
        only_present: Take only the images whose file is there.
    """

    boxes: Literal["given", "from_masks"] = "given"
    exif: Literal["auto", "shown", "stored"] = "auto"
    outlines: Unit = "pixels"
    duplicates: Literal["keep", "drop"] = "keep"
    on_bad_sample: Literal["error", "skip"] = "error"
    only_present: bool = False


@dataclass(frozen=True)
class JudgedSplit:
    """A split that was checked.

    Attributes:
        split: As it was mended.
        people: Its annotations.
        scan: What is known of its images.
        dropped: Numbers of copies that were left out, by kind.
    """

    split: CocoSplit
    people: AnnotationSet
    scan: Scan
    dropped: Mapping[str, int] = field(default_factory=dict)


def judge_all(
    splits: Mapping[str, CocoSplit], mending: Mending, *, crowds_are_persons: bool = False
) -> dict[str, JudgedSplit]:
    """Mends, checks and judges the splits, each by itself and then together; logs a warning for each finding.

    Raises:
        DataError: Input is missing or malformed, or certainly wrong as a whole.
    """
    mended = {name: _mended(split, mending, crowds_are_persons) for name, split in splits.items()}
    _warn_of_no_effect([changed for _, changed in mended.values()])
    judged = {name: _judge(split, mending) for name, (split, _) in mended.items()}
    for seen, name in [pair for pair in _APART if {*pair} <= judged.keys()]:
        one, other = judged[seen], judged[name]
        if mending.duplicates == "drop":
            common = common_images((other.people, one.people), (other.scan, one.scan))
            judged[seen] = _without_images(one, {*common.by_file, *common.by_outline}, f"images of {name}")
            continue
        findings = judge_splits((seen, name), (one.people, other.people), (one.scan, other.scan))
        settle(other.people.file, findings)
        judged[name] = _with(other, findings)
    return judged


def _judge(split: CocoSplit, mending: Mending) -> JudgedSplit:
    skip = mending.on_bad_sample == "skip"
    people = check_annotations(split, skip_bad=skip, only_present=mending.only_present)
    dropped: dict[str, int] = {}
    copies = repeated(people.images.columns) if mending.duplicates == "drop" else ()
    if len(copies):
        ids = {*people.images.columns.annotation_ids[copies].tolist()}
        split, dropped = without_annotations(split, ids), {"persons": len(ids)}
        people = check_annotations(split, skip_bad=skip, only_present=mending.only_present)
    scan = scan_images(people)
    judged = JudgedSplit(split, people, scan, dropped)
    if mending.duplicates == "drop":
        judged = _without_images(judged, equal_images(people, scan.digests).keys(), "images")
    findings = judge_images(judged.people, scan)
    if mending.exif != "auto":  # which is the answer to what is not clear
        findings = tuple(finding for finding in findings if finding.certain or finding.kind != "exif")
    settle(split.source, findings)
    if scan.bad and not skip:
        raise refusal(people, scan.bad, PREPARING)
    names = {*judged.people.images.file_names}
    bad = [sample for sample in scan.bad if sample.file_name in names]
    return _with(replace(judged, people=without(judged.people, bad)), findings)


def _mended(split: CocoSplit, mending: Mending, crowds_are_persons: bool) -> tuple[CocoSplit, dict[str, bool]]:
    """The split after all that is asked for, and for each of these whether it changed anything."""
    steps: dict[str, Callable[[CocoSplit], CocoSplit]] = {}
    if mending.outlines != "pixels":
        steps[f"--outlines {mending.outlines}"] = partial(outlines_in_pixels, unit=mending.outlines)
    if mending.boxes == "from_masks":
        steps["--boxes from_masks"] = boxes_from_masks
    if crowds_are_persons:
        steps["--crowds person"] = crowds_as_persons
    if mending.exif == "stored":
        steps["--exif stored"] = lambda split: turned(split, _orientations(split))
    changed = {}
    for flag, step in steps.items():
        before, split = split, step(split)
        changed[flag] = any(
            new is not old
            for key in ("annotations", "images")
            for new, old in zip(split.data[key], before.data[key], strict=True)
        )
    # To say that annotations are as shown is an answer that may change nothing.
    return (sized_as_shown(split, _orientations(split)) if mending.exif == "shown" else split), changed


def _warn_of_no_effect(changed: Sequence[Mapping[str, bool]]) -> None:
    """Says which flags change nothing in any split: they were meant for other data."""
    for flag in changed[0] if changed else ():
        if not any(split[flag] for split in changed):
            logger.warning("%s changes nothing: there is nothing of that kind in the data", flag)


def _orientations(split: CocoSplit) -> dict[int, int]:
    """EXIF orientation by image id, of images whose annotations say the size of their stored pixels."""
    images = [image for image in split.data["images"] if isinstance(image.get("file_name"), str)]
    found = find_files([image["file_name"] for image in images], split.images_dir)
    orientations: dict[int, int] = {}
    for image in images:
        name = image["file_name"]
        facts = None if name in found.missing else image_facts(split.images_dir / found.taken.get(name, name))
        if facts is None or facts.orientation == 1:
            continue
        if (image.get("height"), image.get("width")) == (facts.height, facts.width):
            orientations[image["id"]] = facts.orientation
    return orientations


def _without_images(judged: JudgedSplit, names: Iterable[str], kind: str) -> JudgedSplit:
    left_out = {*names}
    if not left_out:
        return judged
    kept = {*judged.people.images.file_names} - left_out
    dropped = {**judged.dropped, kind: len(left_out)}
    others = "copies of these" if kind == "images" else f"{kind}, too"
    return replace(judged, people=only_these(judged.people, kept, others=others), dropped=dropped)


def _with(judged: JudgedSplit, findings: tuple[Finding, ...]) -> JudgedSplit:
    people = replace(judged.people, findings=(*judged.people.findings, *findings))
    return replace(judged, people=people)
