"""The teacher of a run: built from its own checkpoint, loaded strictly, and measured before it teaches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from human_edge_detection.advanced.fast_layers.batch_norm_folding import fold_batch_norm
from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.advanced.knowledge_distillation import AveragedTeachers, FrozenTeacher, MirroredTeacher
from human_edge_detection.advanced.weights.fit import load_fitted
from human_edge_detection.data.annotations.coco import AnnotationSet
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import build_model, build_validation_set
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint
from human_edge_detection.engine.evaluation.evaluate import Metrics, Predictor, evaluate, predictor
from human_edge_detection.engine.loading import Loading
from human_edge_detection.engine.precision import Precision
from human_edge_detection.engine.teaching.remembered_scores import remembered_metrics
from human_edge_detection.errors import CheckpointError, TrainingError
from human_edge_detection.experiments.difference import known_to_differ
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.structures import Batch, SegmentationOutput

logger = logging.getLogger(__name__)

RECORD_TOLERANCE = 0.005
"""mIoU that a teacher may lose to its record: other arithmetic (bf16, a GPU) moves a few border pixels."""
POOR_MIOU = 0.4
"""Below this a teacher is hardly better than a guess of background and box-filling persons."""


@dataclass(frozen=True)
class Teacher:
    """A loaded teacher and where it came from; with ``others``, the first of several that predict as one.

    Attributes:
        frozen: The model itself, which never learns.
        checkpoint: What it was built from.
        path: Of the checkpoint.
        sha256: Of the checkpoint's file.
        parameters: Number of its weights.
        others: Further teachers, whose probabilities are averaged with its own.
        mirrored: Each is asked about the mirror image too, and the probabilities of both are averaged.
    """

    frozen: FrozenTeacher
    checkpoint: Checkpoint
    path: Path
    sha256: str
    parameters: int
    others: tuple[Teacher, ...] = ()
    mirrored: bool = False

    @property
    def fingerprint(self) -> str:
        """Tells this teacher, with all others, from any other."""
        return fingerprint_of([teacher.sha256 for teacher in (self, *self.others)], mirrored=self.mirrored)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of images that leaves no teacher without detail that it could see."""
        heights, widths = zip(*(teacher.frozen.image_size for teacher in (self, *self.others)), strict=True)
        return max(heights), max(widths)

    def wanted_size(self, image_size: tuple[int, int]) -> tuple[int, int] | None:
        """Size of the images for the teacher; None: those of a student with ``image_size`` will do."""
        wanted = self.image_size
        return wanted if wanted[0] > image_size[0] or wanted[1] > image_size[1] else None

    def predict(
        self,
        images: Tensor,
        rois: Tensor,
        *,
        mask_size: tuple[int, int],
        image_size: tuple[int, int] | None = None,
        features: bool = False,
    ) -> SegmentationOutput:
        """The output of all together; arguments as for :class:`FrozenTeacher`."""
        each: list[FrozenTeacher | MirroredTeacher] = [self.frozen, *(other.frozen for other in self.others)]
        if self.mirrored:
            each += [MirroredTeacher(teacher.frozen) for teacher in (self, *self.others)]
        model = AveragedTeachers(each) if len(each) > 1 else self.frozen
        return model(images, rois, mask_size=mask_size, image_size=image_size, features=features)

    def predict_batch(self, batch: Batch, *, mask_size: tuple[int, int], features: bool = False) -> SegmentationOutput:
        """The output to a student's batch at the sizes of the student's, given all the detail that there is."""
        images = batch.images if batch.teacher_images is None else batch.teacher_images
        return self.predict(
            images.contiguous(memory_format=torch.channels_last),
            batch.rois,
            mask_size=mask_size,
            image_size=(batch.images.shape[-2], batch.images.shape[-1]),
            features=features,
        )


def fingerprint_of(sha256s: Sequence[str], *, mirrored: bool) -> str:
    """Tells teachers with these checkpoints, asked about mirror images too or not, from any other."""
    return "+".join([*sha256s, *(["mirror"] if mirrored else [])])


def load_teachers(paths: Sequence[Path], device: torch.device, *, mirrored: bool = False) -> Teacher:
    """The teachers stored at ``paths``, one or more, as one; asked about mirror images too where ``mirrored``.

    Raises:
        CheckpointError: As :func:`load_teacher`, or two of them are the same.
    """
    first, *others = (load_teacher(path, device) for path in paths)
    seen: dict[str, Path] = {}
    for teacher in (first, *others):
        if teacher.sha256 in seen:
            raise CheckpointError(
                f"teacher checkpoint {teacher.path}: the same as {seen[teacher.sha256]}; "
                "a mean needs different teachers"
            )
        seen[teacher.sha256] = teacher.path
    return replace(first, others=tuple(others), mirrored=mirrored)


def load_teacher(path: Path, device: torch.device) -> Teacher:
    """The teacher stored at ``path``, built from the config in its checkpoint.

    Raises:
        CheckpointError: Missing, damaged, of another architecture than its config says, or without roi head.
    """
    checkpoint, sha256 = read_checkpoint(path)
    config = checkpoint.config.model
    _check_teaches(checkpoint.config, path)
    model = build_model(config)
    source, network = f"teacher checkpoint {path}", f"a whole {checkpoint.config.name}"
    load_fitted(model, checkpoint.model, source=source, network=network, encoder=config.encoder)
    return _frozen(model, checkpoint, path, sha256, device)


def untrained_teachers(configs: Sequence[ExperimentConfig], device: torch.device, *, mirrored: bool = False) -> Teacher:
    """Teachers with random weights, one or more, as one: they take the memory and the time of trained ones.

    Raises:
        CheckpointError: One has no roi head.
    """
    first, *others = (_untrained_teacher(config, device) for config in configs)
    return replace(first, others=tuple(others), mirrored=mirrored)


def _untrained_teacher(config: ExperimentConfig, device: torch.device) -> Teacher:
    path = Path(config.name)
    _check_teaches(config, path)
    return _frozen(build_model(config.model), Checkpoint(config, {}, 0, {}, ""), path, "", device)


def _check_teaches(config: ExperimentConfig, path: Path) -> None:
    if config.model.head == "none":
        raise CheckpointError(
            f"teacher checkpoint {path}: {config.name} has no roi head and nothing to teach; "
            "use it as --pretrained_unet, and a hierarchical or plain model as teacher"
        )


def _frozen(
    model: RgbPersonSegmenter, checkpoint: Checkpoint, path: Path, sha256: str, device: torch.device
) -> Teacher:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    fold_batch_norm(model.eval()).to(device).to(memory_format=torch.channels_last)
    frozen = FrozenTeacher(model, image_size=checkpoint.config.model.image_size)
    return Teacher(frozen, checkpoint, path, sha256, parameters)


def check_teacher(
    teacher: Teacher,
    people: AnnotationSet,
    *,
    device: torch.device,
    precision: Precision,
    loading: Loading,
    after_batch: Callable[[], None] = lambda: None,
) -> Metrics:
    """Measures the teacher on ``people`` at its own sizes, before the first step; of several, each and all as one.

    What was measured before on the same images in the same way is remembered.

    Returns:
        The metrics of what teaches: of the mean, where there are several.

    Raises:
        TrainingError: These are the data that its checkpoint recorded a score for, and it scores less.
    """

    def measured(sha256: str, predict: Predictor, config: ModelConfig) -> Metrics:
        return remembered_metrics(
            sha256, people, config, device=device, precision=precision, measure=lambda: measure(predict, config)
        )

    def measure(predict: Predictor, config: ModelConfig) -> Metrics:
        data = build_validation_set(config, people)
        batches = validation_batches(
            data,
            batch_size=loading.validation_batch(config.image_size),
            num_workers=loading.workers,
            pin=loading.pin,
        )
        return evaluate(
            predict,
            batches,
            device=device,
            precision=precision,
            mask_size=config.mask_size,
            after_batch=after_batch,
        )

    for member in (teacher, *teacher.others):
        config = member.checkpoint.config.model
        metrics = measured(member.sha256, predictor(member.frozen.model), config)
        _compare_with_record(member, metrics["miou"] or 0.0, people)
    if teacher.others or teacher.mirrored:
        config = teacher.checkpoint.config.model.model_copy(update={"image_size": teacher.image_size})
        metrics = measured(teacher.fingerprint, partial(teacher.predict, mask_size=config.mask_size), config)
        asked = " and of their answers to mirror images" if teacher.mirrored else ""
        logger.info("mean of %d teachers%s: mIoU %.4f", 1 + len(teacher.others), asked, metrics["miou"] or 0.0)
    return metrics


def _compare_with_record(teacher: Teacher, measured: float, people: AnnotationSet) -> None:
    recorded, its_images = teacher.checkpoint.metrics.get("miou"), teacher.checkpoint.validation_images
    name = teacher.checkpoint.config.name
    if teacher.checkpoint.data_fingerprint != people.fingerprint or recorded is None:
        logger.info("teacher %s: mIoU %.4f on these data (trained on others)", name, measured)
    elif known_to_differ(its_images, people.images_fingerprint):
        logger.warning(
            "teacher %s: mIoU %.4f on the images of %s, which have changed since its checkpoint recorded %.4f: the two "
            "scores say nothing about each other",
            name,
            measured,
            people.file,
            recorded,
        )
    elif measured < recorded - RECORD_TOLERANCE:
        other = "" if its_images is not None else " (or these images have changed since; it does not say which it saw)"
        raise TrainingError(
            f"teacher {name}: mIoU {measured:.4f} on {people.file}, its checkpoint recorded {recorded:.4f} there; "
            f"{teacher.path} is not the model it claims to be{other}, train the teacher again"
        )
    else:
        logger.info("teacher %s: mIoU %.4f, as recorded (%.4f)", name, measured, recorded)
    if measured < POOR_MIOU:
        logger.warning("teacher %s is poor (mIoU %.4f): a student can hardly gain from it", name, measured)
