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
from human_edge_detection.engine.teaching.teachers import Teachers
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_detection.structures import Batch, LossOutput, SegmentationOutput


@dataclass(frozen=True)
class Distiller:
    """Distillation in a run. What changes from epoch to epoch is an argument; nothing here does.

    Attributes:
        config: The section of the experiment.
        distillation_loss: Compares student and teacher; its adapter, if any, learns with the student.
        source: The teachers, asked for each batch; or their soft labels, which come with the batch.
        record: What the result of a run says of the teacher.
        teacher_score: The teacher's mIoU on the validation data of the run; None: nothing was counted.
        holdout: Where alpha follows the student's score.
        unlabelled_confidence: From which probability on the teacher counts on images without annotations.
    """

    config: DistillationConfig
    distillation_loss: DistillationLoss
    source: Teachers | SoftLabels
    record: TeacherRecord
    teacher_score: float | None
    holdout: AlphaHoldout | None = None
    unlabelled_confidence: float = 0.0

    @property
    def teacher(self) -> Teacher | None:
        """The loaded network that teaches; None where its soft labels are stored, or a model file teaches alone."""
        return self.source.own if isinstance(self.source, Teachers) else None

    @property
    def _is_partial(self) -> bool:
        """Whether there may be positions and heads of which nothing is said."""
        if isinstance(self.source, SoftLabels):
            return self.source.metadata.key.external is not None
        return self.source.external is not None

    @property
    def needs_features(self) -> bool:
        """Whether the student must hand out its decoder features."""
        return self.distillation_loss.needs_features

    def strength(self, history: Sequence[Mapping[str, float | int | None]], *, epochs: int) -> Strength:
        """Temperature and alpha of the epoch after ``history`` of ``epochs``."""
        return strength_in(self.config, history, epochs=epochs)

    def ask(self, batch: Batch) -> SegmentationOutput | None:
        """What the student is to learn from ``batch``; None when nothing is stored for it and nobody can be asked."""
        if isinstance(self.source, SoftLabels):
            return batch.soft_labels
        return self.source.ask(batch, features=self.needs_features)

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
            partial=self._is_partial,
        )
