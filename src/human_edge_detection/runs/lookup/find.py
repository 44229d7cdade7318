"""The runs that a user names: by their folder, or by its name below the output folder; of several seeds, all."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.runs.paths import RunPaths, list_runs


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
