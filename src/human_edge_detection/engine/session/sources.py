"""What a training learns from, told of the parts that it was built of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.mixed import MixedDataset
from human_edge_detection.engine.training.parts import Parts
from human_edge_detection.runs.model_facts.sources import Sources, SplitSource, encoder_source, sources_in, split_source


def sources_of(parts: Parts, before: Mapping[str, Any]) -> Sources:
    """The record of the run that has these ``parts``.

    Args:
        parts: What it trains with now.
        before: What its provenance.json says: a run that goes on has its encoder from where it had it.
    """
    known, training_set = sources_in(before), parts.training_set
    return Sources(
        train=_split(training_set.people),
        val=_split(parts.validation.dataset.people),
        unlabelled=len(training_set.unlabelled) if isinstance(training_set, MixedDataset) else None,
        encoder=known.encoder if known is not None else encoder_source(parts.config.model, os.environ),
    )


def _split(people: AnnotationSet) -> SplitSource:
    images = people.images
    return split_source(
        images=len(images),
        persons=int(images.person_counts.sum()),
        partly_labelled=int((~images.exhaustive).sum()),
        terms=images.terms,
    )
