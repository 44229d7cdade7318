"""All metrics of a checkpoint on a data set, COCO mask AP included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from rich.progress import Progress

from human_edge_detection.data.annotations.coco import AnnotationSet
from human_edge_detection.data.loader import BatchLoader, validation_batches
from human_edge_detection.engine.build import SplitName, build_validation_set
from human_edge_detection.engine.checkpoints.load import Split, TrainedModel
from human_edge_detection.engine.evaluation.evaluate import Metrics, compute_all, measure, predictor
from human_edge_detection.engine.evaluation.own_boxes import OwnBoxes
from human_edge_detection.engine.evaluation.per_image import counts_of
from human_edge_detection.engine.loading import loading_for
from human_edge_detection.engine.precision import Precision
from human_edge_detection.log import shows_progress, terminal
from human_edge_detection.metrics.coco_ap import METRICS as COCO_METRICS
from human_edge_detection.metrics.coco_ap import CocoMaskAp
from human_edge_detection.metrics.segmentation import SegmentationMetrics
from human_edge_detection.runs.per_image import PerImage


@dataclass(frozen=True)
class Evaluation:
    """What was measured, with what, on what.

    Attributes:
        experiment: Name of the checkpoint's experiment.
        checkpoint: The file of the weights; None: an exported file was measured.
        checkpoint_sha256: Of that file, as an exported file remembers it too; None: it does not.
        epoch: Epochs that the checkpoint had completed; None: an exported file does not say.
        annotations: Annotation file of the data.
        images_dir: Folder of the images.
        data_fingerprint: sha256 of the annotation file.
        images: Number of images.
        persons: Number of persons, crowds not counted.
        device: Where the model ran; of an exported file what computed, as its runtime calls it.
        precision: Its arithmetic; None: an exported file has its own.
        metrics: In [0, 1] by name; None for one that nothing was counted for.
        model: The exported file; None: the checkpoint itself was measured.
        model_sha256: Of the exported file.
        split: What the data are to the model: its best epoch was chosen on ``val``.
        also_in: Of a test split, how many of its images the run has in another split as well, by its name.
        scores_file: Where a run keeps its test scores, for ``hed compare``; None: they were not kept.
        counts: Of each image, where they were asked for.
    """

    experiment: str
    checkpoint: str | None
    checkpoint_sha256: str | None
    epoch: int | None
    annotations: str
    images_dir: str
    data_fingerprint: str
    images: int
    persons: int
    device: str
    precision: Precision | None
    metrics: Metrics
    model: str | None = None
    model_sha256: str | None = None
    split: Split = "val"
    also_in: Mapping[SplitName, int] = field(default_factory=dict)
    scores_file: str | None = None
    counts: PerImage | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """As plain data, without ``counts``."""
        fields = asdict(replace(self, counts=None))
        del fields["counts"]
        return fields


def evaluate_checkpoint(
    trained: TrainedModel,
    people: AnnotationSet,
    *,
    batch_size: int,
    device: torch.device,
    precision: Precision,
    num_workers: int | None,
    split: Split = "val",
    with_counts: bool = False,
) -> Evaluation:
    """Measures ``trained`` on every image of ``people``, with a progress bar on a terminal.

    Args:
        trained: The model; it is moved to ``device``.
        people: The data.
        batch_size: Images in a batch; no metric depends on it.
        device: Where to run.
        precision: Arithmetic of the forward passes.
        num_workers: Processes that load images; no metric depends on it. None: as in training.
        split: What ``people`` are to the model.
        with_counts: Also what was counted on each image.

    Returns:
        The metrics of ``SegmentationMetrics`` and ``CocoMaskAp``, those of rois None without a roi head; of a model
        with a detector also those of ``DetectionMetrics``.

    Raises:
        DataError: An image cannot be read.
    """
    config = trained.checkpoint.config
    loading = loading_for(device, num_workers)
    batches = validation_batches(
        build_validation_set(config.model, people), batch_size=batch_size, num_workers=loading.workers, pin=loading.pin
    )
    measured, metrics = _measure(trained, batches, device, precision)
    return Evaluation(
        experiment=config.name,
        checkpoint=str(trained.path),
        checkpoint_sha256=trained.sha256,
        epoch=trained.checkpoint.epoch,
        annotations=str(people.file),
        images_dir=str(people.images_dir),
        data_fingerprint=people.fingerprint,
        images=len(people.images),
        persons=int(people.images.person_counts.sum()),
        device=str(device),
        precision=precision,
        metrics=metrics | {name: metrics.get(name) for name in COCO_METRICS},
        split=split,
        counts=counts_of(measured, people, trained.sha256) if with_counts else None,
    )


def _measure(
    trained: TrainedModel, batches: BatchLoader, device: torch.device, precision: Precision
) -> tuple[SegmentationMetrics, Metrics]:
    """What was counted, and all metrics that follow from it and from COCO's evaluation."""
    config, people = trained.checkpoint.config, batches.dataset.people
    coco_ap = CocoMaskAp(people.file) if trained.model.head is not None else None
    own_boxes = OwnBoxes(people) if trained.model.detector is not None else None
    trained.model.to(device).to(memory_format=torch.channels_last)
    with Progress(console=terminal(), transient=True, disable=not shows_progress()) as bars:
        task = bars.add_task(f"evaluating {config.name}", total=len(batches))
        measured = measure(
            predictor(trained.model),
            batches,
            device=device,
            precision=precision,
            mask_size=config.model.mask_size,
            after_batch=lambda: bars.advance(task),
            coco_ap=coco_ap,
            own_boxes=own_boxes,
        )
    return measured, compute_all(measured, coco_ap, own_boxes)
