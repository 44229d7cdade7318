"""What teaches where nothing is stored: networks of this tool, an external teacher, or both as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import torch

from human_edge_detection.data.annotations.coco import AnnotationSet
from human_edge_detection.data.dataset import SoftLabelSource
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import build_validation_set
from human_edge_detection.engine.device import autocast
from human_edge_detection.engine.evaluation.evaluate import Metrics
from human_edge_detection.engine.loading import Loading
from human_edge_detection.engine.precision import Precision
from human_edge_detection.engine.teaching.external.mean import mean_with
from human_edge_detection.engine.teaching.external.measure import measure_soft_labels, report_metrics
from human_edge_detection.engine.teaching.external.teacher import ExternalTeacher
from human_edge_detection.engine.teaching.soft_labels import TeacherRecord, teacher_record
from human_edge_detection.engine.teaching.teacher import Teacher, check_teacher
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.structures import Batch, SegmentationOutput

_NOT_MEASURED: Final[Metrics] = {"miou": None}
"""Of teachers of which one has no answers to the validation images: what they score as one is not known."""


class Teachers(NamedTuple):
    """Who teaches; at least one of them is there.

    Attributes:
        own: The network, or networks, of this tool, asked for each batch.
        external: The external teacher, whose soft labels come with the batch.
    """

    own: Teacher | None
    external: ExternalTeacher | None

    @property
    def fingerprint(self) -> str:
        """Tells them from any others: sha256 of each, joined by ``+``, own ones first."""
        known = (
            None if self.own is None else self.own.fingerprint,
            None if self.external is None else self.external.sha256,
        )
        return "+".join(sha256 for sha256 in known if sha256 is not None)

    @property
    def soft_labels(self) -> SoftLabelSource | None:
        """What comes with the training images; None: nothing."""
        return None if self.external is None else self.external.train

    def wanted_size(self, image_size: tuple[int, int]) -> tuple[int, int] | None:
        """As of :class:`Teacher`."""
        return None if self.own is None else self.own.wanted_size(image_size)

    def ask(self, batch: Batch, *, features: bool = False) -> SegmentationOutput | None:
        """Their soft labels to ``batch``, NaN where nobody says anything; None: nobody does.

        Args:
            batch: With the soft labels of the external teacher.
            features: Also the own teacher's decoder features.
        """
        if self.own is None:
            return batch.soft_labels
        mask_size = (batch.roi_masks.shape[-2], batch.roi_masks.shape[-1])
        own = self.own.predict_batch(batch, mask_size=mask_size, features=features)
        if batch.soft_labels is None:
            return own
        return mean_with(own, batch.soft_labels, teachers=1 + len(self.own.others))

    def measure(
        self,
        people: AnnotationSet,
        model: ModelConfig,
        *,
        device: torch.device,
        precision: Precision,
        loading: Loading,
        after_batch: Callable[[], None] = lambda: None,
    ) -> TeacherRecord:
        """Measures each of them on the validation images ``people``, then all as one, and says how good they are.

        Args:
            people: The data.
            model: The student, at whose sizes the external teacher is measured.
            device: Where networks are.
            precision: Arithmetic of the forward passes.
            loading: How images are read.
            after_batch: Called after each batch.

        Raises:
            TrainingError: As :func:`check_teacher`.
        """
        metrics: Metrics = {}
        if self.own is not None:
            metrics = check_teacher(
                self.own, people, device=device, precision=precision, loading=loading, after_batch=after_batch
            )
        if self.external is None:
            assert self.own is not None
            return teacher_record(self.own, metrics, people)

        def measured(who: Teachers) -> Metrics:
            def ask(batch: Batch) -> SegmentationOutput:
                with autocast(device, precision):
                    said = who.ask(batch)
                assert said is not None  # each batch comes with the external teacher's
                return said

            size = who.wanted_size(model.image_size)
            data = build_validation_set(model, people, teacher_size=size, soft_labels=external.val)
            batches = validation_batches(
                data,
                batch_size=loading.validation_batch(model.image_size),
                num_workers=loading.workers,
                pin=loading.pin,
            )
            return measure_soft_labels(ask, batches, device=device, mask_size=model.mask_size, after_batch=after_batch)

        external = self.external
        if external.val is None:
            return self._record(_NOT_MEASURED, people)
        metrics = measured(Teachers(None, external))
        report_metrics(external.path.name, metrics, kind=external.kind)
        if self.own is not None:
            metrics = measured(self)
            together = f"{self.own.checkpoint.config.name} and {external.path.name} together"
            report_metrics(together, metrics, kind=external.kind)
        return self._record(metrics, people)

    def _record(self, metrics: Metrics, people: AnnotationSet) -> TeacherRecord:
        if self.own is not None:
            return teacher_record(self.own, metrics, people)
        assert self.external is not None
        return external_record(self.external, metrics, people)


def external_record(teacher: ExternalTeacher, metrics: Metrics, people: AnnotationSet) -> TeacherRecord:
    """What is remembered of an external teacher that teaches alone, with its ``metrics`` on ``people``."""
    return TeacherRecord(
        checkpoint=str(teacher.path),
        sha256=teacher.sha256,
        experiment=teacher.path.name,
        encoder=None,
        parameters=None,
        kind=teacher.kind,
        metrics={people.score_key: dict(metrics)},
    )
