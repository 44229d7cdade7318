"""The runs that a user names: by their folder, or by its name below the output folder; of several seeds, all."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import CheckpointError, ConfigError, did_you_mean
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.paths import RunPaths, list_runs
from human_edge_detection.runs.records import RunStatus, read_section
from human_edge_detection.runs.standing import standing_of

logger = logging.getLogger(__name__)


class FoundRuns(NamedTuple):
    """What a name stands for.

    Attributes:
        folder: The folder that it names.
        runs: The run of the folder itself, if there is one, then those of its ``seed_*`` folders, by seed.
    """

    folder: Path
    runs: tuple[RunPaths, ...]


def find_runs(given: str | Path, output_dir: Path) -> FoundRuns:
    """The runs that ``given`` stands for.

    Args:
        given: A run folder, or its name below ``output_dir``; it may hold several seeds.
        output_dir: Folder of all runs.

    Raises:
        ConfigError: There is no such run; names the nearest.
    """
    for folder in (output_dir / given, Path(given)):
        found = [folder, *folder.glob("seed_*")]
        runs = [paths for paths in map(RunPaths, found) if paths.status.is_file() or paths.config.is_file()]
        if runs:
            by_seed = sorted(runs, key=lambda run: (run.root != folder, len(run.root.name), run.root.name))
            return FoundRuns(folder, tuple(by_seed))
    if Path(given).is_dir() or (output_dir / given).is_dir():
        raise ConfigError(f"{given}: holds no run (no config.json, no seed_*/config.json); give the folder of a run")
    known = [run.root.relative_to(output_dir).as_posix() for run in list_runs(output_dir)]
    known += [name.partition("/")[0] for name in known]
    raise ConfigError(
        f"no run '{given}'{did_you_mean(str(given), known)}; give the folder of a run, or its name below --output_dir "
        f"{output_dir}"
    )


def best_checkpoints(run: str | Path, output_dir: Path, seed: int | None = None) -> list[Path]:
    """The checkpoint that ``run`` is, or the best one of each run that it names.

    Args:
        run: Name of a run below ``output_dir``, a run folder, or a checkpoint (``.pth``).
        output_dir: Folder of all runs.
        seed: Only the run of this one.

    Raises:
        ConfigError: There is no such file or run.
        CheckpointError: A run has no checkpoint yet.
    """
    if Path(run).is_file():
        return [Path(run)]
    if Path(run).suffix == ".pth":
        raise ConfigError(f"--checkpoint {run}: No such file; give the path of a .pth file")
    found = []
    for paths in find_runs(run, output_dir).runs:
        config = None if seed is None else read_section(ExperimentConfig, paths.config)
        if config is not None and config.training.seed != seed:
            continue
        status = read_section(RunStatus, paths.status)
        state = "of unknown state (it has no status.json)" if status is None else standing_of(paths, status).state
        if not paths.best.is_file():
            raise CheckpointError(
                f"{paths.root}: is {state} and has no {paths.best.name} yet; train it to the end of an epoch, or name "
                "another run"
            )
        if status is None:
            logger.warning("%s: has no %s, which says whether it is finished", paths.root, paths.status.name)
        elif state != "finished":
            logger.warning("%s is %s: its best weights until now are taken", paths.root, state)
        found.append(paths.best)
    if not found:
        raise ConfigError(f"{run}: no run with seed {seed}")
    return found
