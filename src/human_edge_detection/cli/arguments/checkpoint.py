"""The arguments of commands that take trained models: which ones, and on which data."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from human_edge_detection.cli.arguments.experiment import path_argument, text_argument
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.flags import DATA_FLAGS

if TYPE_CHECKING:
    from human_edge_detection.files.data_folder import SplitPaths

Split = Literal["train", "val", "test"]
_PATHS = ("train_ann", "val_ann", "test_ann", "train_images", "val_images", "test_images")


def add_checkpoint_arguments(parser: argparse.ArgumentParser, splits: Sequence[Split]) -> None:
    """``RUN``, ``--checkpoint``, ``--data_root``, and annotations and images of each of ``splits``."""
    parser.add_argument(
        "run",
        nargs="?",
        type=text_argument,
        metavar="RUN",
        help="a run folder, or its name below --output_dir: the best checkpoint of each of its seeds",
    )
    parser.add_argument("--checkpoint", type=path_argument, metavar="PATH", help="one .pth of a run instead")
    parser.add_argument(
        "--output_dir", type=path_argument, default=Path("experiments"), metavar="DIR", help="default: %(default)s"
    )
    add_data_arguments(parser, splits)


def add_data_arguments(parser: argparse.ArgumentParser, splits: Sequence[Split]) -> None:
    """``--data_root``, and annotations and images of each of ``splits``."""
    group = parser.add_argument_group("data (default: those that the model was trained on)")
    wanted = ("--data_root", *(f"--{split}_{kind}" for split in splits for kind in ("ann", "images")))
    for flag in DATA_FLAGS:
        if flag.name in wanted:
            group.add_argument(flag.name, type=path_argument, metavar="PATH", help=flag.help)


def given_models(args: argparse.Namespace) -> str | Path:
    """The run that is named, or the file of ``--checkpoint``.

    Raises:
        ConfigError: Both are given or none is, there is no such file, or it is a folder or a pipe.
    """
    name: str | None = args.run
    path: Path | None = args.checkpoint
    if (name is None) == (path is None):
        both = "both say which model" if name is not None else "neither is given"
        raise ConfigError(f"RUN and --checkpoint PATH: {both}; give one")
    if path is None:
        assert name is not None
        return name
    if not path.is_file():
        problem = "Not a file" if path.exists() else "No such file"
        raise ConfigError(f"--checkpoint {path}: {problem}; give the path of a .pth file")
    return path


def given_split(args: argparse.Namespace, split: Split) -> SplitPaths | None:
    """The data of ``split`` that the flags name; None when they name none.

    Raises:
        ConfigError: Half of what is needed is given, or two places are.
        DataError: ``--data_root`` holds no such split.
    """
    from human_edge_detection.files.data_folder import SplitPaths, find_split

    given = [name for name in _PATHS if getattr(args, name, None) is not None]
    pair = f"--{split}_ann FILE and --{split}_images DIR"
    if args.data_root is not None:
        if given:
            raise ConfigError(f"--data_root and --{given[0]} both say where the data are; give one")
        return find_split(args.data_root, split)
    if not given:
        return None
    annotations, images = getattr(args, f"{split}_ann"), getattr(args, f"{split}_images")
    if annotations is None or images is None:
        raise ConfigError(f"--{given[0]} alone does not say where the {split} data are: give both {pair}")
    return SplitPaths(annotations, images)
