"""Splits: what tools call them, and a validation or test split for data sets that have none."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from human_edge_detection.data.annotations.coco import CocoSplit
from human_edge_detection.data.annotations.person_checks import integer
from human_edge_detection.errors import DataError

SPLITS: Final = ("train", "val", "test")
"""All splits, in this order."""
_NAMES: Final = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def split_called(name: str) -> str | None:
    """``train``, ``val`` or ``test`` for what tools call them, such as ``Validation``; None for anything else."""
    return _NAMES.get(name.casefold())


def split_off(
    train: CocoSplit, fraction: float, seed: int, *, split: Literal["val", "test"]
) -> tuple[CocoSplit, CocoSplit]:
    """Splits a seeded share of the images off; of those with persons and of those without, the same share.

    Args:
        train: All images; the first category is ``person``, and every annotation has a ``category_id``.
        fraction: Share of the images to split off, between 0 and 1.
        seed: Of the choice.
        split: What is split off, for messages.

    Returns:
        The rest, and what was split off, both with an image with persons at least.

    Raises:
        DataError: Fewer than two images have persons, or an id is none.
    """
    images, entries = train.data["images"], train.data["annotations"]
    person = train.data["categories"][0]["id"]
    try:
        ids = np.array([integer(image, "id", f"images[{number}]") for number, image in enumerate(images)], np.int64)
        owners = [integer(entry, "image_id", f"annotations[{number}]") for number, entry in enumerate(entries)]
    except DataError as error:
        raise DataError(f"{train.source}: {error}") from None
    is_person = [
        entry["category_id"] == person and not entry.get("iscrowd") and bool(entry.get("segmentation"))
        for entry in entries
    ]
    if not any(is_person):  # where all are crowd regions, which the checks of the whole file will say more about
        is_person = [entry["category_id"] == person for entry in entries]
    has_person = np.isin(ids, [owner for owner, counts in zip(owners, is_person, strict=True) if counts])
    if has_person.sum() < 2:
        raise DataError(
            f"{train.source}: {has_person.sum()} of {len(ids)} images have persons, at least 2 are needed for a "
            f"{split} split; give more images, or --{split}_fraction 0 to do without"
        )
    rng = np.random.default_rng(seed)
    with_person, without = rng.permutation(ids[has_person]), rng.permutation(ids[~has_person])
    count = min(max(1, round(fraction * len(with_person))), len(with_person) - 1)
    chosen = {*with_person[:count].tolist(), *without[: round(fraction * len(without))].tolist()}
    parts: list[CocoSplit] = []
    for wanted in (False, True):
        data = {
            **train.data,
            "images": [image for image in images if (image["id"] in chosen) is wanted],
            "annotations": [entry for entry, owner in zip(entries, owners, strict=True) if (owner in chosen) is wanted],
        }
        parts.append(train._replace(data=data))
    return parts[0], parts[1]
