"""Learning curves as data: what each run recorded of its epochs, for the script of the page to draw."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from human_edge_detection.errors import CheckpointError
from human_edge_detection.runner.report.formats import quantity
from human_edge_detection.runner.report.runs import MOST_DETAILED, Run, most_telling
from human_edge_detection.runs.records import EpochRecord, read_history

_MOST_POINTS: Final = 250
"""Of one line."""
_DIGITS: Final = 5
_GROUPS: Final = (
    ("Scores on the validation images", re.compile(r"val/(.*)")),
    ("Loss: total, of the truth (hard), of the teacher (soft)", re.compile(r"train/(total|hard|soft)")),
    ("Learning rate, temperature, alpha", re.compile(r"(?:train/)?(learning_rate|temperature|alpha)")),
    (
        "Each term of the loss, before it is weighted",
        re.compile(r"train/((?!gradient_(?:share/|norm$)|confident/).*)"),
    ),
    ("Share of each term in the gradient", re.compile(r"train/gradient_share/(.*)")),
    ("Norm of the gradient, and the rest", re.compile(r"(?:train/)?(.*)")),
)
"""Title -> names of records that belong to it, with what they are called there; the first that fits."""
_NOT_DRAWN: Final = ("epoch", "step")


def learning_curves(runs: Sequence[Run]) -> dict[str, Any]:
    """Those of :data:`MOST_DETAILED` runs.

    ``groups``: title and charts, each with a name and its key in ``runs``: number, name, epochs, series, marks.

    A run whose metrics.jsonl is missing or damaged is left out, and named under ``missing``.
    """
    drawn, missing = [], []
    names: dict[str, None] = {}
    for run in most_telling(runs, MOST_DETAILED):
        try:
            history = read_history(run.record.paths.metrics)
        except CheckpointError:
            history = []
        if not history:
            missing.append(run.name)
            continue
        names |= dict.fromkeys(name for record in history for name in record)
        drawn.append(_curve(run, history))
    return {"groups": _grouped([name for name in names if name not in _NOT_DRAWN]), "runs": drawn, "missing": missing}


def _curve(run: Run, history: Sequence[EpochRecord]) -> dict[str, Any]:
    step = -(-len(history) // _MOST_POINTS)
    kept = [record for number, record in enumerate(history) if number % step == 0 or number == len(history) - 1]
    names = dict.fromkeys(name for record in kept for name in record if name not in _NOT_DRAWN)
    config, result = run.record.config, run.record.result
    segments = None if config is None else config.training.segments
    return {
        "run": run.number,
        "name": run.name,
        "epochs": [record.get("epoch") for record in kept],
        "series": {name: [_rounded(record.get(name)) for record in kept] for name in names},
        "grown": list(segments[:-1]) if segments else [],
        "best": None if result is None else result.best_epoch,
    }


def _rounded(value: float | int | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def _grouped(names: Sequence[str]) -> list[dict[str, Any]]:
    groups: dict[str, list[dict[str, str]]] = {title: [] for title, _ in _GROUPS}
    for name in names:
        for title, pattern in _GROUPS:
            fits = pattern.fullmatch(name)
            if fits is not None:
                shown = next(part for part in fits.groups() if part is not None)
                groups[title].append({"key": name, "name": quantity(shown)})
                break
    return [{"title": title, "charts": charts} for title, charts in groups.items() if charts]
