"""What a batch would do, in words, without writing anything."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from human_edge_detection.experiments.difference import difference
from human_edge_detection.runner.execution.plan import PlannedRun, train_command


def describe_additions(plan: Sequence[PlannedRun]) -> list[str]:
    """One line for each run that nobody named, and for each that will be trained anew."""
    added = [f"added: {run.name}, {run.reason}" for run in plan if not run.named]
    anew = [run.paths.root for run in plan if run.restart and run.paths.root.exists()]
    return added + [f"restart: {folder} is deleted and trained anew" for folder in anew]


def describe_plan(plan: Sequence[PlannedRun]) -> list[str]:
    """Each run's difference from its preset and its exact command."""
    lines = []
    for position, run in enumerate(plan, start=1):
        state = " (finished earlier)" if run.finished else ""
        lines.append(f"{position}. {run.name}{state}")
        changes = difference(run.config, run.preset)
        lines += [f"   {path}: {json.dumps(old)} -> {json.dumps(new)}" for path, (old, new) in changes.items()]
        if not changes:
            lines.append(f"   as registered: {run.preset.name}")
        lines.append(f"   {shlex.join(train_command(run))}")
    return lines
