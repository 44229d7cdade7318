"""What a model cannot do, told by its own numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from human_edge_detection.runner.comparison.paired import FEWEST_IMAGES
from human_edge_detection.runner.comparison.slices import SLICES, columns_of, crowding_of, group_sums, scores_of
from human_edge_detection.runner.model_card.facts import Facts
from human_edge_detection.runs.per_image import PerImage, PersonSize

_SIZES: Final[dict[PersonSize, str]] = {
    "small": "where persons have less than 32 × 32 pixels of the image",
    "large": "where they have 96 × 96 and more",
}
_WEAK: Final = 0.5
"""A score below is named as a weakness."""
_MISSES: Final = 0.8
"""So many persons a detector should find."""


def limits_of(facts: Facts) -> list[str]:
    """One sentence or two each."""
    return list(_limits(facts))


def _limits(facts: Facts) -> Iterator[str]:
    metrics, model = facts.metrics, facts.config.model
    if facts.is_drawn:
        yield "It has seen drawn figures only: of no use on photographs, and its scores say nothing about them."
    yield from _on_data(facts)
    height, width = model.image_size
    sizes = _sizes(facts.counts)
    yield f"Every image is stretched to {height} × {width} pixels (height × width){sizes}."
    if model.head == "none":
        yield "It does not tell one person from another."
    else:
        yield from _on_boxes(facts)
        others = metrics.get("iou_nontarget")
        if others is not None and others < _WEAK:
            yield f"Other persons inside a box are told badly: IoU {others:.2f}."
    yield (
        "It says where persons are, not who they are: it is not for identification. Whether it works alike for people "
        "of any skin colour, age, body or clothing was not measured."
    )


def _on_data(facts: Facts) -> Iterator[str]:
    if facts.sources is None:
        yield "How many images it was trained on is unknown."
        return
    train, val = facts.sources.train, facts.sources.val
    yield (
        f"It learned from {train.images:,} images with {train.persons:,} persons; the validation scores are of "
        f"{val.images:,} images with {val.persons:,}."
    )
    if facts.sources.unlabelled:
        yield (
            f"On {facts.sources.unlabelled:,} more images, without labels, it learned from its teacher alone, with the "
            "teacher's mistakes."
        )
    if val.images < FEWEST_IMAGES:
        yield f"{val.images} validation images are too few to tell what others would be like; intervals are too narrow."
    if train.partly_labelled or val.partly_labelled:
        yield (
            f"On {train.partly_labelled:,} training and {val.partly_labelled:,} validation images not every person is "
            "labelled; what is unknown was neither taught nor scored."
        )


def _sizes(counts: PerImage | None) -> str:
    """How small and large persons score, and how many there were."""
    if counts is None:
        return ""
    persons = Counter(counts.rois.size)
    sums = group_sums(columns_of(counts), crowding_of(counts))
    slices = {part.name: part for part in SLICES}
    told = [
        f"{float(scores_of(slices[size], sums)['miou']):.2f} {text} ({persons[size]:,} persons)"
        for size, text in _SIZES.items()
        if persons[size]
    ]
    return f"; mIoU {', '.join(told)}" if told else ""


def _on_boxes(facts: Facts) -> Iterator[str]:
    if facts.config.model.detector is None:
        yield "It finds nobody itself: give it a box of each person. Its masks are no better than these boxes."
        return
    recall = facts.metrics.get("recall10")
    if recall is None:
        yield "How many persons it finds itself is unknown; the scores are of masks in annotated boxes."
    elif recall < _MISSES:
        yield (
            f"Its own detector is weak: it finds {recall:.0%} of the persons (IoU 0.5, ten boxes of an image). Scores "
            "of masks are in annotated boxes: give it boxes of a better detector where there is one."
        )
    else:
        yield f"It finds {recall:.0%} of the persons itself; scores of masks are in annotated boxes."
