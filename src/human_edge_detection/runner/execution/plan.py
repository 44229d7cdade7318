"""From what a user asks for to an ordered list of runs, each with its folder and after what it depends on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.flags import TEACHER_CHECKPOINT
from human_edge_detection.experiments.overrides import Overrides
from human_edge_detection.experiments.registry import list_configs
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runner.execution.request import BatchRequest, NamedUnits, Unit, named_units, with_seed
from human_edge_detection.runs.checks import (
    check_data_paths,
    check_test_paths,
    check_tracker,
    check_weight_paths,
    is_finished,
)
from human_edge_detection.runs.data_source import locate_data
from human_edge_detection.runs.dependencies import Dependency, dependencies, dependency_config, fill
from human_edge_detection.runs.lookup.identity import (
    Identity,
    RunContents,
    StoredIdentity,
    WeightFile,
    find_contents,
    identity_of,
    of_run,
    weight_file,
    weight_paths,
)
from human_edge_detection.runs.lookup.placement import (
    Kind,
    Placement,
    RunIndex,
    Seed,
    Wanted,
    early_stop,
    shown_differences,
)
from human_edge_detection.runs.lookup.resume import find_resumed
from human_edge_detection.runs.model_facts.external_teacher import check_external_teacher, with_description
from human_edge_detection.runs.model_facts.split_scores import how_to_test
from human_edge_detection.runs.model_facts.unlabelled import check_own_boxes, epoch_in_words
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import read_section
from human_edge_detection.runs.teacher_claims import check_teacher_claims

_EPOCH_CHECKPOINT: Final = re.compile(r"checkpoint_epoch_(\d+)")


@dataclass(frozen=True)
class PlannedRun:
    """One run of a batch.

    Attributes:
        name: Folder below the output folder.
        output_dir: Folder of all runs.
        preset: The experiment that it comes from: a registered one, or a config of a Python program.
        config: Resolved; dependencies not filled in.
        contents: What lies at its paths.
        kind: Whether its folder is new, holds it, or holds it with fewer epochs.
        checkpoints: The dependencies' checkpoints by field; they may be yet to be trained.
        requires: Names of the runs of this batch that must finish first.
        named: The user asked for it; False: it was added for another.
        finished: It ended well earlier and is not to be trained anew.
        reason: Why it was added; empty when named.
        notes: What its user should know of its folder, its data and its dependencies, a line each.
        restart: The folder is deleted first.
        resume: Checkpoint to go on from instead of the newest.
        file: Config file that gives it its own name.
    """

    name: str
    output_dir: Path
    preset: ExperimentConfig
    config: ExperimentConfig
    contents: RunContents
    kind: Kind = "new"
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    named: bool = True
    finished: bool = False
    reason: str = ""
    notes: tuple[str, ...] = ()
    restart: bool = False
    resume: Path | None = None
    file: Path | None = None

    @property
    def paths(self) -> RunPaths:
        """Its folder."""
        return RunPaths(self.output_dir / self.name)

    @property
    def full_config(self) -> ExperimentConfig:
        """The config as the run trains it, with the checkpoints of its dependencies."""
        return fill(self.config, self.checkpoints) if self.checkpoints else self.config

    @cached_property
    def identity(self) -> Identity:
        """What tells it from other runs."""
        return identity_of(self.config, self.contents)


Finished = Callable[[RunPaths], bool]
"""Whether a run folder holds a finished run."""


def plan(request: BatchRequest, *, finished: Finished = is_finished) -> tuple[PlannedRun, ...]:
    """The runs of a batch in the order in which they can be trained; writes nothing.

    Args:
        request: What the user asks for.
        finished: Whether a run folder holds a finished run.

    Raises:
        ConfigError: An experiment or a change is wrong, a change applies to no run, or experiments need each other.
        DataError: The annotations that are named are not there.
        CheckpointError: A run folder cannot be read.
    """
    if request.resume is not None:
        return (_resumed(request, request.resume, finished),)
    planner = _Planner(request, finished)
    if request.as_it_is:
        return planner.as_it_is()
    return planner.plan()


def check_plan(runs: Sequence[PlannedRun]) -> None:
    """Refuses a plan that cannot be trained: a path that does not exist, views that no pipeline can make, a teacher
    that would be deleted.

    Raises:
        ConfigError: Before anything is written.
    """
    for run in runs:
        if not run.finished:
            check_tracker(run.config)
            check_views(run.config)
        check_data_paths(run.config)
        if run.kind == "new":
            check_test_paths(run.config)
        check_weight_paths(run.config, run.output_dir, awaited=[run.output_dir / name for name in run.requires])
        if run.restart:
            _check_restart(run)
        if not run.finished:
            check_external_teacher(run.config)


def check_views(config: ExperimentConfig) -> None:
    """Refuses a pipeline of albumentations that cannot make views.

    Raises:
        ConfigError: Names the file and the transform.
    """
    augmentation = config.data.augmentation
    if augmentation is not None and augmentation.pipeline is not None:
        from human_edge_detection.data.views.pipeline import check_pipeline  # slow: albumentations is tried

        check_pipeline(Path(augmentation.pipeline))


class _Found(NamedTuple):
    """A dependency of one run: where its checkpoint is, what is known of it, and the run that makes it, if any."""

    path: Path
    weights: WeightFile
    run: PlannedRun | None = None
    note: str | None = None


class _Planner:
    """Plans one request. Units are placed once each, what they depend on before them."""

    def __init__(self, request: BatchRequest, finished: Finished) -> None:
        self.request = request
        self.finished = finished
        self.index = RunIndex(request.output_dir)
        self.units = named_units(request)
        self._named = NamedUnits(self.units)
        self._dependencies: dict[tuple[Dependency, int, str, tuple[str, ...]], _Found] = {}
        self._makers: dict[tuple[Path, tuple[str, ...]], PlannedRun | None] = {}
        self._runs: dict[Unit, dict[Seed, PlannedRun]] = {}
        self._added: dict[str, Unit] = {}
        """Units that are added for others, by what makes them the same."""

    def plan(self) -> tuple[PlannedRun, ...]:
        planned: dict[str, PlannedRun] = {}
        placed = [run for unit in self.units for run in self._place(unit, ()).values()]
        by_name = {run.name: run for runs in self._runs.values() for run in runs.values()}
        for run in placed:
            _add(run, by_name, planned)
        return tuple(planned.values())

    def as_it_is(self) -> tuple[PlannedRun, ...]:
        """The runs in the plain folders of the named experiments."""
        runs: list[PlannedRun] = []
        for unit in self.units:
            found = self.index.members(unit.name)
            if not found:  # it will be reported as not trained
                config = next(iter(unit.configs.values()))
                contents = RunContents(encoder_weights=config.model.encoder_weights)
                runs.append(PlannedRun(unit.name, self.request.output_dir, unit.preset, config, contents))
            for key, (paths, config, contents) in found.items():
                if self.request.seeds is None or key in self.request.seeds:
                    name = unit.name if key is None else f"{unit.name}/seed_{key}"
                    done = self.finished(paths)
                    run = PlannedRun(name, self.request.output_dir, unit.preset, config, contents, "same")
                    runs.append(replace(run, finished=done))
        return tuple(runs)

    def _place(self, unit: Unit, trail: tuple[str, ...]) -> dict[Seed, PlannedRun]:
        """The runs of ``unit``, each with its folder."""
        if unit in self._runs:
            return self._runs[unit]
        if unit.name in trail:
            raise ConfigError(f"experiments need each other: {' -> '.join([*trail, unit.name])}; break the circle")
        trail = (*trail, unit.name)
        said: dict[Seed, str | None] = {}
        wanted: dict[Seed, Wanted] = {}
        needed: dict[Seed, dict[str, _Found]] = {}
        awaited: dict[Seed, list[PlannedRun]] = {}
        for key, given in unit.configs.items():
            located = locate_data(given, environment=os.environ, folder=Path())
            said[key] = located.said
            if located.config.data.root is not None:
                check_data_paths(located.config)
            config = with_description(located.config)
            needed[key] = {
                dependency.field: self._find(dependency, unit, config, trail) for dependency in dependencies(config)
            }
            weights, awaited[key] = self._weights(config, needed[key], trail)
            wanted[key] = Wanted(config, find_contents(config, weights))
        placements = self._placements(unit, wanted)
        for key, one in wanted.items():
            self._check_claims(unit, one.config, needed[key], awaited[key])
        self._runs[unit] = {
            key: self._planned(unit, placements[key], needed[key], awaited[key], said[key]) for key in unit.configs
        }
        return self._runs[unit]

    @staticmethod
    def _check_claims(
        unit: Unit, config: ExperimentConfig, needed: Mapping[str, _Found], awaited: Sequence[PlannedRun]
    ) -> None:
        """What the user says that the teacher is must be true of it, trained or yet to be trained."""
        found = needed.get(TEACHER_CHECKPOINT)
        if found is None:
            planned = awaited[0].config if awaited else None
        else:
            planned = found.run.config if found.run is not None else None
            config = fill(config, {TEACHER_CHECKPOINT: found.path})
        check_teacher_claims(config, unit.overrides, planned=planned)
        check_own_boxes(config, planned=planned)

    def _placements(self, unit: Unit, wanted: Mapping[Seed, Wanted]) -> dict[Seed, Placement]:
        request = self.request
        may_grow = unit.named and not request.swept
        if unit.named and request.run_name is not None:
            return self.index.place_named(request.run_name, wanted, may_grow=may_grow)
        return self.index.place(unit.name, wanted, may_grow=may_grow, plain=not unit.swept)

    def _planned(
        self,
        unit: Unit,
        placement: Placement,
        needed: Mapping[str, _Found],
        awaited: Sequence[PlannedRun],
        said: str | None,
    ) -> PlannedRun:
        paths = RunPaths(self.request.output_dir / placement.name)
        restart = unit.named and self.request.restart and placement.kind != "new"
        config, kind, notes = placement.config, placement.kind, [said, placement.note]
        notes.append(epoch_in_words(config.data))
        if unit.named and self.request.restart and not restart:
            nothing = "no run with these settings and epochs is there"
            notes.append(f"restart: nothing to delete for {placement.name}, {nothing}")
        stopped = early_stop(paths) if kind == "grows" and not restart else None
        if stopped is not None:
            notes.append(
                f"{paths.root} stopped early after epoch {stopped}, so it does not grow to {config.training.epochs} "
                "epochs; run_experiments.py --restart trains it anew"
            )
            config, kind = _with_epochs_of(paths, config), "same"
        if restart:
            kept = {"segments": None}
            config, kind = derive(config, name=config.name, description=config.description, training=kept), "new"
        done = kind == "same" and self.finished(paths)
        notes.append(how_to_test(paths, config.data) if done else None)
        # A finished run waits for a teacher that this batch trains anew, to see whether it still is its teacher.
        runs = [*(found.run for found in needed.values() if found.run is not None), *awaited]
        requires = [run.name for run in runs if run.named or not done]
        return PlannedRun(
            name=placement.name,
            output_dir=self.request.output_dir,
            preset=unit.preset,
            config=config,
            contents=placement.contents,
            kind=kind,
            checkpoints={field: found.path for field, found in needed.items()},
            requires=tuple(dict.fromkeys(requires)),
            named=unit.named,
            finished=done,
            reason=unit.reason,
            notes=tuple(note for note in [*notes, *(found.note for found in needed.values())] if note is not None),
            restart=restart,
            file=unit.file,
        )

    def _weights(
        self, config: ExperimentConfig, needed: Mapping[str, _Found], trail: tuple[str, ...]
    ) -> tuple[dict[str, tuple[WeightFile, ...]], list[PlannedRun]]:
        """What is known of all checkpoints that ``config`` names or needs, and the runs here that make them."""
        weights: dict[str, tuple[WeightFile, ...]] = {}
        awaited = []
        for name, paths in weight_paths(config).items():
            files = []
            for path in paths:
                run = self._makes(path, trail)
                files.append(weight_file(path) if run is None else _weights_of(run, path.stem))
                awaited += [] if run is None else [run]
            weights[name] = tuple(files)
        for name, found in needed.items():
            weights[name] = (found.weights, *weights.get(name, ()))
        return weights, awaited

    def _makes(self, path: Path, trail: tuple[str, ...]) -> PlannedRun | None:
        """The run of this batch that will write the checkpoint ``path``; None for a file that is there to stay."""
        root = path.absolute().parent.parent
        if (root, trail) not in self._makers:
            self._makers[root, trail] = self._unfinished_in(root.resolve(), self._named.around(root), trail)
        run = self._makers[root, trail]
        epoch = _EPOCH_CHECKPOINT.fullmatch(path.stem)
        if run is None or epoch is None:
            return run
        if path.is_file() and not run.restart:
            return None
        if int(epoch[1]) > run.config.training.epochs:
            raise ConfigError(
                f"{path}: {run.name} has {run.config.training.epochs} epochs in this command, so it never "
                "writes that checkpoint; give more --epochs, or an earlier one"
            )
        return run

    def _unfinished_in(self, root: Path, units: Sequence[Unit], trail: tuple[str, ...]) -> PlannedRun | None:
        placed = (run for unit in units if unit.name not in trail for run in self._place(unit, trail).values())
        return next((run for run in placed if run.paths.root.resolve() == root and not run.finished), None)

    def _find(self, dependency: Dependency, unit: Unit, config: ExperimentConfig, trail: tuple[str, ...]) -> _Found:
        """Where a dependency comes from: a named run, a finished one on disk, or a run to add."""
        seed = config.training.seed
        named = self._named.of_experiment(dependency.experiment, unit)
        if named is not None:
            # Of it the run with its seed, else the first.
            runs = self._place(named, trail)
            first = next(iter(runs.values()))
            run = runs.get(seed) or next((one for one in runs.values() if one.config.training.seed == seed), first)
            return _Found(run.paths.best, _weights_of(run, run.paths.best.stem), run)
        key = (dependency, id(unit.overrides), unit.preset.name, trail)  # the same for all combinations of a sweep
        if key not in self._dependencies:
            self._dependencies[key] = self._added_for(dependency, unit, trail)
        return self._dependencies[key]

    def _added_for(self, dependency: Dependency, unit: Unit, trail: tuple[str, ...]) -> _Found:
        """A dependency that nobody named: the identical run, else the finished plain folder, else a run to add."""
        seeds = self.request.seeds
        overrides = unit.overrides if seeds is None else with_seed(unit.overrides, seeds[0])
        config, preset = dependency_config(dependency, overrides)
        reason = f"{dependency.role} of {unit.preset.name}"
        keys: list[Seed] = [config.training.seed, None] if seeds else [None, config.training.seed]
        for key in keys:
            run = self._addition(preset, config, key, overrides, reason, trail)
            if run.finished:
                return _Found(run.paths.best, _weights_of(run, run.paths.best.stem), note=None)
        run = self._addition(preset, config, keys[0], overrides, reason, trail)
        plain = self._plain(run)
        if plain is not None:
            paths, changed = plain
            note = f"{dependency.role} is {paths.root} as it is ({shown_differences(changed)}); name it to train it so"
            return _Found(paths.best, weight_file(paths.best), note=note)
        return _Found(run.paths.best, _weights_of(run, run.paths.best.stem), run)

    def _addition(
        self,
        preset: ExperimentConfig,
        config: ExperimentConfig,
        key: Seed,
        overrides: Overrides,
        reason: str,
        trail: tuple[str, ...],
    ) -> PlannedRun:
        identifier = json.dumps([key, config.model_dump(mode="json")], sort_keys=True)
        unit = self._added.setdefault(identifier, Unit(preset, {key: config}, overrides, named=False, reason=reason))
        return next(iter(self._place(unit, trail).values()))

    def _plain(self, wanted: PlannedRun) -> tuple[RunPaths, dict[str, tuple[object, object]]] | None:
        """The finished run in the plain folder of ``wanted``'s experiment on the same data, and how it differs."""
        for paths, config, contents in self.index.members(wanted.config.name).values():
            same_data = (
                contents.train_annotations == wanted.contents.train_annotations
                and contents.val_annotations == wanted.contents.val_annotations
                and config.data.sample == wanted.config.data.sample
            )
            if same_data and self.finished(paths):
                changed = identity_of(config, contents).differences(wanted.identity)
                if config.training.epochs != wanted.config.training.epochs:
                    changed["training.epochs"] = (config.training.epochs, wanted.config.training.epochs)
                return paths, changed
        return None


def _add(run: PlannedRun, by_name: Mapping[str, PlannedRun], planned: dict[str, PlannedRun]) -> None:
    """Puts ``run`` into ``planned``, after what it requires."""
    for name in run.requires:
        _add(by_name[name], by_name, planned)
    planned.setdefault(run.name, run)


def _weights_of(run: PlannedRun, checkpoint: str) -> WeightFile:
    """The weights called ``checkpoint`` of a run of this batch: by content once it has finished."""
    file = weight_file(run.paths.checkpoints / f"{checkpoint}.pth") if run.finished else WeightFile()
    return of_run(StoredIdentity(run.identity, run.config.training.epochs), checkpoint, sha256=file.sha256)


def _with_epochs_of(paths: RunPaths, config: ExperimentConfig) -> ExperimentConfig:
    stored = read_section(ExperimentConfig, paths.config)
    assert stored is not None  # it was found by this file
    training = stored.training.model_dump(mode="json", include={"epochs", "segments"})
    return derive(config, name=config.name, description=config.description, training=training)


def _check_restart(run: PlannedRun) -> None:
    root = run.paths.root
    if root.resolve() != run.output_dir.resolve() / run.name:
        raise ConfigError(
            f"--restart: {root} is a link to {root.resolve()}, and --restart deletes nothing through links; delete the "
            "link, or give another --run_name"
        )
    for paths in weight_paths(run.full_config).values():
        for path in paths:
            if path.resolve().is_relative_to(root.resolve()):
                raise ConfigError(
                    f"--restart would delete {root}, where {path} lies, which this very run needs; copy it elsewhere, "
                    "or give another --run_name"
                )


def _preset_of(config: ExperimentConfig) -> ExperimentConfig:
    """The registered experiment called as ``config``; itself, when a config file gave it a name of its own."""
    return next((preset for preset in list_configs() if preset.name == config.name), config)


def _resumed(request: BatchRequest, given: Path, finished: Finished) -> PlannedRun:
    """The one run of ``--resume``."""
    if request.restart or request.seeds is not None or request.swept or request.run_name is not None:
        raise ConfigError("--resume continues one run as it is; leave out --restart, --seeds, --sweep and --run_name")
    if len(request.names) > 1 or len(request.files) > 1:
        raise ConfigError(f"--resume continues one run, and {len(request.names)} experiments are named")
    own = next(iter(request.files.values()), None)
    overrides = request.overrides
    if own is not None:
        overrides = own.keep([*own.changes, *overrides.changes])
    name = overrides.name or (request.names[0] if request.names else overrides.base)
    run = find_resumed(given, name, overrides, request.output_dir)
    check_teacher_claims(run.config, overrides)
    done = run.kind == "same" and run.resume is None and finished(run.paths)
    return PlannedRun(
        name=run.name,
        output_dir=run.output_dir,
        preset=_preset_of(run.config),
        config=run.config,
        contents=run.contents,
        kind=run.kind,
        finished=done,
        resume=run.resume,
        file=overrides.file if overrides.name is not None else None,
    )
