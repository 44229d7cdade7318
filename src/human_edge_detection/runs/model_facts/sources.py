"""What a run learned from, as far as others must know it: images, their terms, and the weights it began with.

It is written into ``provenance.json`` when a training starts, while data and weights are at hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.files.read import file_sha256
from human_edge_detection.files.weight_files import safetensors_metadata
from human_edge_detection.runs.encoder_weights import encoder_weights_file
from human_edge_detection.runs.records import Count

SOURCES: Final = "sources"
"""Key in provenance.json."""
_MOST_TERMS: Final = 20
"""Different texts that are kept: some files have another one for each image."""
_MOST_SAID: Final = 10
_MAX_LENGTH: Final = 200
"""What is kept of what a file of weights says of itself: texts, and characters of each."""


class SplitSource(Section):
    """One split, as it was trained or validated on."""

    images: Count
    persons: Count
    """Crowd regions not counted."""
    partly_labelled: Count
    """Images on which not every person is annotated."""
    terms: dict[str, Count]
    """Terms -> number of images, the most frequent first; "" where the annotation file says nothing."""
    other_terms: Count = 0
    """Images under further terms."""


class EncoderSource(Section):
    """Where the weights of the encoder came from."""

    weights: str
    """``imagenet``, ``none``, or the name of the file."""
    sha256: str | None = None
    """Of the file."""
    said: dict[str, str] = Field(default_factory=dict)
    """What a safetensors file says of itself."""


class Sources(Section):
    """All of it."""

    train: SplitSource
    val: SplitSource
    encoder: EncoderSource | None
    """None where the run starts from the weights of another one."""
    unlabelled: Count | None = None
    """Images without labels that the teacher alone spoke about."""


def split_source(*, images: int, persons: int, partly_labelled: int, terms: Counter[str]) -> SplitSource:
    """The record of a split; see :class:`SplitSource`."""
    kept = dict(terms.most_common(_MOST_TERMS))
    other = images - sum(kept.values())
    return SplitSource(images=images, persons=persons, partly_labelled=partly_labelled, terms=kept, other_terms=other)


def encoder_source(config: ModelConfig, environment: Mapping[str, str]) -> EncoderSource | None:
    """Where the weights of the encoder of a run that begins now come from; None: of another run."""
    if config.init_from is not None or config.pretrained_unet is not None:
        return None
    file = encoder_weights_file(config, environment)
    if file is None:
        return EncoderSource(weights=Path(config.encoder_weights).name)
    said = [(name[:_MAX_LENGTH], text[:_MAX_LENGTH]) for name, text in safetensors_metadata(file).items()]
    return EncoderSource(weights=file.name, sha256=file_sha256(file), said=dict(said[:_MOST_SAID]))


def sources_in(provenance: Mapping[str, Any]) -> Sources | None:
    """What ``provenance`` says; None in one of an older version, or one that was edited."""
    try:
        return Sources.model_validate(provenance.get(SOURCES))
    except ValidationError:
        return None
