"""Whether a finished run was distilled from the teacher that is there now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.schema.external import is_external
from human_edge_detection.files.model_files import model_sha256
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runs.artifacts import checkpoint_sha256
from human_edge_detection.runs.paths import run_paths_of_checkpoint
from human_edge_detection.runs.records import RunResult, RunStatus, read_section

_SHOWN_DIGITS = 12


def stale_teacher(run: PlannedRun) -> str | None:
    """Why the finished ``run`` is out of date: its teacher has been trained anew since. None when it is not.

    Raises:
        CheckpointError: A file of the run, or of its teacher's, is damaged.
    """
    distillation, result = run.full_config.distillation, read_section(RunResult, run.paths.result)
    if distillation is None or distillation.teacher_checkpoint is None or result is None:
        return None
    teachers = distillation.teacher_paths
    then = (result.teacher_sha256 or "").split("+")
    if len(then) != len(teachers) or any(map(_is_in_training, teachers)):
        return None
    for teacher, old in zip(teachers, then, strict=True):
        # The file's own: the summary beside it may be that of another one, which this has replaced.
        is_known = is_external(teacher) or checkpoint_sha256(teacher) is not None
        now = model_sha256(teacher) if is_known else None
        if now is not None and old and now != old:
            return (
                f"{run.paths.root} was distilled from another teacher than {teacher} is now (sha256 "
                f"{old[:_SHOWN_DIGITS]} then, {now[:_SHOWN_DIGITS]} now); train it anew with --restart --configs "
                f"{run.preset.name}, or keep it and give this one another --run_name"
            )
    return None


def _is_in_training(teacher: Path) -> bool:
    status = read_section(RunStatus, run_paths_of_checkpoint(teacher).status)
    return status is not None and status.state != "finished"


def check_teachers(plan: Sequence[PlannedRun]) -> None:
    """Refuses a plan with a finished run whose teacher has been trained anew since.

    Raises:
        ConfigError: Names the run, both teachers and what to do.
    """
    for run in plan:
        reason = stale_teacher(run) if run.finished else None
        if reason is not None:
            raise ConfigError(reason)
