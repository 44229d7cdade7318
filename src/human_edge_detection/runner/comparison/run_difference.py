"""What differs between two runs: settings, data, scores, and what they were made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.difference import Difference, compare_fields
from human_edge_detection.runner.comparison.control import data_differences, different_teachers
from human_edge_detection.runner.comparison.table import Record
from human_edge_detection.runs.lookup.identity import PLACES, flat, identity_of
from human_edge_detection.runs.paths import summary_path
from human_edge_detection.runs.provenance import read_provenance
from human_edge_detection.runs.records import CheckpointSummary, read_section

_MADE_WITH: Final = (
    "versions",
    "git",
    "platform",
    "processor",
    "accelerator",
    "device",
    "precision",
    "tf32_convolutions",
    "threads",
)
"""Of provenance.json; the command and the times are another one's for each run."""
_OUTCOME: Final = (
    "best_epoch",
    "epochs",
    "early_stopped",
    "total_parameters",
    "last_loss",
    "last_hard_loss",
    "last_soft_loss",
    "teacher_miou",
    "seconds",
)
"""Of result.json, beside the metrics."""


@dataclass(frozen=True)
class RunDifference:
    """What differs, by name: (of one, of the other); None is what a run has not, or not yet.

    Attributes:
        one: Name of the one.
        other: Name of the other.
        config: Settings by dotted path. Where something lies is no setting.
        data: What lies there: annotations, images, weights, teachers.
        metrics: State, scores of the best epoch, costs.
        environment: Versions, machine, device, precision.
    """

    one: str
    other: str
    config: Difference
    data: Difference
    metrics: Difference
    environment: Difference

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @property
    def sections(self) -> dict[str, Difference]:
        """All of it, by title."""
        titles = ("config", "data", "metrics", "environment")
        return {title: getattr(self, title) for title in titles}


def difference_of_runs(one: Record, other: Record) -> RunDifference:
    """What differs between two runs, finished or not.

    Raises:
        CheckpointError: A file of one of them is damaged.
    """
    for record in (one, other):
        if record.state == "unreadable" or record.config is None or record.contents is None:
            raise CheckpointError(record.error or f"{record.paths.root}: has no config.json, so nothing is known of it")
    return RunDifference(
        one.name,
        other.name,
        _config(one, other),
        _data(one, other),
        compare_fields(_metrics(one), _metrics(other)),
        compare_fields(_environment(one), _environment(other)),
    )


def _config(one: Record, other: Record) -> Difference:
    fields = (
        record.config.model_dump(mode="json", exclude={"description"}) for record in (one, other) if record.config
    )
    changed = compare_fields(*map(flat, fields))
    return {path: values for path, values in changed.items() if path not in PLACES}


def _data(one: Record, other: Record) -> Difference:
    assert one.config is not None
    assert one.contents is not None
    assert other.config is not None
    assert other.contents is not None
    own, its = identity_of(one.config, one.contents), identity_of(other.config, other.contents)
    settings = compare_fields(own.fields, its.fields)
    found = {path: values for path, values in own.differences(its).items() if path not in settings}
    if one.result is not None and other.result is not None:
        found |= data_differences(one.result, other.result) | different_teachers(one.result, other.result)
        skipped = tuple(len(result.skipped_samples) for result in (one.result, other.result))
        found |= {"skipped samples": (skipped[0], skipped[1])} if skipped[0] != skipped[1] else {}
    return found


def _metrics(record: Record) -> dict[str, Any]:
    result, shown = record.result, {"state": record.state}
    if result is None:
        summary = read_section(CheckpointSummary, summary_path(record.paths.best))
        return shown | ({"best_epoch": summary.epoch, **summary.metrics} if summary is not None else {})
    costs = {name: getattr(result, name) for name in _OUTCOME}
    latency = None if record.latency is None else record.latency.median_ms
    size = None if record.parity is None else record.parity.size_bytes
    return {**shown, **result.metrics, **costs, "latency_ms": latency, "onnx_bytes": size}


def _environment(record: Record) -> Mapping[str, Any]:
    stored = read_provenance(record.paths)
    return {name: stored.get(name) for name in _MADE_WITH}
