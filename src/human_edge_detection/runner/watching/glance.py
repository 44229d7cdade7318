"""What run folders say at a glance: a thousand of them in a moment, with ``json`` alone, as pydantic starts slowly."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from human_edge_detection.errors import StorageError
from human_edge_detection.files.lock_state import holder, is_held
from human_edge_detection.files.read import read_regular_file
from human_edge_detection.runs.paths import BATCH_LOCK, RunPaths, summary_path
from human_edge_detection.runs.standing import standing_of
from human_edge_detection.wording import printable

_MAX_BYTES: Final = 1 << 20
"""Of a file that is read; they have a kilobyte or two, a config some more."""
_DEEPEST: Final = 4
"""Folders between the one that is named and an output folder."""
_STATES: Final = ("running", "finished", "interrupted", "failed")
LATER: Final = ("running", "starting", "waiting")
"""States of runs that take time yet."""


class Glance(NamedTuple):
    """Where one run stands.

    Attributes:
        name: Folder below the output folder.
        state: As :class:`~human_edge_detection.runs.standing.Standing` has it, or ``waiting`` for its turn, ``not
            started`` where no batch is at work, ``unreadable``.
        error: Why it is not finished, in one line, where that is known.
        epoch: Epochs completed.
        epochs: In all.
        miou: Best validation mIoU so far.
        seconds_left: Of a run under way; None: unknown.
        seconds_per_epoch: On the clock, validation included; None: unknown.
    """

    name: str
    state: str
    error: str | None = None
    epoch: int | None = None
    epochs: int | None = None
    miou: float | None = None
    seconds_left: float | None = None
    seconds_per_epoch: float | None = None


class BatchGlance(NamedTuple):
    """All runs of one output folder.

    Attributes:
        folder: The output folder.
        holder: The process that runs a batch in it, in words; None: nobody does.
        runs: By name.
    """

    folder: Path
    holder: str | None
    runs: tuple[Glance, ...]

    @property
    def seconds_left(self) -> float | None:
        """Until all runs that are under way or wait are done; None: unknown, or none is."""
        return seconds_left(self.runs) if self.holder is not None or any_of(self.runs, "running") else None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "folder": str(self.folder),
            "batch": self.holder,
            "seconds_left": self.seconds_left,
            "runs": [run._asdict() for run in self.runs],
        }


def look(top: Path) -> list[BatchGlance]:
    """All runs in the folder ``top``, in folders below it, or, where it is a run itself, that one; by output folder.

    Raises:
        OSError: ``top`` cannot be listed.
    """
    return [_batch(folder, names) for folder, names in _find(top)]


def glance(paths: RunPaths, name: str, *, batch_at_work: bool) -> Glance:
    """Where the run in ``paths`` stands.

    Args:
        paths: Its folder, which holds a config or a status.
        name: What to call it.
        batch_at_work: Whether a run that has not begun may expect its turn.
    """
    try:
        fields = _read(paths.status)
    except (OSError, ValueError) as error:
        return Glance(name, "unreadable", f"{paths.status.name}: {printable(str(error))}")
    if fields is None:
        return Glance(name, "waiting" if batch_at_work else "not started", epochs=_planned_epochs(paths))
    said = _Said.of(fields)
    if said is None:
        return Glance(name, "unreadable", f"{paths.status.name}: damaged, edited, or of another version")
    best = _summary(paths)
    standing = standing_of(paths, said, problem_of_best=lambda path: _problem(path, best.get("size_bytes")))
    reason = None if standing.reason is None else printable(standing.reason)
    miou = _number(_mapping(best.get("metrics")).get("miou"))
    return Glance(
        name,
        standing.state,
        reason,
        said.epoch,
        said.epochs,
        miou,
        said.seconds_left() if standing.state == "running" else None,
        said.seconds_per_epoch,
    )


def seconds_left(runs: Sequence[Glance]) -> float | None:
    """Until ``runs`` are done; None: unknown, or all are.

    A run that waits takes what an epoch of the others takes, for each of its epochs: a guess, as models differ.
    """
    later = [run for run in runs if run.state in LATER]
    known = [run.seconds_per_epoch for run in runs if run.seconds_per_epoch is not None]
    if not later or not known:
        return None
    usual = sum(known) / len(known)
    times = [
        run.seconds_left if run.seconds_left is not None else usual * ((run.epochs or 0) - (run.epoch or 0))
        for run in later
    ]
    at_once = max(1, sum(run.state == "running" for run in later))
    return max(max(times), sum(times) / at_once)


def counts(runs: Sequence[Glance]) -> str:
    """``2 of 5 finished, 1 running, 2 waiting``."""
    number = Counter(run.state for run in runs)
    finished = number.pop("finished", 0)
    return ", ".join([f"{finished} of {len(runs)} finished", *(f"{count} {state}" for state, count in number.items())])


def chosen(runs: Sequence[Glance], most: int) -> list[Glance]:
    """``most`` of ``runs``, in their order: first those under way, then those that went wrong, then what is next."""
    if len(runs) <= most:
        return list(runs)
    by_rank = sorted(range(len(runs)), key=lambda number: (_rank(runs[number].state), number))
    return [runs[number] for number in sorted(by_rank[:most])]


def _rank(state: str) -> int:
    if state in LATER:
        return 2 if state == "waiting" else 0
    return 3 if state == "finished" else 1


def any_of(runs: Sequence[Glance], *states: str) -> bool:
    """Whether a run is in one of ``states``."""
    return any(run.state in states for run in runs)


class _Said(NamedTuple):
    """The part of status.json that is shown."""

    state: str
    error: str | None
    pid: int
    host: str
    epoch: int
    epochs: int
    step: int
    steps: int | None
    seconds_per_step: float | None
    updated: str

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> _Said | None:
        """None where a field is missing or of another kind."""
        state, error, host = fields.get("state"), fields.get("error"), fields.get("host")
        pid, epoch, epochs, step = (fields.get(name) for name in ("pid", "epoch", "epochs", "step"))
        numbers = all(type(number) is int and number >= 0 for number in (pid, epoch, epochs, step))
        texts = isinstance(host, str) and isinstance(error, str | None) and isinstance(fields.get("updated"), str)
        if state not in _STATES or not numbers or not texts:
            return None
        steps = fields.get("steps")
        return cls(
            state,
            error,
            int(pid or 0),
            str(host),
            int(epoch or 0),
            int(epochs or 0),
            int(step or 0),
            steps if type(steps) is int and steps > 0 else None,
            _number(fields.get("seconds_per_step")),
            fields["updated"],
        )

    @property
    def seconds_per_epoch(self) -> float | None:
        if self.seconds_per_step is None or self.steps is None or not self.epochs:
            return None
        return self.seconds_per_step * self.steps / self.epochs

    def seconds_left(self) -> float | None:
        """From now on; the status may be some seconds old."""
        if self.seconds_per_step is None or self.steps is None:
            return None
        left = (self.steps - self.step) * self.seconds_per_step
        try:
            age = (datetime.now(UTC) - datetime.fromisoformat(self.updated)).total_seconds()
        except (ValueError, TypeError):
            age = 0.0
        return max(0.0, left - max(0.0, age))


def _find(top: Path) -> Iterator[tuple[Path, list[str]]]:
    """Output folders and the runs in each; ``top`` itself may be a run or hold its seeds."""
    names = _runs_of(top, _names_in(top))
    if names:
        place = top.resolve()  # ``.`` has no name
        yield place.parent, [f"{place.name}{name}" for name in names]
        return
    yield from _walk(top, _DEEPEST)


def _walk(folder: Path, depth: int) -> Iterator[tuple[Path, list[str]]]:
    runs: list[str] = []
    others = []
    for name in sorted(_folders_in(folder)):
        try:
            inside = _names_in(folder / name)
        except OSError:
            continue
        found = _runs_of(folder / name, inside)
        runs += [f"{name}{below}" for below in found]
        if not found and depth > 0 and not (folder / name).is_symlink():
            others.append(folder / name)
    if runs:
        yield folder, runs
    for other in others:
        yield from _walk(other, depth - 1)


def _runs_of(folder: Path, names: set[str]) -> list[str]:
    """What to add to the name of ``folder`` for each run that it holds: itself, and each of several seeds."""
    own = [""] if _is_run(names) else []
    seeds = sorted((name for name in names if name.startswith("seed_")), key=lambda name: (len(name), name))
    return own + [f"/{seed}" for seed in seeds if _holds_run(folder / seed)]


def _is_run(names: set[str]) -> bool:
    """Whether a folder with these files is a run's; many programs have a config.json."""
    return "status.json" in names or {"config.json", "contents.json"} <= names


def _holds_run(folder: Path) -> bool:
    try:
        return _is_run(_names_in(folder))
    except OSError:
        return False


def _names_in(folder: Path) -> set[str]:
    return set(os.listdir(folder))  # noqa: PTH208 - a thousand paths are not needed


def _folders_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []


def _batch(folder: Path, names: Sequence[str]) -> BatchGlance:
    lock = folder / BATCH_LOCK
    try:
        who = holder(lock) if is_held(lock) else None
    except StorageError:  # a folder that we may only read, or one without locks
        who = None
    runs = (glance(RunPaths(folder / name), name, batch_at_work=who is not None) for name in names)
    return BatchGlance(folder, who, tuple(runs))


def _read(path: Path) -> dict[str, Any] | None:
    """The JSON object at ``path``; None when there is no such file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON object.
    """
    try:
        content = json.loads(read_regular_file(path, max_bytes=_MAX_BYTES))
    except FileNotFoundError:
        return None
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - it is the file that is wrong
    return content


def _summary(paths: RunPaths) -> Mapping[str, Any]:
    """What is said of the best checkpoint; nothing where there is none."""
    try:
        return _read(summary_path(paths.best)) or {}
    except (OSError, ValueError):
        return {}


def _problem(best: Path, size: object) -> str | None:
    """Why the best checkpoint is not whole."""
    try:
        found = best.stat().st_size
    except OSError:
        return f"{best.name} is missing"
    return f"{best.name} is damaged: {found} bytes, {size} were written" if size not in (None, found) else None


def _planned_epochs(paths: RunPaths) -> int | None:
    try:
        epochs = _mapping((_read(paths.config) or {}).get("training")).get("epochs")
    except (OSError, ValueError):
        return None
    return epochs if type(epochs) is int else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return float(number) if number is not None and math.isfinite(number) and number >= 0.0 else None
