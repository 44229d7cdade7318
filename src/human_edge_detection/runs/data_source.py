"""Which data an experiment without data of its own uses: ``HED_DATA_ROOT``, else ``./data``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from human_edge_detection.errors import ConfigError, DataError
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.data_folder import find_splits

DATA_ROOT_VARIABLE: Final = "HED_DATA_ROOT"
DATA_FOLDER: Final = "data"
"""The folder that is looked for in the current one."""


class LocatedData(NamedTuple):
    """A config that names its data, and which these are, in words."""

    config: ExperimentConfig
    said: str


def locate_data(config: ExperimentConfig, *, environment: Mapping[str, str], folder: Path) -> LocatedData:
    """``config`` with the data that it is to use; unchanged when it names some itself.

    Args:
        config: The experiment.
        environment: Of the process; an empty ``HED_DATA_ROOT`` counts as none.
        folder: The current folder, to which the paths of a config are relative.

    Raises:
        ConfigError: There are no data, or ``HED_DATA_ROOT`` does not lead to any.
    """
    named = _named(config.data)
    if named is not None:
        return LocatedData(config, f"data: {named}")
    root = environment.get(DATA_ROOT_VARIABLE)
    if root:
        problem = _problem(folder / root)
        if problem is not None:
            raise ConfigError(f"{DATA_ROOT_VARIABLE}={root}: {problem}; mend it, or give --data_root DIR")
        return LocatedData(_with_root(config, root), f"data: {root} ({DATA_ROOT_VARIABLE})")
    problem = _problem(folder / DATA_FOLDER)
    if problem is not None:
        raise ConfigError(
            f"experiment {config.name!r} has no data: give --data_root DIR, or set {DATA_ROOT_VARIABLE}, or have them "
            f"in ./{DATA_FOLDER} ({problem}); hed prepare-data makes such a folder of your annotations, --drawn_data "
            "trains on drawn pictures"
        )
    said = f"data: ./{DATA_FOLDER}, as neither --data_root nor {DATA_ROOT_VARIABLE} is given"
    return LocatedData(_with_root(config, DATA_FOLDER), said)


def _named(data: DataConfig) -> str | None:
    """The data that a config names, in words."""
    if data.sample is not None:
        sample = data.sample
        test = ("", "") if sample.test_images is None else (f" + {sample.test_images}", " + test")
        counts = f"{sample.train_images} + {sample.val_images}{test[0]}"
        return f"{counts} drawn pictures (training + validation{test[1]}), seed {sample.seed}"
    if data.root is not None:
        return data.root
    if data.train_ann is not None:
        named = f"{data.train_ann}, images in {data.train_images}; validation: {data.val_ann}, {data.val_images}"
        return named if data.test_ann is None else f"{named}; test: {data.test_ann}, {data.test_images}"
    return None


def _problem(root: Path) -> str | None:
    """Why ``root`` is no data folder; None when it has one of the known layouts."""
    if not root.is_dir():
        return "no such folder"
    try:
        find_splits(root)
    except DataError as error:
        return str(error)
    return None


def _with_root(config: ExperimentConfig, root: str) -> ExperimentConfig:
    return derive(config, name=config.name, description=config.description, data={"root": root})
