"""Images and annotations as training samples, and samples as batches."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from human_edge_detection.data.annotations.coco import AnnotatedImage, AnnotationSet
from human_edge_detection.data.annotations.polygons_and_rle import PlacedMask, decode_inside_box
from human_edge_detection.data.images.read import read_image, resampling_window
from human_edge_detection.data.views.augment import draw_view, jitter_boxes, sample_seed
from human_edge_detection.data.views.changes import transforms_in_words, view_in_words
from human_edge_detection.data.views.copy_paste import CopyPaste
from human_edge_detection.data.views.pipeline import Pipeline, Transformed, tight_box
from human_edge_detection.data.views.view import PeopleInView, view_images
from human_edge_detection.data.views.warp import scaling
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_detection.structures import (
    BACKGROUND,
    CLASS_NAMES,
    IGNORE,
    NON_TARGET,
    TARGET,
    Batch,
    Labelled,
    SegmentationOutput,
)
from human_edge_prediction.boxes import fit_boxes
from human_edge_prediction.resampling import resize


class Sample(NamedTuple):
    """One image with its n persons.

    Attributes:
        image: ``(3, IH, IW)`` uint8 RGB.
        boxes: ``(n, 4)`` float32, x1, y1, x2, y2 as fractions of the image.
        roi_masks: ``(n, H, W)`` uint8, see :class:`~human_edge_detection.structures.Batch`.
        person_mask: ``(IH, IW)`` uint8.
        image_id: Image id of the annotation file.
        annotation_ids: The n annotation ids.
        person_boxes: ``(P, 4)`` float32 as ``boxes``: of every person that is visible, as the annotation has it.
        teacher_image: ``(3, TH, TW)``, the same view as ``image`` with more detail; None: nobody wants it.
        matrix: ``(3, 3)``, affine, from pixels of the image file (pixel i covers i to i + 1) to fractions of the view.
        soft_labels: By head, see :data:`SoftLabelSource`; None: none is stored.
        labelled: The annotations speak of it; else its masks are 255 everywhere and ``person_boxes`` are empty.
        pasted: ``(IH, IW)`` uint8, 1 where a person that was pasted into the image covers it; None: nobody was.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    roi_masks: NDArray[np.uint8]
    person_mask: NDArray[np.uint8]
    image_id: int
    annotation_ids: tuple[int, ...]
    person_boxes: NDArray[np.float32]
    teacher_image: NDArray[np.uint8] | None = None
    matrix: NDArray[np.float64] | None = None
    soft_labels: Mapping[str, NDArray[np.float16]] | None = None
    labelled: bool = True
    pasted: NDArray[np.uint8] | None = None


SoftLabelSource = Callable[[int, int, Sample], Mapping[str, NDArray[np.float16]]]
"""(view, index, what is known of the sample) -> a teacher's logits by head: ``(n, C, H, W)``, ``(1, ...)`` for the
image; NaN in all classes of a position where the teacher says nothing."""


class Scene(NamedTuple):
    """An image at its own resolution, H x W, with what is where on it.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        persons: P masks inside their boxes; persons may overlap.
        ignored: ``(H, W)`` uint8, 1 in a crowd region, and on an image that is not exhaustively labelled outside every
            person's box; a person wins over it.
    """

    image: NDArray[np.uint8]
    persons: tuple[PlacedMask, ...]
    ignored: NDArray[np.uint8]


class PersonDataset(Dataset[Sample]):
    """Samples by ``(epoch, index)``: equal keys give equal samples, in any process and in any order."""

    def __init__(
        self,
        people: AnnotationSet,
        *,
        image_size: tuple[int, int],
        mask_size: tuple[int, int],
        augmentation: AugmentationConfig | None,
        max_rois: int | None,
        seed: int,
        teacher_size: tuple[int, int] | None = None,
        cache_views: int | None = None,
        soft_labels: SoftLabelSource | None = None,
        labelled: bool = True,
        first_index: int = 0,
    ) -> None:
        """Reads no image yet.

        Args:
            people: Annotations from :func:`~human_edge_detection.data.annotations.coco.read_annotations`.
            image_size: Height and width that images are stretched to.
            mask_size: Height and width of roi masks.
            augmentation: Random changes, or None to take images and boxes as they are.
            max_rois: Most persons used of one image, drawn anew each epoch; None for all.
            seed: Seed of all randomness.
            teacher_size: Height and width at which a teacher wants to see the same views; None for no such teacher.
            cache_views: After so many epochs the same views come again; None for new ones in each epoch.
            soft_labels: A teacher's soft labels to the views, which become part of the samples.
            labelled: Whether the annotations are the truth; else they say where to look, and no sample has any truth.
            first_index: Of the first image, where others come before these.

        Raises:
            ConfigError: The file of ``augmentation.pipeline`` cannot be used.
            DataError: Persons are to be pasted, and there is none that can be.
        """
        self.people = people
        self.image_size = image_size
        self.mask_size = mask_size
        self.augmentation = augmentation
        self.max_rois = max_rois
        self.seed = seed
        self.teacher_size = teacher_size
        self.cache_views = cache_views
        self.soft_labels = soft_labels
        self.labelled = labelled
        self.first_index = first_index
        path = None if augmentation is None else augmentation.pipeline
        self.pipeline = None if path is None else Pipeline(Path(path))
        self._copy_paste = None
        if labelled and augmentation is not None and augmentation.copy_paste is not None:
            self._copy_paste = CopyPaste(people, augmentation.copy_paste, flip=augmentation.horizontal_flip)

    def __len__(self) -> int:
        return len(self.people.images)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The sample for ``key`` = (epoch, index).

        Raises:
            DataError: The image is missing, damaged, or of another size than its annotation says.
        """
        epoch, index = key
        view = epoch if self.cache_views is None else epoch % self.cache_views
        record = self.people.images[index - self.first_index]
        seed = sample_seed(self.seed, view, index)
        rng = np.random.default_rng(seed)
        if self.augmentation is None:
            sample = self._plain_sample(record, rng)
        elif self.pipeline is not None:
            sample = self._transformed_sample(record, self.pipeline, self.augmentation, rng)
        else:
            # Copy-paste has random numbers of its own, so that it changes no other.
            sample = self._augmented_sample(
                index - self.first_index, self.augmentation, rng, np.random.default_rng(seed.spawn(1)[0])
            )
        if not self.labelled:
            sample = _without_truth(sample)
        if self.soft_labels is None:
            return sample
        return sample._replace(soft_labels=self.soft_labels(view, index, sample))

    def changes(self, key: tuple[int, int]) -> tuple[str, ...]:
        """What augmentation does to the image of the sample ``key``, in words; the sample is not made.

        Raises:
            DataError: As for the sample.
        """
        epoch, index = key
        view = epoch if self.cache_views is None else epoch % self.cache_views
        record = self.people.images[index - self.first_index]
        rng = np.random.default_rng(sample_seed(self.seed, view, index))
        if self.augmentation is None:
            return ()
        if self.pipeline is None:
            size = (record.height, record.width)
            return view_in_words(draw_view(self.augmentation, size, rng), size)
        return transforms_in_words(_apply(self.pipeline, read_scene(self.people, record), rng, record).applied)

    def _plain_sample(self, record: AnnotatedImage, rng: np.random.Generator) -> Sample:
        """The image as it is: what scores are measured on."""
        scene = read_scene(self.people, record)
        boxes = np.array([person.box for person in record.persons], np.float32).reshape(-1, 4)
        chosen = self._choose(np.arange(len(boxes)), rng)
        return self._sample(
            record,
            [resize(scene.image, size) for size in self._sizes],
            boxes[chosen],
            roi_masks(scene, fit_boxes(boxes[chosen], scene.ignored.shape), chosen, self.mask_size),
            person_mask(scene, self.image_size),
            [person.id for person in record.persons],
            chosen,
            boxes,
            scaling(1 / record.width, 1 / record.height),
        )

    def _augmented_sample(
        self,
        index: int,
        augmentation: AugmentationConfig,
        rng: np.random.Generator,
        copy_paste_rng: np.random.Generator,
    ) -> Sample:
        """A random view of an image; boxes are in pixels of a view that is as large as the image."""
        record = self.people.images[index]
        size = (record.height, record.width)
        view = draw_view(augmentation, size, rng)
        pasted = () if self._copy_paste is None else self._copy_paste.draw(index, view.matrix, copy_paste_rng)
        shown = PeopleInView(record, view.matrix, [person.shape for person in pasted])
        boxes = (shown.boxes * _extent(size)).astype(np.float32)
        visible = np.flatnonzero(boxes[:, 2] > 0)
        everyone, chosen = boxes[visible], self._choose(visible, rng)
        boxes = jitter_boxes(boxes[chosen], augmentation.box_jitter, size, rng)
        sample = self._sample(
            record,
            view_images(self.people, record, view, self._sizes, pasted),
            boxes,
            shown.roi_masks(boxes / _extent(size), chosen, self.mask_size),
            shown.person_mask(self.image_size),
            [annotation.id for annotation in record.persons] + [person.annotation_id for person in pasted],
            chosen,
            everyone,
            view.matrix,
        )
        return sample._replace(pasted=shown.pasted_mask(self.image_size)) if pasted else sample

    def _transformed_sample(
        self, record: AnnotatedImage, pipeline: Pipeline, augmentation: AugmentationConfig, rng: np.random.Generator
    ) -> Sample:
        """A view by ``pipeline``, resampled as the image itself would be; the changed masks decide the boxes."""
        made = _apply(pipeline, read_scene(self.people, record), rng, record)
        persons = tuple(_placed(mask) for mask in made.masks[:-1])
        scene = Scene(made.image, persons, np.asarray(made.masks[-1] | (1 - made.inside), np.uint8))
        size = (scene.ignored.shape[0], scene.ignored.shape[1])
        boxes = np.array([_placed_box(person) for person in scene.persons], np.float32).reshape(-1, 4)
        visible = np.flatnonzero(boxes[:, 2] > boxes[:, 0])
        everyone, chosen = boxes[visible], self._choose(visible, rng)
        boxes = jitter_boxes(boxes[chosen], augmentation.box_jitter, size, rng)
        return self._sample(
            record,
            [resize(scene.image, wanted) for wanted in self._sizes],
            boxes,
            roi_masks(scene, boxes, chosen, self.mask_size),
            person_mask(scene, self.image_size),
            [person.id for person in record.persons],
            chosen,
            everyone,
            None,
            size,
        )

    @property
    def _sizes(self) -> list[tuple[int, int]]:
        return [self.image_size] if self.teacher_size is None else [self.image_size, self.teacher_size]

    def _choose(self, visible: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
        if self.max_rois is None or len(visible) <= self.max_rois:
            return visible
        return np.sort(rng.permutation(visible)[: self.max_rois])

    def _sample(
        self,
        record: AnnotatedImage,
        images: list[NDArray[np.uint8]],
        boxes: NDArray[np.float32],
        masks: NDArray[np.uint8],
        people: NDArray[np.uint8],
        ids: Sequence[int],
        chosen: NDArray[np.intp],
        everyone: NDArray[np.float32],
        matrix: NDArray[np.float64] | None,
        size: tuple[int, int] | None = None,
    ) -> Sample:
        """Boxes are in pixels of a view of ``size`` (height, width); None: of the image file's."""
        extent = _extent(size or (record.height, record.width))
        return Sample(
            image=_planes(images[0]),
            boxes=(boxes / extent).astype(np.float32),
            roi_masks=masks,
            person_mask=people,
            image_id=record.id,
            annotation_ids=tuple(ids[number] for number in chosen.tolist()),
            person_boxes=(everyone / extent).astype(np.float32),
            teacher_image=_planes(images[1]) if len(images) > 1 else None,
            matrix=matrix,
        )


def _without_truth(sample: Sample) -> Sample:
    return sample._replace(
        roi_masks=np.full_like(sample.roi_masks, IGNORE),
        person_mask=np.full_like(sample.person_mask, IGNORE),
        person_boxes=sample.person_boxes[:0],
        labelled=False,
    )


def _extent(size: tuple[int, int]) -> NDArray[np.float64]:
    """What x1, y1, x2, y2 in pixels are fractions of, when all is of ``size`` (height, width)."""
    return np.array([size[1], size[0], size[1], size[0]], np.float64)


def _planes(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(H, W, 3)`` as ``(3, H, W)``."""
    return np.stack([np.asarray(channel, np.uint8) for channel in cv2.split(image)])


def read_scene(people: AnnotationSet, record: AnnotatedImage) -> Scene:
    """The image and its masks, at its own resolution.

    Raises:
        DataError: The image is missing, damaged, or of another size than its annotation says.
    """
    height, width = record.height, record.width
    image = read_image(people.images_dir / record.file_name, (height, width))
    persons = tuple(decode_inside_box(person.segmentation, height, width) for person in record.persons)
    ignored = _unknown(record)
    for crowd in record.crowds:
        decode_inside_box(crowd.segmentation, height, width).add_to(ignored)
    return Scene(image, persons, ignored)


def _apply(pipeline: Pipeline, scene: Scene, rng: np.random.Generator, record: AnnotatedImage) -> Transformed:
    """The image with the masks of its persons, who may become empty, and of what is ignored."""
    whole = slice(0, record.height), slice(0, record.width)
    masks = np.stack([*(person.within(*whole) for person in scene.persons), scene.ignored])
    try:
        return pipeline.apply(scene.image, masks, rng)
    except DataError as error:
        raise DataError(f"{record.file_name} ({record.width} x {record.height}): {error}") from error


def _placed(mask: NDArray[np.uint8]) -> PlacedMask:
    x1, y1, x2, y2 = tight_box(mask)
    return PlacedMask(mask[y1:y2, x1:x2], y1, x1)


def _placed_box(person: PlacedMask) -> tuple[int, int, int, int]:
    """``x1, y1, x2, y2`` in pixels."""
    height, width = person.mask.shape
    return person.left, person.top, person.left + width, person.top + height


def _unknown(record: AnnotatedImage) -> NDArray[np.uint8]:
    """``(H, W)``: 1 outside of the boxes beyond which there may be persons that are not annotated."""
    if record.known_boxes is None:
        return np.zeros((record.height, record.width), np.uint8)
    unknown = np.ones((record.height, record.width), np.uint8)
    for x1, y1, x2, y2 in record.known_boxes:
        unknown[y1:y2, x1:x2] = 0
    return unknown


def roi_masks(
    scene: Scene, boxes: NDArray[np.float32], targets: NDArray[np.intp], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """What is where in each box, as the person ``targets[i]`` of box ``i`` sees it.

    Args:
        scene: The image.
        boxes: ``(n, 4)`` in pixels, inside the image, each side at least a pixel.
        targets: ``(n,)`` numbers of persons of the scene.
        size: Height and width of a mask.

    Returns:
        ``(n, height, width)`` uint8: 0 background, 1 the target, 2 other people, 255 ignore. A target wins over others
        that it overlaps, a person over what is ignored.
    """
    masks = np.full((len(boxes), *size), BACKGROUND, np.uint8)
    anyone, ignored = _coverage(scene)
    for mask, box, number in zip(masks, boxes, targets, strict=True):
        window = resampling_window(box, anyone.shape, size)
        rows, columns = window.rows, window.columns
        planes = [anyone[rows, columns], ignored[rows, columns], scene.persons[number].within(rows, columns)]
        person, nothing, target = window.resample(np.stack(planes))
        mask[nothing >= 0.5] = IGNORE
        mask[person >= 0.5] = NON_TARGET
        mask[(person >= 0.5) & (target >= person / 2)] = TARGET
    return masks


def person_mask(scene: Scene, size: tuple[int, int]) -> NDArray[np.uint8]:
    """``size`` uint8: 1 any person, 0 nobody, 255 ignore."""
    anyone, ignored = _coverage(scene)
    mask = np.zeros(size, np.uint8)
    mask[resize(ignored.astype(np.float32), size) >= 0.5] = IGNORE
    mask[resize(anyone.astype(np.float32), size) >= 0.5] = 1
    return mask


def _coverage(scene: Scene) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where anyone is, and where nobody is and the pixel does not count."""
    anyone = np.zeros(scene.ignored.shape, bool)
    for person in scene.persons:
        person.add_to(anyone)
    return anyone, scene.ignored.astype(bool) & ~anyone


def collate(samples: Sequence[Sample]) -> Batch:
    """One batch of the samples, in their order; with no person at all, N is 0."""
    counts = [len(sample.boxes) for sample in samples]
    owners = np.repeat(np.arange(len(samples), dtype=np.float32), counts)[:, None]
    rois = np.concatenate([owners, np.concatenate([sample.boxes for sample in samples])], axis=1)
    teacher_images = [sample.teacher_image for sample in samples if sample.teacher_image is not None]
    return Batch(
        images=torch.from_numpy(np.stack([sample.image for sample in samples])),
        rois=torch.from_numpy(rois.astype(np.float32)),
        roi_masks=torch.from_numpy(np.concatenate([sample.roi_masks for sample in samples])),
        person_masks=torch.from_numpy(np.stack([sample.person_mask for sample in samples])),
        image_ids=tuple(sample.image_id for sample in samples),
        annotation_ids=tuple(number for sample in samples for number in sample.annotation_ids),
        person_boxes=torch.from_numpy(_padded([sample.person_boxes for sample in samples])),
        teacher_images=torch.from_numpy(np.stack(teacher_images)) if teacher_images else None,
        soft_labels=_collate_soft_labels([sample.soft_labels for sample in samples]),
        labelled=_labelled(samples, counts),
    )


def _labelled(samples: Sequence[Sample], counts: Sequence[int]) -> Labelled | None:
    """What of a batch has a truth; ``counts`` are the rois of each sample."""
    images = np.array([sample.labelled for sample in samples])
    if images.all():
        return None
    return Labelled(*(torch.from_numpy(np.flatnonzero(each)) for each in (images, np.repeat(images, counts))))


def _padded(boxes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """``(B, P, 4)``: the boxes of B images, with zeros up to the most of an image, at least 1."""
    padded = np.zeros((len(boxes), max(1, *map(len, boxes)), 4), np.float32)
    for row, of_image in zip(padded, boxes, strict=True):
        row[: len(of_image)] = of_image
    return padded


def _collate_soft_labels(outputs: Sequence[Mapping[str, NDArray[np.float16]] | None]) -> SegmentationOutput | None:
    stored = [output for output in outputs if output is not None]
    if not stored:
        return None
    heads = {head: torch.from_numpy(np.concatenate([output[head] for output in stored])) for head in stored[0]}
    # A source that cannot speak for the main head has none of it, as a batch without rois.
    return SegmentationOutput(heads.pop("logits", torch.empty(0, len(CLASS_NAMES), 1, 1)), heads)
