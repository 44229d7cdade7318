"""What teaches a student: a teacher or its soft labels, the loss that compares, and how strong it is in an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from human_edge_detection.advanced.knowledge_distillation import DistillationLoss
from human_edge_detection.engine.teaching.alpha_holdout import AlphaHoldout
from human_edge_detection.engine.teaching.distillation_schedule import Strength, strength_in
from human_edge_detection.engine.teaching.head_targets import StandIn, head_targets
from human_edge_detection.engine.teaching.soft_labels import SoftLabels, TeacherRecord
from human_edge_detection.engine.teaching.teacher import Teacher
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_detection.structures import Batch, LossOutput, SegmentationOutput


@dataclass(frozen=True)
class Distiller:
    """Distillation in a run. What changes from epoch to epoch is an argument; nothing here does.

    Attributes:
        config: The section of the experiment.
        distillation_loss: Compares student and teacher; its adapter, if any, learns with the student.
        source: The teacher, asked for each batch; or its soft labels, which come with the batch.
        record: What the result of a run says of the teacher.
        teacher_score: The teacher's mIoU on the validation data of the run; None: nothing was counted.
        holdout: Where alpha follows the student's score.
        unlabelled_confidence: From which probability on the teacher counts on images without annotations.
    """

    config: DistillationConfig
    distillation_loss: DistillationLoss
    source: Teacher | SoftLabels
    record: TeacherRecord
    teacher_score: float | None
    holdout: AlphaHoldout | None = None
    unlabelled_confidence: float = 0.0

    @property
    def teacher(self) -> Teacher | None:
        """The loaded teacher; None where its soft labels are stored."""
        return self.source if isinstance(self.source, Teacher) else None

    @property
    def needs_features(self) -> bool:
        """Whether the student must hand out its decoder features."""
        return self.distillation_loss.needs_features

    def strength(self, history: Sequence[Mapping[str, float | int | None]], *, epochs: int) -> Strength:
        """Temperature and alpha of the epoch after ``history`` of ``epochs``."""
        return strength_in(self.config, history, epochs=epochs)

    def ask(self, batch: Batch) -> SegmentationOutput | None:
        """What the student is to learn from ``batch``; None when nothing is stored for it and nobody can be asked."""
        if batch.soft_labels is not None or self.teacher is None:
            return batch.soft_labels
        mask_size = (batch.roi_masks.shape[-2], batch.roi_masks.shape[-1])
        return self.teacher.predict_batch(batch, mask_size=mask_size, features=self.needs_features)

    def loss(
        self,
        batch: Batch,
        output: SegmentationOutput,
        soft_labels: SegmentationOutput,
        base: LossOutput,
        strength: Strength,
    ) -> LossOutput:
        """The whole loss of a batch.

        Args:
            batch: Its ground truth.
            output: The student's, with gradient; with its decoder features where they are needed.
            soft_labels: What :meth:`ask` said.
            base: The student's loss on ground truth.
            strength: Of the epoch.
        """
        return self.distillation_loss(
            output,
            soft_labels,
            head_targets(
                batch, output, soft_labels, StandIn(self.config.unknown_confidence, self.unlabelled_confidence)
            ),
            base,
            temperature=strength.temperature,
            alpha=strength.alpha,
            partial=isinstance(self.source, SoftLabels) and self.source.metadata.key.external is not None,
        )
