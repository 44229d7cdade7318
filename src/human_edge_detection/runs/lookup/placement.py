"""Which folder a run lies in: that of the same run if there is one, else a free one.

The rule (docs/architecture.md, "A run lies where its name says"): equal identity and equal epochs is that run; fewer
epochs there, and it grows; everything else is another run, in the plain folder ``<name>`` if that is free, else in
``<name>+<digest>``. Names are never parsed: config.json and contents.json say what a folder holds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Final, Literal, NamedTuple

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.difference import Difference
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.lock import is_held
from human_edge_detection.runs.lookup.identity import Identity, RunContents, digest_of, identity_of, read_contents
from human_edge_detection.runs.paths import RunPaths, summary_path
from human_edge_detection.runs.records import CheckpointSummary, RunResult, read_section

logger = logging.getLogger(__name__)

Seed = int | None
"""Key of a run in its folder: the seed of ``seed_<n>``, None for the folder itself."""
Kind = Literal["new", "same", "grows"]
_DIGITS: Final = 8
_SHOWN: Final = 3
"""Differences in a message."""
_LEFTOVERS: Final = frozenset({"status.json", "contents.json", "logs", "visualizations", "checkpoints"})
"""What a run that ended before its first checkpoint may leave in its folder."""


@dataclass(frozen=True)
class Wanted:
    """A run to be placed.

    Attributes:
        config: Resolved.
        contents: What lies at its paths.
    """

    config: ExperimentConfig
    contents: RunContents

    @cached_property
    def identity(self) -> Identity:
        """What tells it from others."""
        return identity_of(self.config, self.contents)


@dataclass(frozen=True)
class Placement:
    """Where a run goes.

    Attributes:
        name: Its folder below the output folder.
        config: As wanted; of a run that is there with what it has written itself, such as its segments.
        contents: As wanted, or as stored for a run that is there.
        kind: Whether the folder is new, holds this run, or this run with fewer epochs.
        note: Why it does not lie in the plain folder, or what else its user should know; None: nothing.
    """

    name: str
    config: ExperimentConfig
    contents: RunContents
    kind: Kind
    note: str | None = None


class _Member(NamedTuple):
    """A run in a folder."""

    paths: RunPaths
    config: ExperimentConfig
    contents: RunContents
    identity: Identity

    @property
    def epochs(self) -> int:
        return self.config.training.epochs


_Folder = Mapping[Seed, _Member]


class RunIndex:
    """The runs below an output folder, read once, and where this plan puts its own."""

    def __init__(self, output_dir: Path) -> None:
        self.output_dir = output_dir
        self._by_name: dict[str, dict[str, _Folder]] = {}
        self._by_settings: dict[str, dict[Hashable, list[str]]] = {}
        """Name -> what all seeds of a run share -> folders that hold such a run."""
        self._placed: set[str] = set()
        """Folders that runs of this plan go to."""

    def place(
        self, name: str, wanted: Mapping[Seed, Wanted], *, may_grow: bool, plain: bool = True
    ) -> dict[Seed, Placement]:
        """A folder for ``wanted``: one run under the key None, or a group of seeds, which share it.

        Args:
            name: Of the experiment.
            wanted: The runs, alike but for the seed, all with the same number of epochs.
            may_grow: The user named them; what they depend on and what a sweep makes never grows.
            plain: They may take the plain folder ``name`` if it is free.

        Raises:
            CheckpointError: The plain folder holds a run that cannot be read.
        """
        folders = self._folders(name)
        alike = self._by_settings[name].get(next(iter(wanted.values())).identity.shared_by_seeds, ())
        fitting = {folder: kind for folder in alike if (kind := _fit(folders[folder], wanted)) is not None}
        same = [folder for folder, kind in fitting.items() if kind == "same"]
        growing = [folder for folder, kind in fitting.items() if kind == "grows"] if may_grow else []
        if same or growing:
            folder = (same or sorted(growing, key=lambda one: -_least_epochs(folders[one], wanted)))[0]
            return self._put(folder, folders[folder], wanted, None)
        if plain and self._is_free(name, folders.get(name, {}), wanted):
            return self._put(name, folders.get(name, {}), wanted, None)
        folder = self._free_folder(name, folders, next(iter(wanted.values())), seeds=None in wanted)
        note = self._why_not_plain(name, folders.get(name, {}), wanted, folder) if plain else None
        return self._put(folder, {}, wanted, note)

    def place_named(self, run_name: str, wanted: Mapping[Seed, Wanted], *, may_grow: bool) -> dict[Seed, Placement]:
        """The folder ``run_name`` for ``wanted``, as its user says.

        Raises:
            ConfigError: It holds another run, the same one with more epochs, or something that is no run.
        """
        members = _read_folder(self.output_dir / run_name)
        for key, one in wanted.items():
            there = members.get(key)
            if there is None:
                continue
            changed = there.identity.differences(one.identity)
            epochs = one.config.training.epochs
            if there.epochs > epochs or (there.epochs < epochs and not may_grow):
                changed["training.epochs"] = (there.epochs, epochs)
            if changed:
                raise ConfigError(
                    f"{there.paths.root} holds a run with another config: {shown_differences(changed)}; use its "
                    "values, or give another --run_name"
                )
        if not members and not _is_empty(self.output_dir / run_name):
            raise ConfigError(
                f"--run_name {run_name}: {self.output_dir / run_name} is there and holds no run (no config.json); give "
                "another name, or move it away"
            )
        return self._put(run_name, members, wanted, None)

    def members(self, name: str) -> dict[Seed, tuple[RunPaths, ExperimentConfig, RunContents]]:
        """The runs in the plain folder of ``name``."""
        found = self._folders(name).get(name, {})
        return {key: (member.paths, member.config, member.contents) for key, member in found.items()}

    def configs(self, name: str) -> list[ExperimentConfig]:
        """Those of all runs of ``name``, of the plain folder first."""
        return [member.config for members in self._folders(name).values() for member in members.values()]

    def _folders(self, name: str) -> dict[str, _Folder]:
        """Folder -> its runs, of ``name`` and all ``name+*``; the plain one first."""
        if name not in self._by_name:
            found = {name: _read_folder(self.output_dir / name)}
            for root in sorted(self.output_dir.glob(f"{name}+*")):
                try:
                    found[root.name] = _read_folder(root)
                except CheckpointError as error:
                    logger.warning("%s; not looked at", error)
            self._by_name[name] = {folder: members for folder, members in found.items() if members}
            by_settings = self._by_settings.setdefault(name, {})
            for folder, members in self._by_name[name].items():
                for settings in dict.fromkeys(member.identity.shared_by_seeds for member in members.values()):
                    by_settings.setdefault(settings, []).append(folder)
        return self._by_name[name]

    def _free_folder(self, name: str, folders: Mapping[str, _Folder], wanted: Wanted, *, seeds: bool) -> str:
        """``name+<digest>``, the first that nothing has: a run that has grown keeps the digest of its fewer epochs."""
        identity, epochs = wanted.identity.digest(seeds=seeds), wanted.config.training.epochs
        for attempt in count():
            folder = f"{name}+{digest_of([identity, epochs, attempt])[:_DIGITS]}"
            if folder not in folders and folder not in self._placed and _is_empty(self.output_dir / folder):
                return folder
        raise AssertionError("unreachable")

    def _is_free(self, name: str, members: _Folder, wanted: Mapping[Seed, Wanted]) -> bool:
        if name in self._placed:
            return False
        if members:  # a run and a group of seeds share a folder when they are the same but for the seed
            first = next(iter(wanted.values()))
            kin = all(
                not member.identity.differences(first.identity, seeds=False)
                and member.epochs == first.config.training.epochs
                for member in members.values()
            )
            return kin and not members.keys() & wanted.keys()
        return _is_empty(self.output_dir / name)

    def _put(
        self, folder: str, members: _Folder, wanted: Mapping[Seed, Wanted], note: str | None
    ) -> dict[Seed, Placement]:
        self._placed.add(folder)
        return {key: _placement(folder, key, members.get(key), one, note) for key, one in wanted.items()}

    def _why_not_plain(self, name: str, members: _Folder, wanted: Mapping[Seed, Wanted], folder: str) -> str:
        key, first = next(iter(wanted.items()))
        plain = self.output_dir / name
        if name in self._placed and not members:
            return f"{plain} is taken by another run of this command; this one is {folder}"
        if not members:
            return (
                f"{plain} is there and holds no run (no config.json): restore that file, or move the folder away to "
                f"have its name; this one is {folder}"
            )
        there = members.get(key) or next(iter(members.values()))
        changed = there.identity.differences(first.identity, seeds=key in members)
        if there.epochs != first.config.training.epochs:
            changed["training.epochs"] = (there.epochs, first.config.training.epochs)
        if all(_never_started(member.paths) for member in members.values()):
            return (
                f"{plain} is reserved for another run, which has never started ({shown_differences(changed)}): if no "
                f"command is about to train it, delete that folder, and this run gets its name; this one is {folder}"
            )
        return f"{plain} holds another run ({shown_differences(changed)}); this one is {folder}"


def early_stop(paths: RunPaths) -> int | None:
    """The epoch at which the run in ``paths`` stopped early; None when it did not."""
    result = read_section(RunResult, paths.result)
    return result.epochs if result is not None and result.early_stopped else None


def shown_differences(changed: Difference) -> str:
    """``changed`` in words: ``training.batch_size is 8 there, 4 here``, the first few of them."""
    items = list(changed.items())
    shown = [f"{path} is {old!r} there, {new!r} here" for path, (old, new) in items[:_SHOWN]]
    more = [f"and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return "; ".join([*shown, *more]) or "another seed"


def grown(stored: ExperimentConfig, epochs: int, done: int) -> ExperimentConfig:
    """``stored`` with ``epochs`` in all, from now on, ``done`` of them trained; what was done in between is recorded.

    Going back to an earlier epoch takes back what was raised after it.
    """
    before = (stored.training.segments or ())[:-1]
    kept = [epoch for epoch in before if epoch <= done]
    changes_here = epochs != stored.training.epochs or len(kept) < len(before)
    if changes_here and done > 0 and done not in kept:
        kept.append(done)
    segments = [*kept, epochs] if kept else None
    return derive(
        stored,
        name=stored.name,
        description=stored.description,
        training={"epochs": epochs, "segments": segments},
    )


def epochs_done(checkpoint: Path) -> int:
    """Epochs completed in ``checkpoint``, as the summary beside it says; 0 when there is none."""
    summary = read_section(CheckpointSummary, summary_path(checkpoint))
    return 0 if summary is None else summary.epoch


def _placement(folder: str, key: Seed, there: _Member | None, wanted: Wanted, note: str | None) -> Placement:
    name = folder if key is None else f"{folder}/seed_{key}"
    config, epochs = wanted.config, wanted.config.training.epochs
    if there is None:
        return Placement(name, config, wanted.contents, "new", note)
    record = there.config.training
    if there.epochs == epochs:
        kind: Kind = "same"
    else:
        kind, record = "grows", grown(there.config, epochs, epochs_done(there.paths.latest)).training
    written = {
        "segments": None if record.segments is None else list(record.segments),
        "auto_batch_size": config.training.auto_batch_size or record.auto_batch_size,
    }
    config = derive(config, name=config.name, description=config.description, training=written)
    return Placement(name, config, there.contents, kind, note)


def _fit(members: _Folder, wanted: Mapping[Seed, Wanted]) -> Kind | None:
    """Whether a folder with ``members`` holds the wanted runs: now, or when they have grown; None: others."""
    own = {key: member for key, member in members.items() if (key is None) == (None in wanted)}
    if not own:
        return None
    first = next(iter(wanted.values()))
    epochs = first.config.training.epochs
    for key, member in own.items():
        one = wanted.get(key)
        if one is None:  # another seed of the group, which would be left behind
            if member.epochs != epochs or member.identity.differences(first.identity, seeds=False):
                return None
        elif member.epochs > epochs or not member.identity.is_same(one.identity):
            return None
    return "same" if _least_epochs(own, wanted) == epochs else "grows"


def _least_epochs(members: _Folder, wanted: Mapping[Seed, Wanted]) -> int:
    first = next(iter(wanted.values()))
    return min([first.config.training.epochs, *(members[key].epochs for key in wanted if key in members)])


def _read_folder(root: Path) -> _Folder:
    """The runs in one folder, by key."""
    members: dict[Seed, _Member] = {}
    for paths in _runs_in(root):
        config = read_section(ExperimentConfig, paths.config)
        if config is not None:
            contents = read_contents(paths, config)
            key = None if paths.root == root else config.training.seed
            members[key] = _Member(paths, config, contents, identity_of(config, contents))
    return members


def _runs_in(root: Path) -> Iterator[RunPaths]:
    if RunPaths(root).config.is_file():
        yield RunPaths(root)
    for config in sorted(root.glob("seed_*/config.json")):
        yield RunPaths(config.parent)


def _never_started(paths: RunPaths) -> bool:
    """Whether the run was planned, and nobody has worked on it: killed before its first step, or about to begin."""
    return not paths.status.exists() and not any(paths.checkpoints.glob("*.pth")) and not is_held(paths.lock)


def _is_empty(root: Path) -> bool:
    """Whether ``root`` is no folder yet, or one that only a run which never got to its first checkpoint has used."""
    if not os.path.lexists(root):
        return True
    if root.is_symlink() or not root.is_dir():
        return False
    names = {entry.name for entry in root.iterdir() if not entry.name.startswith((".", "seed_"))}
    return names <= _LEFTOVERS and not any((root / "checkpoints").glob("*.pth"))
