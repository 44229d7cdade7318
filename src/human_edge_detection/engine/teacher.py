"""The teacher of a run: built from its own checkpoint, loaded strictly, and measured before it teaches."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from human_edge_detection.advanced.knowledge_distillation import FrozenTeacher
from human_edge_detection.advanced.state_dict import load_strictly
from human_edge_detection.data.coco import PeopleAnnotations
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import build_model, build_validation_set
from human_edge_detection.engine.checkpoint import Checkpoint, read_checkpoint
from human_edge_detection.engine.device import Precision
from human_edge_detection.engine.evaluation import Metrics, answer_of, evaluate
from human_edge_detection.errors import CheckpointError, TrainingError

logger = logging.getLogger(__name__)

RECORD_TOLERANCE = 0.005
"""mIoU that a teacher may lose to its record: other arithmetic (bf16, a GPU) moves a few border pixels."""
POOR_MIOU = 0.4
"""Below this a teacher is hardly better than a guess of background and box-filling persons."""


@dataclass(frozen=True)
class Teacher:
    """A loaded teacher and where it came from."""

    answer: FrozenTeacher
    checkpoint: Checkpoint
    path: Path
    sha256: str
    parameters: int


def load_teacher(path: Path, device: torch.device) -> Teacher:
    """The teacher stored at ``path``, built from the config in its checkpoint.

    Raises:
        CheckpointError: Missing, damaged, of another architecture than its config says, or without roi head.
    """
    checkpoint, sha256 = read_checkpoint(path)
    config = checkpoint.config.model
    if config.head == "none":
        raise CheckpointError(
            f"teacher checkpoint {path}: {checkpoint.config.name} has no roi head and nothing to teach; "
            "use it as --pretrained_unet, and a hierarchical or plain model as teacher"
        )
    model = build_model(config)
    load_strictly(model, checkpoint.model, source=f"teacher checkpoint {path}: not a whole {checkpoint.config.name}")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    model.to(device).to(memory_format=torch.channels_last)
    return Teacher(FrozenTeacher(model, image_size=config.image_size), checkpoint, path, sha256, parameters)


def check_teacher(
    teacher: Teacher,
    people: PeopleAnnotations,
    *,
    device: torch.device,
    precision: Precision,
    batch_size: int,
    num_workers: int,
) -> Metrics:
    """Measures the teacher on ``people`` at its own sizes, before the first step.

    Raises:
        TrainingError: These are the data that its checkpoint recorded a score for, and it scores less.
    """
    config = teacher.checkpoint.config.model
    batches = validation_batches(build_validation_set(config, people), batch_size=batch_size, num_workers=num_workers)
    metrics = evaluate(
        answer_of(teacher.answer.model), batches, device=device, precision=precision, mask_size=config.mask_size
    )
    measured, recorded = metrics["miou"] or 0.0, teacher.checkpoint.metrics.get("miou")
    name = teacher.checkpoint.config.name
    if teacher.checkpoint.data_fingerprint == people.fingerprint and recorded is not None:
        if measured < recorded - RECORD_TOLERANCE:
            raise TrainingError(
                f"teacher {name}: mIoU {measured:.4f} on {people.file}, its checkpoint recorded {recorded:.4f} there; "
                f"{teacher.path} is not the model it claims to be, train the teacher again"
            )
        logger.info("teacher %s: mIoU %.4f, as recorded (%.4f)", name, measured, recorded)
    else:
        logger.info("teacher %s: mIoU %.4f on these data (trained on others)", name, measured)
    if measured < POOR_MIOU:
        logger.warning("teacher %s is poor (mIoU %.4f): a student can hardly gain from it", name, measured)
    return metrics
