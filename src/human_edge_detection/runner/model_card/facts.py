"""What is known of the weights in a checkpoint: by itself, by the run folder that it lies in, by the runs beside it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.read import file_sha256
from human_edge_detection.runner.comparison.control import Controls
from human_edge_detection.runner.comparison.significance import Interval, difference_interval, resample_sums
from human_edge_detection.runner.comparison.slices import ALL, CROWDING_GROUPS, columns_of, crowding_of, scores_of
from human_edge_detection.runner.model_card.gain import Gain, gain_of
from human_edge_detection.runs.checkpoint_config import head_of_checkpoint
from human_edge_detection.runs.lookup.identity import RunContents
from human_edge_detection.runs.model_facts.sources import Sources, sources_in
from human_edge_detection.runs.model_facts.split_scores import SplitScores, read_split_counts
from human_edge_detection.runs.paths import run_paths_of_checkpoint
from human_edge_detection.runs.per_image import MAX_BYTES, PerImage
from human_edge_detection.runs.provenance import read_provenance
from human_edge_detection.runs.records import RunResult, read_section

logger = logging.getLogger(__name__)

MAIN_METRICS: Final = {
    "miou": "mIoU: background, this person, other people, in boxes",
    "iou_target": "IoU of this person, in boxes",
    "iou_nontarget": "IoU of other people, in boxes",
    "boundary_f1": "F1 of borders, in boxes",
    "full_image_iou": "IoU of any person, in whole images",
    "recall10": "persons that its own detector finds (IoU 0.5, ten boxes)",
    "own_mask_AP50": "mask AP50, in boxes that it found itself",
    "given_mask_AP50": "mask AP50, in annotated boxes",
}
"""Those that are told, and what they are."""
Kind = TypeVar("Kind", bound=Section)


@dataclass(frozen=True)
class Facts:
    """What is None is unknown.

    Attributes:
        config: What was trained.
        sha256: Of the checkpoint.
        epoch: Epochs completed.
        metrics: Validation metrics of these weights.
        intervals: 95 % over the validation images, of those metrics that follow from counts.
        data_fingerprint: Of the validation annotations.
        result: Of the run, where these are its best weights.
        contents: What lay at the paths of the config.
        sources: What the run learned from.
        provenance: Of the run; empty without one.
        counts: On each validation image, of these very weights.
        gain: Over the same training without a teacher.
        tested: What these very weights scored on a test split.
        test_intervals: 95 % over its images.
    """

    config: ExperimentConfig
    sha256: str | None
    epoch: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    data_fingerprint: str | None
    result: RunResult | None = None
    contents: RunContents | None = None
    sources: Sources | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    counts: PerImage | None = None
    gain: Gain | None = None
    tested: SplitScores | None = None
    test_intervals: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def is_drawn(self) -> bool:
        """Whether it was trained on the embedded sample data."""
        return self.config.data.sample is not None


def facts_of(checkpoint: Path, controls: Controls | None = None) -> Facts:
    """What is known of ``checkpoint``; a damaged file of its run is a warning, and what it says unknown.

    Args:
        checkpoint: A ``.pth`` of this tool.
        controls: The runs without distillation that it may be compared with; None: it is not compared.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    head, sha256 = head_of_checkpoint(checkpoint), file_sha256(checkpoint)
    own = Facts(head.config, sha256, head.epoch, head.metrics, {}, head.data_fingerprint or None)
    run = run_paths_of_checkpoint(checkpoint)
    if checkpoint.resolve().parent != run.checkpoints or not run.config.is_file():
        return own
    config = _known(ExperimentConfig, run.config) or head.config  # which may have texts that came later
    result = _known(RunResult, run.result)
    if checkpoint.resolve() != run.best or result is None or not _is_of(result, own):
        result = None
    counts = _known(PerImage, run.per_image, max_bytes=MAX_BYTES)
    if counts is not None and counts.checkpoint_sha256 != sha256:
        counts = None
    tested = _known(SplitScores, run.test_scores)
    if tested is not None and tested.checkpoint_sha256 != sha256:
        tested = None
    test_counts = None if tested is None else read_split_counts(run, tested)
    metrics = own.metrics if result is None else {k: v for k, v in result.metrics.items() if v is not None}
    provenance = read_provenance(run)
    return Facts(
        config=config,
        sha256=sha256,
        epoch=head.epoch,
        metrics=metrics,
        intervals={} if counts is None else _intervals(counts),
        data_fingerprint=own.data_fingerprint,
        result=result,
        contents=_known(RunContents, run.contents),
        sources=sources_in(provenance),
        provenance=provenance,
        counts=counts,
        gain=None if controls is None or result is None else gain_of(run, controls),
        tested=tested,
        test_intervals={} if test_counts is None else _intervals(test_counts),
    )


def _is_of(result: RunResult, own: Facts) -> bool:
    """Whether ``result`` is of these weights, not of what the run was before it went on."""
    metric = own.config.model.monitored_metric
    return result.best_epoch == own.epoch and result.metrics.get(metric) == own.metrics.get(metric)


def _known(kind: type[Kind], path: Path, **options: int) -> Kind | None:
    try:
        return read_section(kind, path, **options)
    except (CheckpointError, OSError) as error:
        logger.warning("model card: %s", error)
        return None


def _intervals(counts: PerImage) -> dict[str, Interval]:
    """Of each metric, from resampled images."""
    columns, groups = columns_of(counts), crowding_of(counts)
    resampled = scores_of(ALL, resample_sums(columns, groups, group_count=CROWDING_GROUPS))
    found = {name: difference_interval(np.zeros(1), values[:, None]) for name, values in resampled.items()}
    return {name: interval for name, interval in found.items() if np.isfinite(interval).all()}
