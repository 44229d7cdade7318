"""Data sets of other formats, made ready for training."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypedDict, Unpack

from human_edge_detection.api.request import check_choice
from human_edge_detection.errors import ConfigError
from human_edge_detection.log import shows_progress, terminal

if TYPE_CHECKING:
    from human_edge_detection.data.annotations.coco import AnnotatedImage, CocoSplit
    from human_edge_detection.data.formats.recognise import Recognised
    from human_edge_detection.data.prepare import Prepared
    from human_edge_detection.files.data_folder import SplitPaths

logger = logging.getLogger(__name__)

Files = tuple[str | Path | None, str | Path | None]
"""COCO annotations of a split, and the folder of its images."""
AUTO: Final = "auto"
VAL_FRACTION: Final = 0.2
"""Of a data root without a validation split."""


_MENDING_CHOICES: Final = {
    "boxes": ("given", "from_masks"),
    "exif": ("auto", "shown", "stored"),
    "outlines": ("pixels", "fractions", "percent"),
    "duplicates": ("keep", "drop"),
    "on_bad_sample": ("error", "skip"),
}
"""The default first."""


class MendingOptions(TypedDict, total=False):
    """What to do about data that are wrong as a whole, or not whole.

    Attributes:
        boxes: Take boxes as given, or those around the masks.
        exif: Annotations were drawn on images as they are shown, whatever size they say, or as they are stored, without
            their EXIF turn; auto: as shown, and a size that contradicts it is refused.
        outlines: Unit of the polygons: pixels, or fractions or percent of the image's sides.
        duplicates: Keep what is given twice, or leave out copies of persons and images, images of train that val or
            test have too, and images of val that test has.
        on_bad_sample: An image that cannot be used is an error, or is left out and listed in ``prepare_report.json``.
        only_present: Take only the images whose file is there.
    """

    boxes: Literal["given", "from_masks"]
    exif: Literal["auto", "shown", "stored"]
    outlines: Literal["pixels", "fractions", "percent"]
    duplicates: Literal["keep", "drop"]
    on_bad_sample: Literal["error", "skip"]
    only_present: bool


def prepare_data(
    data_root: str | Path | None = None,
    *,
    output: str | Path,
    train: Files | None = None,
    val: Files | None = None,
    test: Files | None = None,
    format: str = AUTO,
    category: str | None = None,
    val_fraction: float | None = None,
    test_fraction: float = 0.0,
    crowds: Literal["ignore", "remove", "person"] = "ignore",
    exhaustive: bool = True,
    max_images: int | None = None,
    max_side: int | None = None,
    seed: int = 0,
    **mending: Unpack[MendingOptions],
) -> Prepared:
    """Makes a data folder of persons out of COCO, YOLO, LabelMe, Roboflow or CVAT data: checked, shrunk, counted.

    Args:
        data_root: The data set; what it is is logged.
        output: Folder to make; one that this function made before is replaced.
        train: Instead of ``data_root``: annotations and folder of images, in COCO's format.
        val: Alike.
        test: Alike.
        format: ``auto``, or what ``data_root`` is.
        category: Categories that are persons, joined by commas, in upper or lower case; None: ``person``.
        val_fraction: Share of the images that become a validation split where there is none; None: 0.2 of a
            ``data_root``; 0: none.
        test_fraction: Share of the training images that become a test split, taken before that; 0: none.
        crowds: Keep crowd regions, which training ignores, remove them: background then, or take each as one person.
        exhaustive: False: not all people are annotated, so what lies outside every box is unknown, not background.
        max_images: Most images of a split, chosen at random.
        max_side: Longest side in pixels; larger images are shrunk.
        seed: Of subset, validation and test split.
        **mending: What to do about data that are wrong as a whole, or not whole: see :class:`MendingOptions`.

    Raises:
        ConfigError: The arguments contradict each other or are out of range.
        DataError: Data are missing or malformed, or ``output`` holds something else.

    Example:
        prepared = hed.prepare_data("downloads/people_yolo", output="data", max_side=640)
        print(prepared.statistics["train"].persons, prepared.class_weights)
    """
    _check_fractions(val=val_fraction, test=test_fraction)
    _check_numbers(max_images=(max_images, 1), max_side=(max_side, 16), seed=(seed, 0))
    _check_choices(crowds, mending)

    from human_edge_detection.data.judgement.whole_split import Mending
    from human_edge_detection.data.prepare import Preparation, prepare

    found = _read(data_root, {"train": train, "val": val, "test": test}, format)
    _check_outlines(mending.get("outlines", "pixels"), found)
    fraction = VAL_FRACTION if val_fraction is None and data_root is not None else val_fraction
    splits = _with_test(_persons(found, category), test_fraction, seed)
    splits = _with_validation(splits, fraction, seed, asked=val_fraction is not None)
    preparation = Preparation(crowds, max_images, max_side, seed, exhaustive=exhaustive, mending=Mending(**mending))
    return prepare(_in_order(splits), Path(output), preparation, _track)


def _in_order(splits: Mapping[str, CocoSplit]) -> dict[str, CocoSplit]:
    from human_edge_detection.data.formats.splits import SPLITS

    return {name: splits[name] for name in SPLITS if name in splits}


def _check_outlines(outlines: str, found: Recognised) -> None:
    """Refuses ``--outlines`` for formats that say what their numbers are."""
    from human_edge_detection.data.formats.shapes import ShapeDataset

    if outlines != "pixels" and isinstance(found.dataset, ShapeDataset):
        raise ConfigError(f"--outlines {outlines}: {found.format.title} says what its numbers are; leave the flag out")


def _check_choices(crowds: str, mending: MendingOptions) -> None:
    check_choice("crowds", crowds, ("ignore", "remove", "person"))
    for name, choices in _MENDING_CHOICES.items():
        check_choice(name, str(mending.get(name, choices[0])), choices)


def _check_fractions(**given: float | None) -> None:
    for split, fraction in given.items():
        if fraction is not None and not 0 <= fraction < 1:
            raise ConfigError(f"--{split}_fraction: must be from 0 to below 1, got {fraction}")


def _check_numbers(**given: tuple[int | None, int]) -> None:
    """Refuses numbers below the smallest that makes sense, which stands with each."""
    for name, (value, smallest) in given.items():
        if value is not None and value < smallest:
            raise ConfigError(f"--{name}: must be at least {smallest}, got {value}")


def _read(data_root: str | Path | None, files: dict[str, Files | None], format_: str) -> Recognised:
    from human_edge_detection.data.formats import FORMATS
    from human_edge_detection.data.formats.recognise import given_files, recognise

    check_choice("format", format_, (AUTO, *FORMATS))
    given = {split: pair for split, pair in files.items() if pair is not None and any(pair)}
    if data_root is not None:
        if given:
            raise ConfigError("--data_root: give it alone, or --train_ann, --train_images, --val_ann, --val_images")
        return recognise(Path(data_root), None if format_ == AUTO else format_)
    paths = {split: _both(split, *pair) for split, pair in given.items()}
    if not paths:
        raise ConfigError("no data given; give --data_root, or --train_ann and --train_images, or the same for val")
    if format_ not in (AUTO, "coco"):
        raise ConfigError(f"--format {format_}: --train_ann and --val_ann are COCO files; give --data_root instead")
    return given_files(paths)


def _persons(found: Recognised, category: str | None) -> dict[str, CocoSplit]:
    """The splits with what is a person in them; who names the categories says so of all others, too."""
    from human_edge_detection.data.formats.categories import choose_categories
    from human_edge_detection.data.judgement.mend import categories_listed

    persons = choose_categories(found.dataset.categories, category, str(found.file))
    logger.info("%s", found.description(persons))
    chosen = found.dataset.persons(persons)
    return chosen if category is None else {name: categories_listed(split) for name, split in chosen.items()}


def _both(split: str, annotations: str | Path | None, images: str | Path | None) -> SplitPaths:
    from human_edge_detection.files.data_folder import SplitPaths

    if annotations is None or images is None:
        raise ConfigError(f"--{split}_ann and --{split}_images: give both or none")
    return SplitPaths(Path(annotations), Path(images))


def _with_test(splits: dict[str, CocoSplit], fraction: float, seed: int) -> dict[str, CocoSplit]:
    """``splits`` with a part of ``train`` as test split, where that is asked for."""
    from human_edge_detection.data.formats.splits import split_off

    if not fraction:
        return splits
    if "test" in splits or "train" not in splits:
        has = "has a test split" if "test" in splits else "has no training split"
        raise ConfigError(f"--test_fraction {fraction}: the data set {has}; leave the flag out")
    train, test = split_off(splits["train"], fraction, seed, split="test")
    counts = (len(test.data["images"]), len(splits["train"].data["images"]))
    logger.info("%d of %d training images are test now, drawn with seed %d", *counts, seed)
    return {**splits, "train": train, "test": test}


def _with_validation(
    splits: dict[str, CocoSplit], fraction: float | None, seed: int, *, asked: bool
) -> dict[str, CocoSplit]:
    """``splits`` with a validation split: the one that they have, or a part of ``train``."""
    from human_edge_detection.data.formats.splits import split_off

    if "val" in splits or "train" not in splits:
        if fraction and asked:
            has = "has a validation split" if "val" in splits else "has no training split"
            raise ConfigError(f"--val_fraction {fraction}: the data set {has}; leave the flag out")
        return splits
    if not fraction:
        return splits
    train, val = split_off(splits["train"], fraction, seed, split="val")
    logger.info(
        "no validation split in it: %d of %d images are val now, drawn with seed %d; --val_fraction %s",
        len(val.data["images"]),
        len(splits["train"].data["images"]),
        seed,
        fraction,
    )
    return {**splits, "train": train, "val": val}


def _track(records: Iterable[AnnotatedImage], split: str, count: int) -> Iterable[AnnotatedImage]:
    from rich.progress import track

    return track(records, description=split, total=count, console=terminal(), disable=not shows_progress())
