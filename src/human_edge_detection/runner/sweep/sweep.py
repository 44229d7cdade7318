"""A sweep: which runs it is made of, how they compare, and the best of them as a config file."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.config_file import config_file_text
from human_edge_detection.experiments.difference import difference
from human_edge_detection.experiments.registry import DEFAULT_NAME, get_config, is_shipped
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.runner.comparison.table import Row, to_csv
from human_edge_detection.runner.execution.plan import PlannedRun, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.sweep.search_space import Axis, Combination, combinations, label, parse_axes, probes
from human_edge_detection.runner.sweep.tuning_split import SHARE, TuningSplit

ON_VALIDATION: Final = "the validation data"
ON_TUNING: Final = f"the tuning split ({SHARE:.0%} of the training images, which these runs do not train on)"

MOST_RUNS: Final = 10_000
"""More runs than this are a slip of the keyboard, not a plan."""


@dataclass(frozen=True)
class SweepRequest:
    """Which fields a user wants to sweep.

    Attributes:
        fields: ``section.field=a,b,c`` each; with ``trials`` also ``section.field=low..high`` or ``low..high:log``.
        trials: Search with Optuna, so many trials in all, scored on a tuning split; None: every combination once.
        tuning_split: Hold out a fifth of the training images and score on it, not on the validation data.
    """

    fields: tuple[str, ...]
    trials: int | None = None
    tuning_split: bool = False


@dataclass(frozen=True)
class Sweep:
    """A batch with swept fields.

    Attributes:
        request: What is asked for, on the data that the user names; its grid is every combination or, where values are
            searched for, one probe of each value.
        axes: The swept fields.
        trials: How many combinations are tried; None: all.
        split: The tuning split that the runs are scored on; None: they are scored on the validation data.
        folder: Where its own files are, below the output folder.
    """

    request: BatchRequest
    axes: tuple[Axis, ...]
    trials: int | None
    split: TuningSplit | None
    folder: Path

    @property
    def scored_on(self) -> str:
        """In words."""
        return ON_VALIDATION if self.split is None else ON_TUNING

    @property
    def competing(self) -> BatchRequest:
        """The request for the runs that compete; where values are searched for, for one of them."""
        return self.request_for(*(self.request.grid if self.trials is None else self.request.grid[:1]))

    def request_for(self, *grid: Combination) -> BatchRequest:
        """The request for the runs with these combinations, with the tuning split in place of the validation data."""
        if self.split is None:
            return replace(self.request, grid=grid)
        flag = "--tuning_split" if self.trials is None else "--trials"
        changes = (*self.request.overrides.changes, *self.split.changes(flag))
        return replace(self.request, grid=grid, overrides=self.request.overrides.keep(changes))

    def combination(self, values: Mapping[str, Any]) -> Combination:
        """The changes that set the swept fields to ``values``."""
        return tuple(axis.change(values[axis.path]) for axis in self.axes)

    def values(self, config: ExperimentConfig) -> dict[str, Any]:
        """What ``config`` has in the swept fields; None where it has no such section."""
        fields = config.model_dump(mode="json")
        return {axis.path: _at(fields, axis.path) for axis in self.axes}


@dataclass(frozen=True)
class Entry:
    """A line of the table of a sweep: one combination.

    Attributes:
        title: The experiment, or the number of the trial.
        values: Of the swept fields.
        status: How its runs ended; several states where they differ.
        score: Mean over its seeds; None unless all have finished.
        spread: Standard deviation over its seeds; None for fewer than two.
        runs: Their names.
        error: Why it has no score.
    """

    title: str
    values: Mapping[str, Any]
    status: str
    score: float | None = None
    spread: float | None = None
    runs: tuple[str, ...] = ()
    error: str | None = None


def read_sweep(asked: SweepRequest, request: BatchRequest, options: Options) -> Sweep:
    """The sweep that ``asked`` stands for, over what ``request`` names.

    Raises:
        ConfigError: It cannot be done.
    """
    searched = asked.trials is not None
    if not asked.fields:
        flag = "--trials" if searched else "--tuning_split"
        raise ConfigError(f"{flag}: nothing to choose among; give --sweep SECTION.FIELD=a,b,c, too")
    if request.run_name is not None:
        raise ConfigError(f"--run_name {request.run_name}: names one folder, and --sweep makes many runs")
    if asked.trials is not None:
        _check_search(asked.trials, request, options)
    axes = parse_axes(asked.fields, request.overrides, searched=searched)
    if request.seeds is not None and any(axis.path == "training.seed" for axis in axes):
        raise ConfigError("--seeds and --sweep training.seed both name seeds; give one")
    return make_sweep(request, axes, trials=asked.trials, tuning=asked.tuning_split or searched)


def _check_search(trials: int, request: BatchRequest, options: Options) -> None:
    if trials < 1:
        raise ConfigError(f"--trials {trials}: expected 1 or more")
    if len(request.names) != 1:
        raise ConfigError(f"--trials searches for one experiment, and {len(request.names)} are named; give one")
    for flag, given in (
        ("restart", request.restart),
        ("skip_training", options.skip_training),
        ("export_onnx", options.export_onnx),
    ):
        if given:
            raise ConfigError(f"--{flag}: not in a search; search first, then run its best_config.yaml")
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("--trials needs Optuna, which is not installed; uv sync --inexact --extra search")


def make_sweep(request: BatchRequest, axes: tuple[Axis, ...], *, trials: int | None, tuning: bool) -> Sweep:
    """The sweep of ``axes`` over what ``request`` names.

    Args:
        request: The experiments.
        axes: The swept fields.
        trials: How many combinations are tried; None: all.
        tuning: The runs are scored on a part of their training data.

    Raises:
        ConfigError: A value is wrong, the sweep makes too many runs, or experiments with different data were to share
            one tuning split.
    """
    combined = math.prod(len(axis.values) for axis in axes) if trials is None else trials
    _check_size(combined * len(request.names) * len(request.seeds or (None,)), searched=trials is not None)
    request = replace(request, grid=combinations(axes) if trials is None else probes(axes))
    runs = plan(request)
    split = _split(runs, request) if tuning else None
    title = request.names[0] if len(request.names) == 1 else "several"
    first = plan(replace(request, grid=probes(axes)[:1]))
    asked = [*(run.name for run in first if run.named), *map(str, axes), label([trials is not None, tuning])]
    digest = hashlib.sha256("\n".join(asked).encode()).hexdigest()[:8]
    return Sweep(request, axes, trials, split, request.output_dir / "sweeps" / f"{title}+{digest}")


def _check_size(runs: int, *, searched: bool) -> None:
    if runs > MOST_RUNS:
        advice = "give a smaller --trials" if searched else "sweep fewer values, or let --trials N choose among them"
        raise ConfigError(f"--sweep: makes {runs} runs, expected at most {MOST_RUNS}; {advice}")


def grid_rows(sweep: Sweep, runs: Sequence[PlannedRun], compared: Sequence[Row]) -> list[Row]:
    """One row for each named run of ``runs``: its values and its score, out of the comparison's rows."""
    by_name = {row["run"]: row for row in compared}
    rows = []
    for run in runs:
        if run.named:
            found = by_name.get(run.name, {})
            rows.append(
                {
                    "experiment": run.preset.name,
                    "run": run.name,
                    "seed": run.config.training.seed,
                    **sweep.values(run.config),
                    "status": found.get("status", "skipped"),
                    "score": found.get(run.config.model.monitored_metric),
                    "error": found.get("error"),
                }
            )
    return rows


def grid_entries(sweep: Sweep, rows: Sequence[Row]) -> list[Entry]:
    """The rows of :func:`grid_rows`, seeds taken together."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        values = [row[axis.path] for axis in sweep.axes]
        groups.setdefault(label([row["experiment"], values]), []).append(row)
    return [_entry(sweep, group) for group in groups.values()]


def best(entries: Sequence[Entry]) -> Entry | None:
    """The one with the highest score; the first of equals; None when none has a score."""
    scored = [entry for entry in entries if entry.score is not None]
    return max(scored, key=lambda entry: entry.score or 0.0, default=None)


def write_sweep(sweep: Sweep, rows: Sequence[Row]) -> list[Path]:
    """Writes sweep.json and sweep.csv.

    Raises:
        StorageError: They cannot be written.
    """
    about = {
        "experiments": list(sweep.request.names),
        "sweep": list(map(str, sweep.axes)),
        "scored_on": sweep.scored_on,
        "rows": list(rows),
    }
    files = [sweep.folder / "sweep.json", sweep.folder / "sweep.csv"]
    write_json(files[0], about)
    write_atomically(files[1], to_csv([{key: _plain(value) for key, value in row.items()} for row in rows]).encode())
    return files


def write_best(sweep: Sweep, experiment: str, values: Mapping[str, Any]) -> Path:
    """Writes ``experiment`` with the best values, on the data that the user named, as a file for ``--config_file``.

    Raises:
        StorageError: It cannot be written.
    """
    runs = plan(replace(sweep.request, grid=(sweep.combination(values),)))
    run = next(run for run in runs if run.named and run.preset.name == experiment)
    several = len(sweep.request.names) > 1
    file = sweep.folder / (f"best_config_{experiment}.yaml" if several else "best_config.yaml")
    comment = (
        f"# Chosen by its score on {sweep.scored_on}; says nothing about other data until it is trained and compared.\n"
    )
    write_atomically(file, (comment + config_file_text(_config_file(run, sweep.request))).encode())
    return file


def _config_file(run: PlannedRun, request: BatchRequest) -> dict[str, Any]:
    preset = run.preset if is_shipped(run.preset) else get_config(DEFAULT_NAME)
    fields: dict[str, Any] = {"base": preset.name}
    if run.config.name != preset.name:
        fields["name"] = run.config.name
    for path, (_, value) in difference(run.config, preset).items():
        if path == "training.seed" and request.seeds is not None:
            continue
        *above, last = path.split(".")
        section = fields
        for part in above:
            section = section.setdefault(part, {})
        section[last] = value
    return fields


def _split(runs: Sequence[PlannedRun], request: BatchRequest) -> TuningSplit:
    """The one tuning split of all named runs."""
    splits = {}
    for run in runs:
        if run.named:
            split = TuningSplit(run.config.data, request.output_dir)
            splits[split.folder] = split
    if len(splits) > 1:
        raise ConfigError(
            f"{', '.join(request.names)}: {len(splits)} different training data, and a tuning split is a part of one; "
            "name one for all (--data_root) and sweep other fields"
        )
    return next(iter(splits.values()))


def _entry(sweep: Sweep, rows: Sequence[Row]) -> Entry:
    scores = [row["score"] for row in rows if row["score"] is not None]
    finished = len(scores) == len(rows)
    return Entry(
        title=rows[0]["experiment"],
        values={axis.path: rows[0][axis.path] for axis in sweep.axes},
        status=", ".join(dict.fromkeys(row["status"] for row in rows)),
        score=statistics.fmean(scores) if finished else None,
        spread=statistics.stdev(scores) if finished and len(scores) > 1 else None,
        runs=tuple(row["run"] for row in rows),
        error=next((row["error"] for row in rows if row["error"]), None),
    )


def _at(fields: Any, path: str) -> Any:
    for part in path.split("."):
        fields = fields.get(part) if isinstance(fields, Mapping) else None
    return fields


def _plain(value: Any) -> Any:
    return label(value) if isinstance(value, list | dict) else value
