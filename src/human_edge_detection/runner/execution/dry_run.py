"""What a batch would do, in words, without writing anything."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Final

from human_edge_detection.experiments.difference import difference
from human_edge_detection.experiments.flags import FLAG_OF_PATH
from human_edge_detection.experiments.registry import is_shipped
from human_edge_detection.runner.execution.heartbeat import last_status
from human_edge_detection.runner.execution.plan import PlannedRun

_KINDS: Final = {"new": "new", "same": "continued, if it has begun", "grows": "grown"}


def describe_additions(plan: Sequence[PlannedRun]) -> list[str]:
    """What the user should know before it starts: data, folders, runs that nobody named, that grow or start anew."""
    notes = list(dict.fromkeys(note for run in plan for note in run.notes))
    added = [f"added: {run.name}, {run.reason}" for run in plan if not run.named]
    anew = [f"restart: {run.paths.root} is deleted and trained anew{_what(run)}" for run in plan if run.restart]
    grow = [
        f"{run.paths.root} grows: {' -> '.join(map(str, run.config.training.segments or ()))} epochs"
        for run in plan
        if run.kind == "grows" and run.config.training.segments is not None
    ]
    return [*notes, *added, *anew, *grow]


def _what(run: PlannedRun) -> str:
    """How far the run has come that ``--restart`` deletes."""
    status = last_status(run.paths)
    return "" if status is None else f": a run of {status.epochs} epochs, {status.epoch} of them trained"


def describe_plan(plan: Sequence[PlannedRun], *, jobs: int = 1, processes: int = 1) -> list[str]:
    """Each run's difference from its preset and its exact command and, with several at once, what it waits for.

    Args:
        plan: All runs.
        jobs: So many at once.
        processes: So many train each of them.
    """
    lines = []
    together = ["torchrun", f"--nproc_per_node={processes}", "--no-python"] if processes > 1 else []
    finished = {run.name for run in plan if run.finished}
    for position, run in enumerate(plan, start=1):
        state = " (finished earlier)" if run.finished else f" (would be {_KINDS[run.kind]})"
        lines.append(f"{position}. {run.name}{state}")
        if jobs > 1 and not run.finished:
            awaited = [name for name in run.requires if name not in finished]
            lines.append(f"   after {' and '.join(awaited)}" if awaited else "   waits for no other run")
        changes = difference(run.config, run.preset)
        lines += [f"   {path}: {json.dumps(old)} -> {json.dumps(new)}" for path, (old, new) in changes.items()]
        if not changes:
            lines.append(f"   as it is declared: {run.preset.name}")
        lines.append(f"   {shlex.join([*together, *shown_command(run)])}")
    return lines


def shown_command(run: PlannedRun) -> list[str]:
    """What a user would type to train ``run`` alone: its preset and every difference from it.

    What only a Python program knows by name can be continued by its folder, once that is there.
    """
    if run.resume is not None or not is_shipped(run.preset):
        place = str(run.resume or run.paths.root)
        return ["hed", "train", "--resume", place, "--epochs", str(run.config.training.epochs)]
    command = ["hed", "train", "--config", run.preset.name]
    command += [] if run.file is None else ["--config_file", str(run.file)]
    command += ["--output_dir", str(run.output_dir), "--run_name", run.name]
    for path, (_, value) in difference(run.config, run.preset).items():
        if path != "training.segments":
            command += ["--set", f"{path}={json.dumps(value, ensure_ascii=False)}"]
    for path, checkpoint in run.checkpoints.items():
        command += [FLAG_OF_PATH[path], str(checkpoint)]
    return command
