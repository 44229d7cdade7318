"""``hed prepare-data``: data sets of many formats, filtered to persons, shrunk, checked, with what is in them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from human_edge_detection.data.formats import FORMATS
from human_edge_detection.errors import ConfigError

if TYPE_CHECKING:
    from human_edge_detection.data.annotations.coco import AnnotatedImage, CocoSplit
    from human_edge_detection.data.formats.recognise import Recognised
    from human_edge_detection.data.prepare import Prepared
    from human_edge_detection.files.data_folder import SplitPaths

_NEEDED = ("train", "val")
_AUTO = "auto"
_VAL_FRACTION = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed prepare-data``."""
    parser.add_argument("--data_root", type=Path, metavar="DIR", help="folder with annotations and images")
    parser.add_argument(
        "--format",
        choices=(_AUTO, *FORMATS),
        default=_AUTO,
        help="what --data_root is; auto: seen from its files (%(default)s)",
    )
    for split in _NEEDED:
        parser.add_argument(
            f"--{split}_ann", type=Path, metavar="FILE", help=f"instead of --data_root: COCO instances file, {split}"
        )
        parser.add_argument(f"--{split}_images", type=Path, metavar="DIR", help=f"images, {split}")
    parser.add_argument(
        "--category", metavar="NAME[,NAME...]", help="categories that are persons, in upper or lower case (person)"
    )
    parser.add_argument(
        "--val_fraction",
        type=float,
        metavar="X",
        help=f"share of the images that becomes val where there is no val yet; 0: none (--data_root: {_VAL_FRACTION})",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder to make")
    parser.add_argument(
        "--crowds",
        choices=("ignore", "remove", "person"),
        default="ignore",
        help="crowd regions: keep them, which training ignores; remove them: background then; or take each as one "
        "person, as CVAT writes persons that were drawn with a brush (ignore)",
    )
    _add_mending(parser)
    parser.add_argument("--max_images", type=int, metavar="N", help="most images of a split, drawn at random")
    parser.add_argument("--max_side", type=int, metavar="N", help="shrink images whose longer side exceeds N pixels")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of subset and validation split (0)")


def _add_mending(parser: argparse.ArgumentParser) -> None:
    """Flags for data sets that are wrong as a whole, or not whole."""
    parser.add_argument(
        "--boxes",
        choices=("given", "from_masks"),
        default="given",
        help="take boxes as given, or those around the masks (given)",
    )
    parser.add_argument(
        "--exif",
        choices=("shown", "stored"),
        default="shown",
        help="annotations were drawn on images as they are shown, or as they are stored, by a tool that ignores the "
        "EXIF orientation: they are turned then (shown)",
    )
    parser.add_argument(
        "--outlines",
        choices=("pixels", "fractions", "percent"),
        default="pixels",
        help="unit of polygons: pixels, or fractions or percent of the image's sides (pixels)",
    )
    parser.add_argument(
        "--duplicates",
        choices=("keep", "drop"),
        default="keep",
        help="drop: leave out copies of persons and images, and images of train that val or test have too (keep)",
    )
    parser.add_argument(
        "--on_bad_sample",
        choices=("error", "skip"),
        default="error",
        help="an image that cannot be used is an error, or is left out and listed in prepare_report.json (error)",
    )
    parser.add_argument(
        "--only_present", action="store_true", help="take only the images whose file is there, as of a partial download"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the data set and shows its statistics; returns 0."""
    for flag, smallest in (("max_images", 1), ("max_side", 16), ("seed", 0)):
        value = getattr(args, flag)
        if value is not None and value < smallest:
            raise ConfigError(f"--{flag}: must be at least {smallest}, got {value}")
    if args.val_fraction is not None and not 0 <= args.val_fraction < 1:
        raise ConfigError(f"--val_fraction: must be from 0 to below 1, got {args.val_fraction}")

    from human_edge_detection.data.judgement.whole_split import Mending
    from human_edge_detection.data.prepare import Preparation, prepare

    mending = Mending(
        boxes=args.boxes,
        exif=args.exif,
        outlines=args.outlines,
        duplicates=args.duplicates,
        on_bad_sample=args.on_bad_sample,
        only_present=args.only_present,
    )
    preparation = Preparation(args.crowds, args.max_images, args.max_side, args.seed, mending)
    _show(prepare(_splits(args), args.output, preparation, _track), args.output)
    return 0


def _splits(args: argparse.Namespace) -> dict[str, CocoSplit]:
    """Reads what was given, and says what it is and which of it are persons."""
    from human_edge_detection.data.formats.categories import choose_categories
    from human_edge_detection.data.formats.splits import SPLITS

    found = _recognised(args)
    persons = choose_categories(found.dataset.categories, args.category, str(found.file))
    _say(found.description(persons))
    splits = _with_validation(found.dataset.persons(persons), args)
    return {name: splits[name] for name in SPLITS if name in splits}


def _recognised(args: argparse.Namespace) -> Recognised:
    from human_edge_detection.data.formats.recognise import given_files, recognise

    paths = _given_paths(args)
    if args.data_root is not None and paths:
        raise ConfigError("--data_root: give it alone, or --train_ann, --train_images, --val_ann, --val_images")
    if args.data_root is not None:
        return recognise(args.data_root, None if args.format == _AUTO else args.format)
    if not paths:
        raise ConfigError("no data given; give --data_root, or --train_ann and --train_images, or the same for val")
    if args.format not in (_AUTO, "coco"):
        raise ConfigError(f"--format {args.format}: --train_ann and --val_ann are COCO files; give --data_root instead")
    return given_files(paths)


def _given_paths(args: argparse.Namespace) -> dict[str, SplitPaths]:
    from human_edge_detection.files.data_folder import SplitPaths

    given = {split: (getattr(args, f"{split}_ann"), getattr(args, f"{split}_images")) for split in _NEEDED}
    for split, paths in given.items():
        if (paths[0] is None) != (paths[1] is None) and args.data_root is None:
            raise ConfigError(f"--{split}_ann and --{split}_images: give both or none")
    return {split: SplitPaths(*paths) for split, paths in given.items() if any(paths)}


def _with_validation(splits: dict[str, CocoSplit], args: argparse.Namespace) -> dict[str, CocoSplit]:
    """``splits`` with a validation split: the one that they have, or a part of ``train``."""
    from human_edge_detection.data.formats.splits import split_off_validation

    fraction = args.val_fraction
    if "val" in splits or "train" not in splits:
        if fraction:
            has = "has a validation split" if "val" in splits else "has no training split"
            raise ConfigError(f"--val_fraction {fraction}: the data set {has}; leave the flag out")
        return splits
    if fraction is None and args.data_root is not None:
        fraction = _VAL_FRACTION
    if not fraction:
        return splits
    train, val = split_off_validation(splits["train"], fraction, args.seed)
    _say(
        f"no validation split in it: {len(val.data['images'])} of {len(splits['train'].data['images'])} images are val "
        f"now, drawn with seed {args.seed}; --val_fraction {fraction}"
    )
    return {**splits, "train": train, "val": val}


def _say(*lines: str) -> None:
    from rich.console import Console

    for line in lines:
        Console().print(line, markup=False, highlight=False, soft_wrap=True)


def _track(records: Iterable[AnnotatedImage], split: str, count: int) -> Iterable[AnnotatedImage]:
    from rich.console import Console
    from rich.progress import track

    return track(records, description=split, total=count, console=Console(stderr=True))


def _show(prepared: Prepared, output: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"People in {output}", title_justify="left")
    table.add_column("")
    for split in prepared.statistics:
        table.add_column(split, justify="right")
    counted = list(prepared.statistics.values())
    rows = {
        "images": [str(one.images) for one in counted],
        "images without persons": [str(one.images_without_persons) for one in counted],
        "persons": [str(one.persons) for one in counted],
        "crowd regions": [str(one.crowds) for one in counted],
        "small (below 32 x 32 pixels)": [str(one.small) for one in counted],
        "medium (below 96 x 96)": [str(one.medium) for one in counted],
        "large": [str(one.large) for one in counted],
        "persons an image: mean": [f"{one.persons / one.images:.2f}" for one in counted],
        "persons an image: most": [str(one.most_persons) for one in counted],
    }
    for number, name in enumerate(("background", "target", "non-target")):
        rows[f"roi pixels: {name}"] = [f"{one.class_shares[number]:.1%}" for one in counted]
    rows["findings"] = [
        ", ".join(dict.fromkeys(one.kind for one in found)) or "none" for found in prepared.findings.values()
    ]
    for name, values in rows.items():
        table.add_row(name, *values)
    Console().print(table)
    weights = ",".join(f"{weight:g}" for weight in prepared.class_weights)
    usage = f"; use it with --data_root {output}" if {*_NEEDED} <= prepared.statistics.keys() else ""
    _say(
        f"Class weights for {next(iter(prepared.statistics))} (inverse square root of the roi pixel share, mean 1):",
        f"  --set loss.class_weights=[{weights}]",
        f"Written to {output}{usage}",
    )
