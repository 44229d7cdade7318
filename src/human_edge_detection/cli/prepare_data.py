"""``hed prepare-data``: filter COCO files to people, make subsets, shrink, check, and show what is in them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from human_edge_detection.errors import ConfigError, DataError

if TYPE_CHECKING:
    from human_edge_detection.data.annotations.coco import AnnotatedImage
    from human_edge_detection.data.prepare import Prepared
    from human_edge_detection.files.data_folder import SplitPaths

_SPLITS = ("train", "val")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed prepare-data``."""
    for split in _SPLITS:
        parser.add_argument(f"--{split}_ann", type=Path, metavar="FILE", help=f"COCO instances file, {split}")
        parser.add_argument(f"--{split}_images", type=Path, metavar="DIR", help=f"images, {split}")
    parser.add_argument(
        "--data_root", type=Path, metavar="DIR", help="folder with both, instead of the four flags above"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder to make")
    parser.add_argument(
        "--crowds",
        choices=("ignore", "remove"),
        default="ignore",
        help="keep crowd regions, which training ignores, or remove them: background then (ignore)",
    )
    parser.add_argument("--max_images", type=int, metavar="N", help="most images of a split, drawn at random")
    parser.add_argument("--max_side", type=int, metavar="N", help="shrink images whose longer side exceeds N pixels")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the subset (0)")


def run(args: argparse.Namespace) -> int:
    """Writes the data set and shows its statistics; returns 0."""
    for flag, smallest in (("max_images", 1), ("max_side", 16), ("seed", 0)):
        value = getattr(args, flag)
        if value is not None and value < smallest:
            raise ConfigError(f"--{flag}: must be at least {smallest}, got {value}")

    from human_edge_detection.data.prepare import Preparation, prepare

    preparation = Preparation(args.crowds, args.max_images, args.max_side, args.seed)
    _show(prepare(_splits(args), args.output, preparation, _track), args.output)
    return 0


def _splits(args: argparse.Namespace) -> dict[str, SplitPaths]:
    from human_edge_detection.files.data_folder import SplitPaths

    given = {split: (getattr(args, f"{split}_ann"), getattr(args, f"{split}_images")) for split in _SPLITS}
    if args.data_root is not None:
        if any(path is not None for paths in given.values() for path in paths):
            raise ConfigError("--data_root: give it alone, or --train_ann, --train_images, --val_ann, --val_images")
        return _splits_below(args.data_root)
    for split, paths in given.items():
        if (paths[0] is None) != (paths[1] is None):
            raise ConfigError(f"--{split}_ann and --{split}_images: give both or none")
    splits = {split: SplitPaths(*paths) for split, paths in given.items() if paths[0] is not None}
    if not splits:
        raise ConfigError("no data given; give --data_root, or --train_ann and --train_images, or the same for val")
    return splits


def _splits_below(root: Path) -> dict[str, SplitPaths]:
    from human_edge_detection.files.data_folder import find_split

    found, problems = {}, []
    for split in _SPLITS:
        try:
            found[split] = find_split(root, split)
        except DataError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    return found


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
    for name, values in rows.items():
        table.add_row(name, *values)
    console = Console()
    console.print(table)
    weights = ",".join(f"{weight:g}" for weight in prepared.class_weights)
    usage = f"; use it with --data_root {output}" if len(prepared.statistics) == len(_SPLITS) else ""
    for line in (
        f"Class weights for {next(iter(prepared.statistics))} (inverse square root of the roi pixel share, mean 1):",
        f"  --set loss.class_weights=[{weights}]",
        f"Written to {output}{usage}",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
