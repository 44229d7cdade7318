"""What is known of images without labels before a run starts: how many an epoch has, and who says where to look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from human_edge_detection.errors import ConfigError, DataError
from human_edge_detection.experiments.schema.data import OWN_BOXES, DataConfig, UnlabelledConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.data_folder import find_splits
from human_edge_detection.files.image_folder import image_files_below, listing_digest
from human_edge_detection.files.read import file_sha256
from human_edge_detection.runs.checkpoint_config import config_in_checkpoint

_MAX_COUNTED_BYTES: Final = 1 << 26
"""Of an annotation file whose images are counted for a line of words; a larger one takes seconds to read."""


def check_own_boxes(config: ExperimentConfig, *, planned: ExperimentConfig | None = None) -> None:
    """Refuses a teacher without a detector where its own is to say where persons are on images without labels.

    Args:
        config: The run's, with the path of its teacher where that is known.
        planned: The experiment that trains the teacher first; its checkpoint need not exist yet.

    Raises:
        ConfigError: It has none.
        CheckpointError: The teacher's checkpoint cannot be read.
    """
    section, distillation = config.data.unlabelled, config.distillation
    if section is None or section.boxes != OWN_BOXES or distillation is None or distillation.soft_labels is not None:
        return
    if planned is not None:
        teachers = [planned]
    else:
        teachers = [config_in_checkpoint(path) for path in distillation.teacher_paths if path.is_file()]
    if teachers and not any(teacher.model.detector for teacher in teachers):
        names = ", ".join(teacher.name for teacher in teachers)
        raise ConfigError(
            f"data.unlabelled.boxes: the teacher ({names}) has no detector to find persons; give a file of boxes, a "
            "teacher with model.detector, or null for none"
        )


def epoch_in_words(data: DataConfig) -> str | None:
    """How many images an epoch has, labelled and not; None where all are labelled."""
    section = data.unlabelled
    if section is None:
        return None
    there, labelled = len(image_files_below(Path(section.images))), _count_labelled(data)
    found = f"images without labels: {section.images}, {there} images, {_boxes_in_words(section)}"
    if labelled is None:
        return f"{found}; an epoch has {section.ratio:g} of them for each labelled image, at most all"
    drawn = min(max(round(section.ratio * labelled), 1), there)
    return f"{found}; an epoch has {labelled + drawn} images: {labelled} labelled and {drawn} of these"


def contents_of(data: DataConfig) -> str | None:
    """Tells what lies in the folder of images without labels, and whose boxes are on them; None: there are none."""
    section = data.unlabelled
    if section is None:
        return None
    boxes = section.boxes
    if boxes is not None and boxes != OWN_BOXES:
        boxes = file_sha256(Path(boxes))
    return f"{listing_digest(Path(section.images))} {boxes}"


def _boxes_in_words(section: UnlabelledConfig) -> str:
    if section.boxes is None:
        return "no boxes"
    return "boxes of the teacher's detector" if section.boxes == OWN_BOXES else f"boxes of {section.boxes}"


def _count_labelled(data: DataConfig) -> int | None:
    """Training images, those that may yet be left out included; None where it takes long to count them."""
    if data.sample is not None:
        count = data.sample.train_images
    else:
        try:
            file = Path(data.train_ann) if data.train_ann else find_splits(Path(data.root or ""))[0].annotations
            if file.stat().st_size > _MAX_COUNTED_BYTES:
                return None
            count = len(json.loads(file.read_bytes())["images"])
        except (OSError, ValueError, LookupError, TypeError, DataError):
            return None
    return count if data.max_train_images is None else min(count, data.max_train_images)
