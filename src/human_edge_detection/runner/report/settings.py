"""In which settings the runs of a page differ, field by field."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from human_edge_detection.runner.report.formats import DASH
from human_edge_detection.runner.report.private import Private
from human_edge_detection.runner.report.runs import Run
from human_edge_detection.runs.lookup.identity import identity_fields


class Setting(NamedTuple):
    """One field that is not the same in all runs.

    Attributes:
        path: Dotted.
        values: One for each run, and whether it is other than in most.
    """

    path: str
    values: tuple[tuple[str, bool], ...]


def differing_settings(runs: Sequence[Run], hidden: Private) -> list[Setting]:
    """Fields that differ between ``runs``; names, paths and what has no effect on the training are left out.

    Args:
        runs: Those with a config.
        hidden: Takes out of texts what must not be passed on.
    """
    flat = [_flat(run) for run in runs]
    paths = list(dict.fromkeys(path for fields in flat for path in fields))
    settings = []
    for path in paths:
        values = [fields.get(path) for fields in flat]
        if len({*values}) < 2:
            continue
        usual = Counter(values).most_common(1)[0][0]
        shown = tuple((DASH if value is None else hidden(value), value != usual) for value in values)
        settings.append(Setting(path, shown))
    return settings


def _flat(run: Run) -> dict[str, str]:
    assert run.record.config is not None
    fields = identity_fields(run.record.config)
    fields["training"] |= {"epochs": run.record.config.training.epochs}
    return dict(_leaves(fields, ""))


def _leaves(fields: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{path}{name}.")
        elif value is not None:
            found.append((f"{path}{name}", value if isinstance(value, str) else json.dumps(_known(value))))
    return found


def _known(value: Any) -> Any:
    """``value`` without what is null in it."""
    if isinstance(value, Mapping):
        return {name: _known(part) for name, part in value.items() if part is not None}
    return [_known(part) for part in value] if isinstance(value, list) else value
