"""Training samples as the field makes them: what ours are compared with. Nothing here is fast on purpose, nothing slow.

``cv2.imread``, ``coco.annToMask`` for every person, one ``A.Compose`` over image and masks, boxes from the masks, crops
of the masks with ``cv2.resize``. :func:`exact_sample` is how this project made them until 2026-11-21: the same library
on the same full-size masks, then averages over exact areas instead of OpenCV's nearest pixel.
"""

import random
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO

from human_edge_detection.data.annotations.coco import AnnotationSet
from human_edge_detection.data.annotations.polygons_and_rle import PlacedMask
from human_edge_detection.data.dataset import Scene, person_mask, read_scene, roi_masks
from human_edge_detection.data.views.augment import FILL_COLOR
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_prediction.boxes import fit_boxes
from human_edge_prediction.resampling import resize

Array = NDArray[Any]


def changes(augmentation: AugmentationConfig) -> list[A.BasicTransform]:
    """The random changes of the project's configs, in albumentations."""
    color = augmentation.color
    return [
        A.HorizontalFlip(p=augmentation.horizontal_flip),
        A.Affine(
            scale=augmentation.scale,
            translate_percent=(-augmentation.translate, augmentation.translate),
            rotate=(-augmentation.rotate, augmentation.rotate),
            keep_ratio=True,
            fill=FILL_COLOR,
            p=1.0,
        ),
        A.ColorJitter(
            (1 - color, 1 + color), (1 - color, 1 + color), (1 - color, 1 + color), (-color / 5, color / 5), p=1
        ),
        A.GaussianBlur(sigma_limit=(0.3, 1.2), p=augmentation.blur),
    ]


class PlainData:
    """Samples by image id: image tensor, boxes, roi masks, mask of all persons."""

    def __init__(
        self,
        annotations: Path,
        images: Path,
        *,
        image_size: tuple[int, int],
        mask_size: tuple[int, int],
        max_rois: int,
        resize_first: bool,
    ) -> None:
        """``resize_first`` shrinks image and masks before all else: quicker, but small persons lose shape."""
        self.coco, self.images = COCO(str(annotations)), images
        self.image_size, self.mask_size, self.max_rois = image_size, mask_size, max_rois
        first = [A.Resize(*image_size)] if resize_first else []
        self.transform = A.Compose([*first, *changes(AugmentationConfig())])

    def sample(self, image_id: int) -> tuple[torch.Tensor, Array, Array, Array]:
        stored = cv2.imread(str(self.images / self.coco.imgs[image_id]["file_name"]))
        assert stored is not None
        image = cv2.cvtColor(stored, cv2.COLOR_BGR2RGB)
        annotations = self.coco.loadAnns(self.coco.getAnnIds(imgIds=image_id))
        masks = [self.coco.annToMask(annotation) for annotation in annotations if not annotation["iscrowd"]]
        counted = np.ones(image.shape[:2], np.uint8)
        for crowd in (annotation for annotation in annotations if annotation["iscrowd"]):
            counted[self.coco.annToMask(crowd) > 0] = 0
        changed = self.transform(image=image, masks=[*masks, counted])
        image, (*masks, counted) = changed["image"], changed["masks"]
        height, width = counted.shape
        people = np.where(counted > 0, 0, 255).astype(np.uint8)
        for mask in masks:
            people[mask > 0] = 1
        boxes, rois = [], []
        visible = [number for number, mask in enumerate(masks) if mask.any()]
        for number in random.sample(visible, min(len(visible), self.max_rois)):
            rows, columns = np.where(masks[number])
            box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float32)
            box += np.random.uniform(-0.1, 0.1, 4) * np.tile(box[2:] - box[:2], 2)
            boxes.append(fit_boxes(box[None].astype(np.float32), (height, width))[0])
            x1, y1, x2, y2 = boxes[-1].round().astype(int)
            labels = np.where(people == 1, 2, people)
            labels[masks[number] > 0] = 1
            part = labels[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
            rois.append(cv2.resize(part, self.mask_size[::-1], interpolation=cv2.INTER_NEAREST))
        people = np.asarray(cv2.resize(people, self.image_size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
        tensor = torch.from_numpy(cv2.resize(image, self.image_size[::-1])).permute(2, 0, 1).float() / 255
        return tensor, np.reshape(boxes, (-1, 4)) / np.array([width, height, width, height]), np.array(rois), people


def exact_sample(
    people: AnnotationSet,
    index: int,
    transform: A.Compose,
    *,
    image_size: tuple[int, int],
    mask_size: tuple[int, int],
    max_rois: int,
) -> tuple[Array, Array, Array]:
    """Image, roi masks and mask of all persons, through full-size masks and exact areas."""
    scene = read_scene(people, people.images[index])
    whole = [np.zeros(scene.ignored.shape, np.uint8) for _ in scene.persons]
    for plane, person in zip(whole, scene.persons, strict=True):
        person.add_to(plane)
    changed = transform(image=scene.image, masks=[*whole, 1 - scene.ignored])
    *whole, counted = changed["masks"]
    scene = Scene(changed["image"], tuple(PlacedMask(mask, 0, 0) for mask in whole), 1 - counted)
    visible = [number for number, mask in enumerate(whole) if mask.any()]
    chosen = np.array(random.sample(visible, min(len(visible), max_rois)), np.intp)
    boxes = np.zeros((len(chosen), 4), np.float32)
    for box, number in zip(boxes, chosen, strict=True):
        mask = whole[number]
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    image = np.ascontiguousarray((resize(scene.image, image_size).astype(np.float32) / 255).transpose(2, 0, 1))
    rois = roi_masks(scene, fit_boxes(boxes, scene.ignored.shape), chosen, mask_size)
    return image, rois, person_mask(scene, image_size)
