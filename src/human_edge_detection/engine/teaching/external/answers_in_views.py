"""Answers to images as soft labels of views: what a training set is given as its source of soft labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.dataset import Sample
from human_edge_detection.engine.teaching.external.answers import Answers
from human_edge_detection.engine.teaching.external.to_soft_labels import nothing_said, to_soft_labels


@dataclass(frozen=True)
class AnswersInViews:
    """A :data:`~human_edge_detection.data.dataset.SoftLabelSource`: answers, warped into each view as the truth is."""

    answers: Answers
    people: AnnotationSet

    def __call__(self, view: int, index: int, sample: Sample) -> Mapping[str, NDArray[np.float16]]:
        """Logits by head, see :func:`~human_edge_detection.engine.teaching.external.to_soft_labels.to_soft_labels`."""
        if index >= len(self.people.images):  # an image without labels, which the teacher was not asked about
            return nothing_said(sample, instances=self.answers.has_instances)
        record = self.people.images[index]
        return to_soft_labels(self.answers.of(index), record, sample, instances=self.answers.has_instances)
