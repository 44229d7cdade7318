"""Under which terms a model may be used, as far as that is known: those of its images and of what it began with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from human_edge_detection.runner.model_card.facts import Facts
from human_edge_detection.runs.model_facts.sources import EncoderSource
from human_edge_detection.wording import printable

UNKNOWN: Final = "unknown"
_DIGITS: Final = 12
"""Of a sha256 that are shown."""
_PLACE: Final = re.compile(r"(?<![\w:/.])(?:~?/|[A-Za-z]:\\)[^\s]")
"""How a path of somebody's machine begins; no address of a page."""


def short(sha256: str | None) -> str:
    """A sha256 as it is shown."""
    return UNKNOWN if not sha256 else f"sha256 {sha256[:_DIGITS]}"


def image_terms(facts: Facts) -> dict[str, int] | None:
    """Terms of the training images -> number of images; None: nobody wrote them down."""
    if facts.is_drawn or facts.sources is None:
        return None
    train = facts.sources.train
    other = {"other texts": train.other_terms} if train.other_terms else {}
    return {text or UNKNOWN: count for text, count in train.terms.items()} | other


def stated_terms(facts: Facts) -> str | None:
    """What ``data.terms`` says, in one line."""
    terms = facts.config.data.terms
    return None if terms is None else printable(" ".join(terms.split()))


def anything_known(facts: Facts) -> bool:
    """Whether anybody said anything about terms."""
    images = image_terms(facts) or {}
    return stated_terms(facts) is not None or any(text != UNKNOWN for text in images)


def starting_weights(facts: Facts) -> str:
    """Where the first weights came from, in words."""
    model, contents = facts.config.model, facts.contents
    named = [] if contents is None else [file for field, file in contents.weights.items() if field.startswith("model.")]
    if named:
        return f"another run's, {', '.join(short(file.sha256) for files in named for file in files)}: see its own card"
    if model.init_from is not None or model.pretrained_unet is not None:
        return "another run's: see its own card"
    source = _encoder(facts)
    if source is not None:
        return _in_words(source)
    if contents is not None and re.fullmatch("[0-9a-f]{64}", contents.encoder_weights):
        return f"a file, {short(contents.encoder_weights)}, of unknown origin and terms"
    known = model.encoder_weights in ("imagenet", "none")
    return _in_words(EncoderSource(weights=model.encoder_weights)) if known else UNKNOWN


def _encoder(facts: Facts) -> EncoderSource | None:
    """What the run wrote down, unless its folder says that it began with other weights."""
    source = None if facts.sources is None else facts.sources.encoder
    if source is None or facts.contents is None or source.sha256 in (None, facts.contents.encoder_weights):
        return source
    return None


def _in_words(source: EncoderSource) -> str:
    if source.sha256 is None and source.weights == "none":
        return "random"
    if source.sha256 is None:
        return "trained on ImageNet, as timm and segmentation_models_pytorch publish them; terms unknown here"
    said = ", ".join(_said(source))
    return f"`{printable(source.weights)}`, {short(source.sha256)}, {said or 'of unknown origin and terms'}"


def _said(source: EncoderSource) -> Iterator[str]:
    """What the file says of itself, but for places on somebody's machine."""
    for name, text in source.said.items():
        if name != "format" and text.strip() and not _PLACE.search(text):
            yield printable(f"{name} {' '.join(text.split())}")
