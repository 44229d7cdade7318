"""``--resume PATH``: the run in PATH decides; what else is given must agree with it, but for epochs, which may grow."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.difference import compare_fields
from human_edge_detection.experiments.overrides import Overrides, apply
from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.read import file_sha256
from human_edge_detection.runs.artifacts import checkpoint_sha256
from human_edge_detection.runs.checkpoint_config import config_in_checkpoint
from human_edge_detection.runs.checks import check_data_paths, check_weight_paths, existing_checkpoints
from human_edge_detection.runs.dependencies import fill
from human_edge_detection.runs.lookup.identity import (
    PLACES,
    RunContents,
    find_contents,
    identity_fields,
    identity_of,
    pipeline_sha256,
    read_contents,
    weight_paths,
)
from human_edge_detection.runs.lookup.placement import Kind, early_stop, epochs_done, grown, shown_differences
from human_edge_detection.runs.paths import RunPaths, output_dir_of, run_paths_of_checkpoint, summary_path
from human_edge_detection.runs.records import CheckpointSummary, read_section


class ResumeRecord(Section):
    """That a run went back to an earlier checkpoint; ``resumed_from.json``. The same command goes on from there."""

    checkpoint: str
    sha256: str
    complete: bool
    """All that was later has been set aside."""


class ResumedRun(NamedTuple):
    """What ``--resume`` stands for.

    Attributes:
        paths: The run's folder.
        name: Of it below ``output_dir``.
        output_dir: Folder of all runs that holds it.
        config: Its own, with what may change.
        contents: What lay at its paths when it began.
        kind: Whether it grows to more epochs.
        resume: Checkpoint to go back to; None: the newest.
    """

    paths: RunPaths
    name: str
    output_dir: Path
    config: ExperimentConfig
    contents: RunContents
    kind: Kind
    resume: Path | None


def find_resumed(given: Path, name: str | None, overrides: Overrides, output_dir: Path) -> ResumedRun:
    """The run that ``--resume given`` continues.

    Args:
        given: A run folder, or a checkpoint in one.
        name: Experiment that the user names; None: none.
        overrides: What else is given.
        output_dir: Where to look for existing checkpoints, for the message.

    Raises:
        ConfigError: There is no such run, it is another experiment's, a given value differs from the run's, epochs
            would shrink, or it has stopped early.
        CheckpointError: A file of the run is damaged.
    """
    if not given.exists():
        raise ConfigError(f"--resume: no such run folder or checkpoint: {given}; {existing_checkpoints(output_dir)}")
    paths = RunPaths(given if given.is_dir() else given.parent.parent)
    if not paths.config.is_file() and not given.is_dir():  # a link, or a path from within the run folder
        paths = run_paths_of_checkpoint(given)
    stored = read_section(ExperimentConfig, paths.config)
    if stored is None:
        raise ConfigError(
            f"--resume {given}: not a run, {paths.config} is missing; to start a new run from weights use --init_from"
        )
    if name is not None and name != stored.name:
        raise ConfigError(
            f"--resume {given}: a run of {stored.name}, and {name} is named; name {stored.name}, or leave it out"
        )
    own_output_dir = output_dir_of(paths)
    stored = _moved(stored, own_output_dir)
    # A config file may list every field; a place that it leaves empty is not given.
    given_changes = [change for change in overrides.changes if change.value is not None or change.path not in PLACES]
    config = apply(stored, Overrides(tuple(given_changes)))
    check_data_paths(config)
    check_weight_paths(config, own_output_dir)
    contents = read_contents(paths, stored)
    _check_same(given, stored, config, contents)
    resume = None if given.is_dir() or _is_done(paths, given) else given
    if resume is not None:
        _check_checkpoint(resume, stored)
    epochs, done = config.training.epochs, epochs_done(resume or paths.latest)
    if epochs < stored.training.epochs:
        raise ConfigError(
            f"--resume {given}: training.epochs is {stored.training.epochs} there, {epochs} here; it may stay or grow"
        )
    stopped = early_stop(paths)
    if epochs > stored.training.epochs and stopped is not None:
        raise ConfigError(
            f"--resume {given}: the run stopped early after epoch {stopped}, so it does not grow to {epochs} epochs; "
            "run_experiments.py --restart trains it anew"
        )
    kind: Kind = "grows" if epochs > stored.training.epochs else "same"
    training = grown(stored, epochs, done).training
    config = _with_training(config, training.epochs, training.segments)
    return ResumedRun(
        paths, paths.root.relative_to(own_output_dir).as_posix(), own_output_dir, config, contents, kind, resume
    )


def _with_training(config: ExperimentConfig, epochs: int, segments: tuple[int, ...] | None) -> ExperimentConfig:
    training = {"epochs": epochs, "segments": None if segments is None else list(segments)}
    return derive(config, name=config.name, description=config.description, training=training)


def _check_same(given: Path, stored: ExperimentConfig, config: ExperimentConfig, contents: RunContents) -> None:
    """Refuses values, and files of other content, that are not the run's own."""
    here = contents.model_copy(update={"pipeline": pipeline_sha256(config.data)})
    if _places(stored) != _places(config):
        here = find_contents(config)
    changed = identity_of(stored, contents).differences(identity_of(config, here))
    if changed:
        raise ConfigError(
            f"--resume {given}: {shown_differences(changed)}; a run goes on with its own values: leave it out, or "
            "start another run, without --resume"
        )


def _check_checkpoint(given: Path, stored: ExperimentConfig) -> None:
    """Refuses a checkpoint that training cannot go on from, before anything of the run is changed."""
    summary = read_section(CheckpointSummary, summary_path(given))
    if summary is not None and summary.step is None:
        raise ConfigError(f"--resume {given}: holds weights only; use --init_from, or resume from latest.pth")
    inside = config_in_checkpoint(given)
    changed = compare_fields(identity_fields(stored), identity_fields(inside))
    if changed:
        raise ConfigError(
            f"--resume {given}: config.json and the config in it differ: {shown_differences(changed)}; one of them was "
            "edited: restore config.json, or train another run"
        )
    if summary is not None and file_sha256(given) != summary.sha256:
        raise ConfigError(
            f"--resume {given}: damaged, its sha256 is not that in {summary_path(given).name}; give another"
        )


def _places(config: ExperimentConfig) -> tuple[object, ...]:
    data = config.data
    return (
        weight_paths(config),
        config.model.encoder_weights,
        None if config.distillation is None else config.distillation.soft_labels,
        (data.root, data.train_ann, data.val_ann, data.train_images, data.val_images),
        None if data.unlabelled is None else (data.unlabelled.images, data.unlabelled.boxes),
    )


def _moved(config: ExperimentConfig, output_dir: Path) -> ExperimentConfig:
    """``config`` with checkpoints of other runs of ``output_dir``, when this has been moved with all runs in it."""
    found = {}
    for field, (path, *_) in weight_paths(config).items():
        if path.is_file():
            continue
        for parts in (3, 4):  # run/checkpoints/file, run/seed_n/checkpoints/file
            there = output_dir.joinpath(*path.parts[-parts:])
            if len(path.parts) >= parts and there.is_file():
                found[field] = there
                break
    return fill(config, found) if found else config


def _is_done(paths: RunPaths, given: Path) -> bool:
    """Whether this very going back was done before, so that the run goes on from where it has come since."""
    record = read_section(ResumeRecord, paths.resumed_from)
    return record is not None and record.complete and record.sha256 == checkpoint_sha256(given)
