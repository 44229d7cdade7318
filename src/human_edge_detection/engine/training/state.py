"""All that changes while a run trains: it goes into each checkpoint and comes back whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.advanced.weights.state_dict import load_strictly
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint
from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.checkpoints.resume_state import check_training_state
from human_edge_detection.engine.evaluation.evaluate import Metrics
from human_edge_detection.engine.precision import Precision
from human_edge_detection.engine.training.ema import MovingAverage
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.difference import known_to_differ
from human_edge_detection.experiments.schema.experiment import ExperimentConfig


class Origin(NamedTuple):
    """What a run learns from; a run that continues must learn from the same.

    Attributes:
        training_fingerprint: Of the training annotations.
        data_fingerprint: Of the validation annotations.
        teacher_sha256: Of the teacher, or the teachers; None: there is none.
        training_images: Fingerprint of the training images; None: unknown.
        validation_images: Of the validation images.
        unlabelled: Of the images without labels, and of where the boxes on them come from; None: there are none.
    """

    training_fingerprint: str
    data_fingerprint: str
    teacher_sha256: str | None
    training_images: str | None = None
    validation_images: str | None = None
    unlabelled: str | None = None


class TrainingState:
    """The state of one run.

    Args:
        student: What learns, on its device.
        optimizer: Of the student and the adapter.
        precision: Arithmetic of the steps; fp16 has a loss scale.
        ema_decay: Of the moving average of the weights; None: there is none.
        adapter: What learns beside the student; None: nothing does.
    """

    def __init__(
        self,
        student: RgbPersonSegmenter,
        optimizer: torch.optim.Optimizer,
        *,
        precision: Precision,
        ema_decay: float | None = None,
        adapter: nn.Module | None = None,
    ) -> None:
        self.student = student
        self.optimizer = optimizer
        self.precision: Precision = precision
        self.adapter = adapter
        self.ema = None if ema_decay is None else MovingAverage(student, ema_decay)
        device = next(student.parameters()).device
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.progress = TrainingProgress()

    @property
    def model(self) -> nn.Module:
        """What is validated, kept as best and exported: the moving average where there is one."""
        return self.student if self.ema is None else self.ema.model

    @property
    def learning(self) -> list[nn.Parameter]:
        """Every parameter that the last backward pass gave a gradient, the adapter's included."""
        groups = self.optimizer.param_groups
        return [parameter for group in groups for parameter in group["params"] if parameter.grad is not None]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Every parameter that may learn in the epoch under way, the adapter's included, in the optimizer's order."""
        groups = self.optimizer.param_groups
        return [parameter for group in groups for parameter in group["params"] if parameter.requires_grad]

    def to_checkpoint(self, config: ExperimentConfig, origin: Origin, metrics: Metrics) -> Checkpoint:
        """The state as it is now."""
        training: dict[str, Any] = {
            "student": self.student.state_dict() if self.ema is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "progress": self.progress.to_state(),
            "precision": self.precision,
            "teacher_sha256": origin.teacher_sha256,
            "training_fingerprint": origin.training_fingerprint,
            "training_images": origin.training_images,
        }
        if self.adapter is not None:
            training["adapter"] = self.adapter.state_dict()
        if origin.unlabelled is not None:
            training["unlabelled"] = origin.unlabelled
        return Checkpoint(
            config=config,
            model=self.model.state_dict(),
            epoch=self.progress.epoch,
            metrics=metrics,
            data_fingerprint=origin.data_fingerprint,
            validation_images=origin.validation_images,
            training=training,
        )

    def restore(self, checkpoint: Checkpoint, origin: Origin, *, name: str, source: str) -> None:
        """Takes over the state in ``checkpoint``, all of it.

        Args:
            checkpoint: With the state of training.
            origin: What this run learns from.
            name: Of this experiment, for the message.
            source: What is read, for the message.

        Raises:
            CheckpointError: It is not whole, of other networks, or of a run that learnt from something else.
        """
        state = checkpoint.training
        if state is None:
            raise CheckpointError(f"{source}: holds weights only; use --init_from, or resume from latest.pth")
        load_strictly(self.model, checkpoint.model, source=f"{source}: not the weights of {name}")
        check_training_state(state, self.optimizer, self.scaler, source=source, adapter=self.adapter is not None)
        if self.adapter is not None:
            load_strictly(self.adapter, state["adapter"], source=f"{source}: not the adapter of {name}")
        if self.ema is not None:
            load_strictly(self.student, state["student"], source=f"{source}: not the weights of {name}")
        _check_origin(state, checkpoint, origin, source=source)
        self._take_numbers(state)

    def copy_from(self, model: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Takes over the state of another process of the same run, which :meth:`to_checkpoint` has packed.

        Args:
            model: Its weights.
            state: All else, as the ``training`` of a checkpoint.
        """
        self.model.load_state_dict(model)
        if self.adapter is not None:
            self.adapter.load_state_dict(state["adapter"])
        if self.ema is not None:
            self.student.load_state_dict(state["student"])
        self._take_numbers(state)

    def _take_numbers(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress = TrainingProgress.from_state(state["progress"])


def _check_origin(state: Mapping[str, Any], checkpoint: Checkpoint, origin: Origin, *, source: str) -> None:
    """Refuses a checkpoint, with ``state`` in it, of a run that learnt from something else than ``origin``."""
    if state["teacher_sha256"] != origin.teacher_sha256:
        raise CheckpointError(
            f"{source}: was taught by another teacher (sha256 {str(state['teacher_sha256'])[:12]}, "
            f"now {str(origin.teacher_sha256)[:12]}); give that teacher again, or start anew with --run_name"
        )
    fingerprints = (state["training_fingerprint"], checkpoint.data_fingerprint)
    if fingerprints != (origin.training_fingerprint, origin.data_fingerprint):
        raise CheckpointError(
            f"{source}: the annotations have changed since this run began, and a run on two data sets would be "
            "neither; restore them, or start anew with --run_name"
        )
    images = {
        "training": (state.get("training_images"), origin.training_images),
        "validation": (checkpoint.validation_images, origin.validation_images),
    }
    changed = [split for split, (then, now) in images.items() if known_to_differ(then, now)]
    if changed:
        raise CheckpointError(
            f"{source}: the {' and '.join(changed)} images have changed since this run began (their annotations have "
            "not), and a run on two data sets would be neither; restore them, or start anew with --run_name"
        )
    if state.get("unlabelled") != origin.unlabelled:
        raise CheckpointError(
            f"{source}: the images without labels, or the file of boxes on them, have changed since this run began; "
            "restore them, or start anew with --run_name"
        )
