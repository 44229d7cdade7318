"""An experiment made small: same networks, losses, optimizer and data, a few images and two epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from human_edge_detection.data.annotations.coco import AnnotationSet, read_json
from human_edge_detection.data.annotations.columns import AnnotatedImages
from human_edge_detection.engine.build import read_splits
from human_edge_detection.experiments.registry import DEFAULT_NAME
from human_edge_detection.experiments.schema.data import SampleDataConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.write import write_json

EPOCHS: Final = 2
STEPS_PER_EPOCH: Final = 4
_VALIDATION_IMAGES: Final = 4
_MINUTES: Final = 1e-6
"""Between two checkpoints: every step is saved."""


def make_small(config: ExperimentConfig, folder: Path) -> ExperimentConfig:
    """``config`` with two epochs of about four updates, saved after every one.

    Args:
        config: Its dependencies resolved to paths.
        folder: Takes the annotations of the chosen images, which stay where they are.

    Raises:
        DataError: The data cannot be used.
        StorageError: ``folder`` cannot be written.
    """
    training = {"epochs": EPOCHS, "segments": None, "checkpoint_minutes": _MINUTES, "visualize_images": 0}
    return derive(config, name=config.name, data=_little_data(config, folder), training=training)


def as_config_file(config: ExperimentConfig) -> dict[str, Any]:
    """``config`` whole as the content of a ``--config_file``; the base is only a form, as every field is given."""
    fields = config.model_dump(mode="json", exclude={"name", "description", "schema_version"})
    return {"base": DEFAULT_NAME, "name": config.name, **fields}


def subset(people: AnnotationSet, count: int) -> dict[str, Any]:
    """The COCO content of ``people.file`` for ``count`` of its images, evenly spread, with people if possible.

    Raises:
        DataError: The file has changed and is no longer COCO.
    """
    data = read_json(people.file, people.file.read_bytes())
    chosen = {*_choose(people.images, count).ids.tolist()}
    images = [image for image in data["images"] if image["id"] in chosen]
    annotations = [annotation for annotation in data["annotations"] if annotation.get("image_id") in chosen]
    return {"images": images, "annotations": annotations, "categories": data["categories"]}


def _little_data(config: ExperimentConfig, folder: Path) -> dict[str, Any]:
    training = config.training
    train_count = STEPS_PER_EPOCH * training.batch_size * training.accumulation_steps
    if config.data.sample is not None:
        return {"sample": _little_sample(config.data.sample, train_count)}
    fields: dict[str, Any] = {"root": None}
    splits = read_splits(config.data, folder, seed=training.seed)
    for split, people, count in (("train", splits.train, train_count), ("val", splits.val, _VALIDATION_IMAGES)):
        file = folder / "annotations" / f"instances_{split}.json"
        write_json(file, subset(people, count))
        fields |= {f"{split}_ann": str(file), f"{split}_images": str(people.images_dir)}
    return fields


def _little_sample(sample: SampleDataConfig, train_count: int) -> dict[str, int]:
    return {
        "train_images": min(max(train_count, 4), sample.train_images),
        "val_images": min(_VALIDATION_IMAGES, sample.val_images),
    }


def _choose(records: AnnotatedImages, count: int) -> AnnotatedImages:
    """Evenly spread, as files of one source often stand together; those without people come last."""
    counts = records.person_counts
    with_people, without = np.flatnonzero(counts), np.flatnonzero(counts == 0)
    if len(with_people) < count:
        return records.select(np.concatenate([with_people, without[: count - len(with_people)]]))
    return records.select(with_people[np.arange(count) * len(with_people) // count])
