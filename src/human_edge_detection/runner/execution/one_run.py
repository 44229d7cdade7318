"""The one run of ``hed train`` and of the commands that take its flags: found, checked, and its folder taken."""

from __future__ import annotations

from pathlib import Path

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.flags import FLAG_OF_PATH
from human_edge_detection.limits import place_among_many
from human_edge_detection.runner.execution.ownership import take_folders
from human_edge_detection.runner.execution.plan import PlannedRun, check_plan, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.staleness import check_teachers
from human_edge_detection.runs.checks import check_run_name, check_shares, existing_checkpoints
from human_edge_detection.runs.lookup.reservation import planning_claim


def find_run(request: BatchRequest, *, answers: Path | None = None) -> PlannedRun:
    """The run that ``request`` names; writes nothing.

    Args:
        request: What the user asks for.
        answers: Of another teacher, which could teach alone where the run's own is not trained yet.

    Raises:
        ConfigError: Anything is wrong with the request, or something that the run needs is not trained yet.
        HumanEdgeDetectionError: As :func:`plan`.
    """
    check_run_name(request.run_name)
    runs = plan(request)
    run = runs[-1]
    if not run.finished:
        for needed in runs[:-1]:  # what these need themselves is their own affair
            if not needed.finished and needed.paths.best in run.checkpoints.values():
                raise ConfigError(_missing(run, needed, answers))
    check_plan([run])
    return run


def take_run(request: BatchRequest) -> PlannedRun:
    """The run that ``request`` names, in a folder that is now its own.

    Raises:
        HumanEdgeDetectionError: As :func:`find_run`, before anything is written.
        BusyError: It is to grow, and another process works on it.
        StorageError: The folder cannot be written.
    """
    run = find_run(request)
    check_teachers([run])
    if run.finished:
        return run
    place = place_among_many()
    check_shares(run.config, 1 if place is None else place.total)
    with planning_claim(run.output_dir):
        run = find_run(request)  # what another command has taken since
        take_folders([run])
    return run


def _missing(run: PlannedRun, needed: PlannedRun, answers: Path | None) -> str:
    field = next(path for path, checkpoint in run.checkpoints.items() if checkpoint == needed.paths.best)
    without = ""
    if field == "model.pretrained_unet":
        without = "; or go without: --set model.pretrained_unet_config=null"
    elif answers is not None:
        without = f"; or let {answers} teach alone: --set distillation.teacher_config=null"
    role = needed.reason.partition(" of ")[0]
    return (
        f"{run.config.name} needs {role} {needed.config.name}, and no finished run of it is at {needed.paths.best}; "
        f"run_experiments.py --configs {run.config.name} with the same flags trains both in order, or give "
        f"{FLAG_OF_PATH[field]} PATH{without}; {existing_checkpoints(run.output_dir)}"
    )
