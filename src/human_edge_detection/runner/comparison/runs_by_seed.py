"""The runs that a paired comparison is about: found by name, checked, read from their JSON files."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.difference import known_to_differ
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runner.comparison.control import Taught, taught_by
from human_edge_detection.runner.comparison.table import Record, read_record
from human_edge_detection.runs.artifacts import checkpoint_problem, checkpoint_sha256
from human_edge_detection.runs.lookup.find import find_runs
from human_edge_detection.runs.lookup.identity import RunContents
from human_edge_detection.runs.model_facts.split_scores import (
    SplitScores,
    read_split_counts,
    split_scores_of,
    why_untested,
)
from human_edge_detection.runs.paths import PAIRED_FOLDER, RunPaths, output_dir_of, run_paths_of_checkpoint
from human_edge_detection.runs.per_image import MAX_BYTES, PerImage
from human_edge_detection.runs.provenance import read_provenance
from human_edge_detection.runs.records import RunResult, read_section

Split = Literal["val", "test"]
"""What runs can be compared on."""


class ScoredOn(NamedTuple):
    """Fingerprints of the data of a split; images are None in results of older versions, which did not look."""

    annotations: str
    images: str | None

    def differences(self, other: ScoredOn) -> list[str]:
        """Which of these are known to differ."""
        return [name for name in self._fields if known_to_differ(getattr(self, name), getattr(other, name))]


@dataclass(frozen=True)
class CountedRun:
    """A finished run with its counts for each image.

    Attributes:
        name: Of its folder, for messages.
        paths: The folder.
        config: What was trained.
        contents: What lay at its paths.
        result: What came of it.
        counts: On each image of the split, made from the best checkpoint that is there now.
        tested: What it scored on a test split, where that is what it is compared on; None: on its validation images.
    """

    name: str
    paths: RunPaths
    config: ExperimentConfig
    contents: RunContents
    result: RunResult
    counts: PerImage
    tested: SplitScores | None = None

    @property
    def scored_on(self) -> ScoredOn:
        """What its counts are of."""
        if self.tested is not None:
            return ScoredOn(self.tested.data_fingerprint, self.tested.images_fingerprint)
        return ScoredOn(self.result.data_fingerprint, self.result.validation_images)


@dataclass(frozen=True)
class Method:
    """One way to train: its runs by seed."""

    name: str
    runs: Mapping[int, CountedRun]


def find_method(given: str | Path, output_dir: Path, split: Split = "val") -> Method:
    """The runs that ``given`` stands for.

    Args:
        given: A run folder, a name below ``output_dir``, or either with several ``seed_*`` folders in it.
        output_dir: Folder of all runs.
        split: What they are compared on.

    Raises:
        ConfigError: There is no such run, or one that is not finished or has no counts for each image.
    """
    folder, found = find_runs(given, output_dir)
    inside = folder.resolve().is_relative_to(output_dir.resolve())
    name = folder.resolve().relative_to(output_dir.resolve()) if inside else Path(given)
    runs: dict[int, CountedRun] = {}
    for paths in found:
        run = counted_run(read_record(paths, str(paths.root)), split)
        other = runs.get(run.config.training.seed)
        # The run of the folder itself is alike but for the seed; where that has a folder of its own, it is a double.
        if other is not None and other.paths.root != folder:
            raise ConfigError(
                f"{given}: {other.name} and {run.name} both have seed {run.config.training.seed}; give one of them"
            )
        runs[run.config.training.seed] = run
    return Method(name.as_posix(), runs)


def report_folder(method: Method) -> Path:
    """Where a report goes when nobody says where: beside the folder of all runs."""
    run = next(iter(method.runs.values())).paths
    return output_dir_of(RunPaths(run.root.resolve())).parent / PAIRED_FOLDER


def teacher_of(run: CountedRun) -> Taught | None:
    """What taught ``run``; None when nobody did."""
    if run.result.teacher_checkpoint is None:
        return None
    teacher = run_paths_of_checkpoint(Path(run.result.teacher_checkpoint))
    try:
        own = read_section(RunResult, teacher.result)
    except (CheckpointError, OSError):
        own = None
    taught = taught_by(run.config, run.result, own, checkpoint_sha256(teacher.best))
    return taught if run.tested is None or taught is None else _tested_teacher(run, teacher, taught)


def _tested_teacher(run: CountedRun, teacher: RunPaths, taught: Taught) -> Taught:
    """The same with what the teacher scored on the test images of ``run``, or why that is not known."""
    try:
        scores = split_scores_of(teacher)
    except (CheckpointError, OSError):
        scores = None
    advice = f"hed evaluate {teacher.root} --split test"
    sha256 = run.result.teacher_sha256
    if run.config.distillation is not None and run.config.distillation.more_teacher_checkpoints:
        reason = "several teachers taught as one"
    elif scores is None:
        reason = f"its teacher has no test scores: {advice}"
    elif known_to_differ(scores.checkpoint_sha256, sha256):
        reason = taught.reason or "its teacher was trained anew since"
    elif ScoredOn(scores.data_fingerprint, scores.images_fingerprint).differences(run.scored_on):
        reason = f"its teacher was tested on other data: {advice}"
    else:
        return Taught(scores.metrics, taught.parameters, None)
    return Taught({}, taught.parameters, reason)


def counted_run(record: Record, split: Split = "val") -> CountedRun:
    """The run of ``record`` with its counts for each image of ``split``.

    Raises:
        ConfigError: It is not finished, or has no counts of its best checkpoint.
    """
    paths = record.paths
    if record.state != "finished":
        reason = f" ({record.error})" if record.error else ""
        raise ConfigError(
            f"{paths.root}: is {record.state}{reason}, and only finished runs can be compared; give its training "
            "command again, or move its folder away"
        )
    if record.config is None or record.contents is None or record.result is None:
        missing = paths.config if record.config is None else paths.result
        raise ConfigError(f"{missing}: missing; give the training command of this run again")
    known = (record.name, paths, record.config, record.contents, record.result)
    if split == "test":
        return CountedRun(*known, *_test_counts(paths, record.config.data))
    return CountedRun(*known, _counts(paths, record.result))


def _test_counts(paths: RunPaths, data: DataConfig) -> tuple[PerImage, SplitScores]:
    try:
        problem = why_untested(paths, data)
        scores = split_scores_of(paths)
    except CheckpointError as error:
        raise ConfigError(str(error)) from error
    counts = None if problem is not None or scores is None else read_split_counts(paths, scores)
    if counts is None or scores is None:
        raise ConfigError(f"{paths.root}: {problem}; hed evaluate {paths.root} --split test measures them")
    return counts, scores


def _counts(paths: RunPaths, result: RunResult) -> PerImage:
    try:
        counts = read_section(PerImage, paths.per_image, max_bytes=MAX_BYTES)
    except CheckpointError as error:
        problem = str(error).partition(";")[0]
        raise ConfigError(f"{problem}; {_advice(paths)}") from error
    if counts is None:
        raise ConfigError(f"{paths.per_image}: missing, the run is of an older version; {_advice(paths)}")
    if counts.checkpoint_sha256 != checkpoint_sha256(paths.best):
        raise ConfigError(f"{paths.per_image}: stale, made from another checkpoint than {paths.best}; {_advice(paths)}")
    if counts.data_fingerprint != result.data_fingerprint:
        raise ConfigError(f"{paths.per_image}: stale, made from other data than the result; {_advice(paths)}")
    damage = checkpoint_problem(paths.best)
    if damage is not None:
        raise ConfigError(f"{paths.checkpoints}: {damage}; restore it, or give the training command again")
    return counts


def _advice(paths: RunPaths) -> str:
    command = read_provenance(paths).get("command")
    known = f" ({shlex.join(map(str, command))})" if isinstance(command, list) and command else ""
    return f"delete {paths.result} and give the training command again{known}: it validates once and trains nothing"
