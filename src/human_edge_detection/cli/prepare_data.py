"""``hed prepare-data``: data sets of many formats, filtered to persons, shrunk, checked, with what is in them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from human_edge_detection.api.data import AUTO, VAL_FRACTION
from human_edge_detection.data.formats import FORMATS

if TYPE_CHECKING:
    from human_edge_detection.data.prepare import Prepared

_NEEDED = ("train", "val")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed prepare-data``."""
    parser.add_argument("--data_root", type=Path, metavar="DIR", help="folder with annotations and images")
    parser.add_argument(
        "--format",
        choices=(AUTO, *FORMATS),
        default=AUTO,
        help="what --data_root is; auto: seen from its files (%(default)s)",
    )
    for split in (*_NEEDED, "test"):
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
        help=f"share of the images that becomes val where there is no val yet; 0: none (--data_root: {VAL_FRACTION})",
    )
    parser.add_argument(
        "--test_fraction",
        type=float,
        default=0.0,
        metavar="X",
        help="share of the training images that becomes test where there is no test yet, before val is taken (0: none)",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder to make")
    parser.add_argument(
        "--crowds",
        choices=("ignore", "remove", "person"),
        default="ignore",
        help="crowd regions: keep them, which training ignores; remove them: background then; or take each as one "
        "person, as CVAT writes persons that were drawn with a brush (ignore)",
    )
    parser.add_argument(
        "--not_exhaustive",
        action="store_true",
        help="some persons are not annotated: outside of the boxes, nothing is taken for background",
    )
    _add_mending(parser)
    parser.add_argument("--max_images", type=int, metavar="N", help="most images of a split, drawn at random")
    parser.add_argument("--max_side", type=int, metavar="N", help="shrink images whose longer side exceeds N pixels")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of subset, val and test (0)")


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
        choices=("auto", "shown", "stored"),
        default="auto",
        help="annotations were drawn on images as they are shown, whatever size they say, or as they are stored, by a "
        "tool that ignores the EXIF orientation: they are turned then; auto: as shown, and a size that contradicts it "
        "is refused (auto)",
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
        help="drop: leave out copies of persons and images, images of train that val or test have too, and images of "
        "val that test has (keep)",
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
    from human_edge_detection.api.data import prepare_data

    prepared = prepare_data(
        args.data_root,
        output=args.output,
        train=(args.train_ann, args.train_images),
        val=(args.val_ann, args.val_images),
        test=(args.test_ann, args.test_images),
        format=args.format,
        category=args.category,
        val_fraction=args.val_fraction,
        test_fraction=args.test_fraction,
        crowds=args.crowds,
        max_images=args.max_images,
        max_side=args.max_side,
        seed=args.seed,
        exhaustive=not args.not_exhaustive,
        boxes=args.boxes,
        exif=args.exif,
        outlines=args.outlines,
        duplicates=args.duplicates,
        on_bad_sample=args.on_bad_sample,
        only_present=args.only_present,
    )
    _show(prepared, args.output)
    return 0


def _show(prepared: Prepared, output: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from human_edge_detection.console import TextConsole

    table = Table(title=Text(f"People in {output}"), title_justify="left")
    table.add_column("")
    for split in prepared.statistics:
        table.add_column(split, justify="right")
    counted = list(prepared.statistics.values())
    rows = {
        "images": [str(one.images) for one in counted],
        "images without persons": [str(one.images_without_persons) for one in counted],
        "images not exhaustively labelled": [str(one.images_not_exhaustive) for one in counted],
        "persons": [str(one.persons) for one in counted],
        "crowd regions, boxes without a mask": [str(one.crowds) for one in counted],
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
    console = TextConsole(markup=False, highlight=False)
    console.print(table)
    weights = ",".join(f"{weight:g}" for weight in prepared.class_weights)
    usage = f"; use it with --data_root {output}" if {*_NEEDED} <= prepared.statistics.keys() else ""
    lines = (
        f"Class weights for {next(iter(prepared.statistics))} (inverse square root of the roi pixel share, mean 1):",
        f"  --set loss.class_weights=[{weights}]",
        f"Written to {output}{usage}",
    )
    for line in lines:
        console.print(line, soft_wrap=True)
