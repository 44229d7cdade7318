"""What distillation brought one run, by the rule of ``runner/comparison``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.runner.comparison.control import Controls, Finished
from human_edge_detection.runner.comparison.paired import Difference, compare_methods
from human_edge_detection.runner.comparison.runs_by_seed import Method, counted_run
from human_edge_detection.runner.comparison.slices import ALL
from human_edge_detection.runner.comparison.table import read_record, read_records
from human_edge_detection.runs.paths import RunPaths, output_dir_of


class Gain(NamedTuple):
    """The main metric against that of the control.

    Attributes:
        control: Name of its folder.
        metric: ``miou``, or of a model without roi head ``full_image_iou``.
        difference: With its interval.
    """

    control: str
    metric: str
    difference: Difference


def controls_in(output_dir: Path) -> Controls:
    """The finished runs below ``output_dir`` that nobody taught."""
    return Controls(
        Finished(record.name, record.config, record.contents, record.result, record.weights)
        for record in read_records(output_dir)
        if record.config is not None and record.contents is not None and record.result is not None
    )


def gain_of(paths: RunPaths, controls: Controls) -> Gain | None:
    """Of the run in ``paths``; None where nobody taught it, or nothing can be said."""
    output_dir = output_dir_of(paths)
    try:
        run = counted_run(read_record(paths, paths.root.relative_to(output_dir).as_posix()))
        if run.config.distillation is None:
            return None
        control = controls.of(Finished(run.name, run.config, run.contents, run.result, None)).run
        if control is None:
            return None
        other = counted_run(read_record(RunPaths(output_dir / control.name), control.name))
        seed = run.config.training.seed
        compared = compare_methods([Method(run.name, {seed: run})], Method(other.name, {seed: other}), ())
    except (CheckpointError, ConfigError):  # no counts of one of them, or damaged: hed compare says what is missing
        return None
    metric = run.config.model.monitored_metric
    lines = [line for line in compared.lines if (line.slice, line.metric) == (ALL.name, metric)]
    difference = lines[0].difference if lines else None
    return None if difference is None else Gain(control.name, metric, difference)
