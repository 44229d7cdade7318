"""A figure of training views: what augmentation makes of some images, with the words of what was done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from human_edge_detection.data.annotations.annotation_set import draw_images
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset, Sample
from human_edge_detection.data.views.changes import jitter_in_words, ranges_in_words, transforms_in_words
from human_edge_detection.engine.build import build_training_set, build_validation_set, split_paths
from human_edge_detection.engine.evaluation.person_maps import paste_classes
from human_edge_detection.engine.evaluation.visualize import (
    FONT,
    GAP,
    PAPER,
    PERSONS,
    Pixels,
    resize,
    tint,
    write_text,
)
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.structures import IGNORE, TARGET

IMAGES: Final = 4
"""Rows of the figure."""
VIEWS: Final = 4
"""Columns beside the image as it is."""
_DRAWN: Final = 16
_PANEL_WIDTH: Final = 288
_CAPTION_SCALE: Final = 0.38
_LINE_HEIGHT: Final = 15
_MARGIN: Final = 4
_LEGEND: Final = (
    "outlined: a person that the model is asked about, in its box; darkened: ignored, as nobody knows what is there"
)


def draw_training_views(config: ExperimentConfig, sample_root: Path) -> Pixels:
    """The views that a training of ``config`` sees of some of its images in its first epochs.

    A row for each image: as validation would see it, then a view of each epoch, below each what was done to it. At
    the bottom stands what views are drawn from.

    Args:
        config: The experiment; it names its data.
        sample_root: Where drawn data are, or will be made.

    Returns:
        ``(height, width, 3)`` uint8 RGB.

    Raises:
        ConfigError: The file of a pipeline cannot be used.
        DataError: Annotations or an image that is drawn are missing or bad.
    """
    paths, _ = split_paths(_few(config.data), sample_root)
    people = read_annotations(*paths, skip_bad=config.data.on_bad_sample == "skip")
    people = draw_images(people, config.data.max_train_images, seed=config.training.seed)
    plain, views = build_validation_set(config.model, people), build_training_set(config, people)
    assert isinstance(views, PersonDataset)  # no images without labels are given
    # Spread over the file, images with persons first: neighbours are often frames of one video.
    with_persons = np.flatnonzero(people.images.person_counts)
    shown = with_persons if len(with_persons) else np.arange(len(people.images))
    picked = shown[np.unique(np.linspace(0, len(shown) - 1, IMAGES).round().astype(int))]
    rows = [_row(plain, views, index) for index in picked.tolist()]
    width = rows[0].shape[1]
    return np.concatenate([*rows, _text_block([_LEGEND, *_ranges(views)], width)])


def _few(data: DataConfig) -> DataConfig:
    """Of drawn images, which are drawn one after the other, no more than are shown."""
    if data.sample is None:
        return data
    few = {"train_images": min(data.sample.train_images, _DRAWN), "val_images": 2}
    return data.model_copy(update={"sample": data.sample.model_copy(update=few)})


def _row(plain: PersonDataset, views: PersonDataset, index: int) -> Pixels:
    """An image as it is and its views, side by side."""
    name = views.people.images[index].file_name
    panels: list[tuple[str, Sample, tuple[str, ...]]] = [(f"{name}, as it is", plain[(0, index)], ())]
    for epoch in range(VIEWS):
        sample = views[(epoch, index)]
        own = [person.id for person in views.people.images[index].persons]
        changes = [*views.changes((epoch, index)), *_persons_in_words(sample, own)]
        panels.append((f"epoch {epoch + 1}", sample, tuple(changes) or ("nothing changed",)))
    captions = [list(_wrapped([title, *words], _PANEL_WIDTH)) for title, _, words in panels]
    height = max(map(len, captions)) * _LINE_HEIGHT + 2 * _MARGIN
    columns = [
        np.concatenate([_panel(sample), _lines(caption, _PANEL_WIDTH, height)])
        for (_, sample, _), caption in zip(panels, captions, strict=True)
    ]
    gap = np.full((len(columns[0]), GAP, 3), PAPER, np.uint8)
    return np.concatenate([part for column in columns for part in (gap, column)], axis=1)


def _persons_in_words(sample: Sample, own: Sequence[int]) -> Iterator[str]:
    """Who is to be seen, beside the persons ``own`` that the annotations of the image have."""
    visible = len(sample.person_boxes)
    if sample.pasted is not None:
        pasted = sum(number not in own for number in sample.annotation_ids)
        yield f"pasted: {sample.pasted.mean():.0%} of the pixels, persons with a box: {pasted}"
    elif visible != len(own):
        yield f"{visible} persons are visible, {len(own)} are annotated"
    if len(sample.boxes) < visible:
        yield f"{len(sample.boxes)} of {visible} persons have a box"


def _panel(sample: Sample) -> Pixels:
    """A view in its colours, with persons outlined in their boxes and what is ignored darkened."""
    _, height, width = sample.image.shape
    size = (round(height * _PANEL_WIDTH / width), _PANEL_WIDTH)
    canvas = resize(np.ascontiguousarray(sample.image.transpose(1, 2, 0)), size, cv2.INTER_CUBIC)
    canvas[resize(sample.person_mask, size, cv2.INTER_NEAREST) == IGNORE] //= 3
    maps = paste_classes(sample.roi_masks, sample.boxes, size)
    for number, (classes, box) in enumerate(zip(maps, sample.boxes, strict=True)):
        colour = PERSONS[number % len(PERSONS)]
        person = classes == TARGET
        tint(canvas, person, colour, 0.25)
        outlines, _ = cv2.findContours(person.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, colour, 1, cv2.LINE_AA)
        x1, y1, x2, y2 = (int(side) for side in (box * [size[1] - 1, size[0] - 1, size[1] - 1, size[0] - 1]).round())
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, 1)
    return canvas


def _ranges(views: PersonDataset) -> list[str]:
    augmentation = views.augmentation
    if augmentation is None:
        return ["data.augmentation is null: views are the images as they are"]
    if views.pipeline is None:
        return ["views are drawn from (data.augmentation):", *ranges_in_words(augmentation)]
    words = transforms_in_words(views.pipeline.transforms)
    return [f"views are drawn by {views.pipeline.path.name}:", *words, jitter_in_words(augmentation)]


def _text_block(lines: Sequence[str], width: int) -> Pixels:
    wrapped = list(_wrapped(lines, width))
    return _lines(wrapped, width, len(wrapped) * _LINE_HEIGHT + 2 * _MARGIN)


def _wrapped(lines: Sequence[str], width: int) -> Iterator[str]:
    """Lines that fit into ``width`` pixels, broken between words."""
    for text in lines:
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}".lstrip()
            if line and cv2.getTextSize(longer, FONT, _CAPTION_SCALE, 1)[0][0] > width - 2 * _MARGIN:
                yield line
                longer = f"  {word}"
            line = longer
        yield line


def _lines(lines: Sequence[str], width: int, height: int) -> Pixels:
    canvas = np.full((height, width, 3), PAPER, np.uint8)
    for number, line in enumerate(lines, start=1):
        write_text(canvas, line, _MARGIN, number * _LINE_HEIGHT, scale=_CAPTION_SCALE)
    return canvas
