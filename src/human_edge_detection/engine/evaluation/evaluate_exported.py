"""All metrics of an exported file on a data set, by the code that scores checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from human_edge_detection.data.annotations.coco import AnnotationSet
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.checkpoints.load import Split, read_annotations_of
from human_edge_detection.engine.evaluation.evaluate import Metrics, Predictor, evaluate
from human_edge_detection.engine.evaluation.evaluate_checkpoint import Evaluation
from human_edge_detection.engine.evaluation.own_boxes import Found, OwnBoxes
from human_edge_detection.engine.exported import own_errors
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.data_folder import SplitPaths
from human_edge_detection.files.read import file_sha256
from human_edge_detection.log import shows_progress, terminal
from human_edge_detection.metrics.coco_ap import METRICS as COCO_METRICS
from human_edge_detection.metrics.coco_ap import CocoMaskAp
from human_edge_detection.runs.paths import run_paths_of_checkpoint
from human_edge_detection.runs.records import read_section
from human_edge_detection.structures import CLASS_NAMES, SegmentationOutput
from human_edge_prediction.models.own import OwnModel

_NO_MASK: Final = (1, 1)
"""Mask size of a model without a head for rois, whose masks nobody makes."""
_CPU: Final = torch.device("cpu")
_IN_TRUE_BOXES: Final = "given_mask_"
"""What metrics of masks in the true boxes begin with, which a file that finds the persons itself is not asked about."""


def read_annotations_for_file(model: OwnModel, split: Split, given: SplitPaths | None) -> AnnotationSet:
    """The annotations to judge an exported file on.

    Args:
        model: The file; where it lies in the folder of its run, that says which data the run has.
        split: Which of these.
        given: Other data; None: those of the run.

    Raises:
        DataError: The data cannot be used, or nobody says where they are.
        CheckpointError: The run's ``config.json`` is damaged.
    """
    run = run_paths_of_checkpoint(model.path)
    config = None if given is not None else read_section(ExperimentConfig, run.config)
    if config is None and given is None:
        raise DataError(
            f"{model.path} does not lie in the folder of its run ({run.config}: no such file), so nothing says where "
            f"the data are; give --data_root DIR, or --{split}_ann FILE and --{split}_images DIR"
        )
    return read_annotations_of(config, model.path, split, given)


def evaluate_exported(
    model: OwnModel, people: AnnotationSet, *, num_workers: int | None, split: Split = "val"
) -> Evaluation:
    """Measures ``model`` on every image of ``people``, with a progress bar on a terminal.

    Args:
        model: ``best_model.onnx``, as any format, or the file beside it that finds the persons itself.
        people: The data.
        num_workers: Processes that load images; no metric depends on it. None: 1.
        split: What ``people`` are to the model.

    Returns:
        What ``evaluate_checkpoint`` returns. Of a file that finds the persons itself the metrics of what it finds; they
        are lower than a checkpoint's, as the file leaves out who is less likely than its ``min_score``.

    Raises:
        DataError: An image cannot be read.
        CheckpointError: The file cannot be run.
    """
    workers = 1 if num_workers is None else num_workers
    with (
        own_errors(),
        Progress(console=terminal(), transient=True, disable=not shows_progress()) as bars,
    ):
        task = bars.add_task(f"evaluating {model.path.name}", total=len(people.images))
        metrics = score(model, people, num_workers=workers, after_image=lambda: bars.advance(task))
    said = model.runtime.metadata
    return Evaluation(
        experiment=said.get("experiment", model.path.stem),
        checkpoint=None,
        checkpoint_sha256=said.get("checkpoint_sha256"),
        epoch=int(said["epoch"]) if said.get("epoch", "").isdigit() else None,
        annotations=str(people.file),
        images_dir=str(people.images_dir),
        data_fingerprint=people.fingerprint,
        images=len(people.images),
        persons=int(people.images.person_counts.sum()),
        device=model.runtime.provider,
        precision=None,
        metrics=metrics | {name: metrics.get(name) for name in COCO_METRICS},
        model=str(model.path),
        model_sha256=file_sha256(model.path),
        split=split,
    )


def score(
    model: OwnModel, people: AnnotationSet, *, num_workers: int = 0, after_image: Callable[[], None] = lambda: None
) -> Metrics:
    """Every metric of ``hed evaluate`` of an exported file.

    With a head for rois, COCO mask AP in the true boxes is one of them; of a file that finds the persons itself, the
    metrics of what it finds are there instead.

    Args:
        model: The file.
        people: The data; one image at a time, which is what every file takes.
        num_workers: Processes that load images.
        after_image: Called after each image.

    Raises:
        DataError: An image cannot be read.
        PredictionError: The model cannot be run.
    """
    with_masks = model.takes_rois
    mask_size = (model.mask_size if with_masks else None) or _NO_MASK
    dataset = PersonDataset(
        people, image_size=model.input.size, mask_size=mask_size, augmentation=None, max_rois=None, seed=0
    )
    metrics = evaluate(
        _predictor(model, mask_size),
        validation_batches(dataset, batch_size=1, num_workers=num_workers),
        device=_CPU,
        precision="fp32",
        mask_size=mask_size,
        after_batch=after_image,
        coco_ap=CocoMaskAp(people.file) if with_masks else None,
        own_boxes=OwnBoxes(people, partial(_find, model)) if model.finds_persons else None,
    )
    return {name: value for name, value in metrics.items() if not name.startswith(_IN_TRUE_BOXES)}


def _predictor(model: OwnModel, mask_size: tuple[int, int]) -> Predictor:
    """The exported file in the place of the network that it was made from."""
    no_masks = np.zeros((0, len(CLASS_NAMES), *mask_size), np.float32)

    def predict(images: Tensor, rois: Tensor) -> SegmentationOutput:
        outputs = model.run(images.numpy(), rois.numpy())
        logits = outputs["masks"] if model.takes_rois else no_masks
        full_image = torch.from_numpy(outputs["binary_masks"]).logit()
        return SegmentationOutput(torch.from_numpy(logits), {"full_image_logits": full_image})

    return predict


def _find(model: OwnModel, predict: Predictor, output: SegmentationOutput, images: Tensor, shown: list[int]) -> Found:
    """What a file finds that finds the persons itself; it is asked once more, about the images that count."""
    outputs = model.run(images[shown].numpy(), np.zeros((0, 5), np.float32))
    rois, scores, masks = (torch.from_numpy(outputs[name]) for name in ("boxes", "scores", "masks"))
    return Found(rois, scores, SegmentationOutput(masks, {}))
