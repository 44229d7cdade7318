"""The embedded sample data of a batch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runs.paths import sample_data_dir

logger = logging.getLogger(__name__)


def make_sample_data(plan: Sequence[PlannedRun], output_dir: Path) -> None:
    """Draws the embedded sample data that runs of ``plan`` train on, each kind once, before the first child starts."""
    drawn = {run.config.data.sample: run.config.data for run in plan if not run.finished}
    for data in drawn.values():
        draw_sample_data(data, output_dir)


def draw_sample_data(data: DataConfig, output_dir: Path) -> None:
    """Draws the sample data of ``data``, if it has any, to where runs below ``output_dir`` look, unless it is there.

    Raises:
        DataError: Something else is there.
    """
    if data.sample is None:
        return
    from human_edge_detection.data.drawn.data_set import write_drawn_data

    root = sample_data_dir(output_dir, data)
    logger.info("sample data: %s", root)
    write_drawn_data(root, **dict(data.sample))
