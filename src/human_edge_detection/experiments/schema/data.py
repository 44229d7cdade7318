"""The data section: images, annotations, augmentation, and the embedded sample data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from human_edge_detection.experiments.schema.base import BY_CONTENT, NO_EFFECT, Fraction, Section, Size

DRAWN_VERSION: Final = 1
"""Of the drawn images. Raise it when they change, so that older data are not taken for data of this version."""


class SampleDataConfig(Section):
    """The embedded sample data: images of people drawn by this package, the same for the same seed."""

    train_images: int = Field(96, ge=4, le=10_000)
    """Images drawn for training."""
    val_images: int = Field(32, ge=2, le=10_000)
    """Images drawn for validation."""
    image_size: Size = (240, 320)
    """Of the drawn images, pixels; training resizes them to ``model.image_size``."""
    seed: int = Field(0, ge=0)
    """Another one draws other images."""
    test_images: int | None = Field(None, ge=2, le=10_000, json_schema_extra=NO_EFFECT)
    """Images drawn for a test split, on which nothing is trained or chosen; null: none."""


class CopyPasteConfig(Section):
    """Persons of other training images are pasted beside or partly over the persons of an image, about as large.

    So each of the two is a non-target in the roi of the other. Ghiasi et al., arXiv:2012.07177.
    """

    probability: Fraction = 0.5
    """Of an image into which somebody is pasted."""
    max_persons: int = Field(2, ge=1, le=10)
    """Most persons that are pasted into an image; their number is drawn from 1 on."""
    scale: tuple[Annotated[float, Field(gt=0.1, le=4.0)], Annotated[float, Field(gt=0.1, le=4.0)]] = (0.6, 1.4)
    """Smallest and largest size of a pasted person, relative to the person beside which it is pasted; in an image
    without persons, to its size in its own image."""


class AugmentationConfig(Section):
    """Random changes of a training image; a function of (seed, epoch, sample index) and nothing else."""

    horizontal_flip: Fraction = 0.5
    """Probability of a mirrored image."""
    scale: tuple[Annotated[float, Field(gt=0.1, le=4.0)], Annotated[float, Field(gt=0.1, le=4.0)]] = (0.8, 1.25)
    """Smallest and largest zoom of the whole image."""
    translate: Fraction = 0.1
    """Largest shift, as a fraction of the image."""
    rotate: float = Field(10.0, ge=0.0, le=180.0, description="Largest rotation, degrees.")
    color: Fraction = 0.2
    """Strength of brightness, contrast, saturation and (a fifth of it) hue changes."""
    blur: Fraction = 0.1
    """Probability of a light Gaussian blur."""
    box_jitter: float = Field(0.1, ge=0.0, le=0.5, description="Largest shift of a box side, fraction of the box.")
    copy_paste: CopyPasteConfig | None = None
    """Paste persons of other training images; null: nobody."""
    pipeline: str | None = Field(None, json_schema_extra=BY_CONTENT)
    """File of an albumentations pipeline (YAML or JSON of ``A.save``), which makes the views in the place of all
    fields above but ``box_jitter``; see docs/how_to/augment.md. Needs the extra ``albumentations``."""

    def disagreements(self) -> Iterator[str]:
        """Every rule that concerns more than one field, as ``path: problem``."""
        ranges = {"scale": self.scale}
        if self.copy_paste is not None:
            ranges["copy_paste.scale"] = self.copy_paste.scale
        for name, (smallest, largest) in ranges.items():
            if smallest > largest:
                yield f"data.augmentation.{name}: smallest above largest, got {[smallest, largest]}"
        if self.copy_paste is not None and self.pipeline is not None:
            yield "data.augmentation.copy_paste: is for built-in views, which pipeline replaces; give one of them"

    @property
    def unused(self) -> Iterator[str]:
        """Fields with another value than their default that take part in nothing, given the other fields."""
        if self.pipeline is not None:
            fields = type(self).model_fields
            yield from (name for name in _BUILT_IN if getattr(self, name) != fields[name].default)


_BUILT_IN: Final = ("horizontal_flip", "scale", "translate", "rotate", "color", "blur")
"""Fields of the views that are made without a pipeline."""


OWN_BOXES: Final = "teacher"
"""For ``data.unlabelled.boxes``: what the teacher's detector finds."""


class UnlabelledConfig(Section):
    """Images without labels, which only the teacher speaks about; some of them are mixed into each epoch."""

    images: str = Field(min_length=1, json_schema_extra=BY_CONTENT)
    """Folder of image files, those in folders below it included."""
    boxes: str | None = Field(OWN_BOXES, min_length=1, json_schema_extra=BY_CONTENT)
    """Where persons are on them: ``teacher``, whose detector is asked once; a file of COCO results or annotations, or
    ``{"image.jpg": [[x1, y1, x2, y2], ...]}``; null: nowhere, and only heads of the whole image are taught."""
    ratio: float = Field(0.5, gt=0.0, le=100.0)
    """Of these images in an epoch for each labelled one, at most all of them; each comes before one comes again."""
    confidence: float = Field(0.8, ge=0.0, lt=1.0)
    """Pixels where the teacher is less sure of its likeliest class do not count in terms of logits, as no truth beside
    it would set it right; 0: all do. Where ``distillation.confidence_threshold`` is larger, that counts."""
    min_score: Fraction = 0.3
    """A box with a smaller score is left out; one without a score is used."""


class DataConfig(Section):
    """Where the images and their annotations are. Give ``root`` or the four paths."""

    root: str | None = Field(None, json_schema_extra=BY_CONTENT)
    """Folder with ``annotations/`` and ``images/`` (or COCO's own layout)."""
    train_ann: str | None = Field(None, json_schema_extra=BY_CONTENT)
    val_ann: str | None = Field(None, json_schema_extra=BY_CONTENT)
    train_images: str | None = Field(None, json_schema_extra=BY_CONTENT)
    val_images: str | None = Field(None, json_schema_extra=BY_CONTENT)
    sample: SampleDataConfig | None = None
    """Make the embedded sample data and train on it."""
    max_train_images: int | None = Field(None, ge=1)
    """Train on so many images only, drawn at random with ``training.seed``; null: on all. Validation uses all."""
    max_rois_per_image: int = Field(10, ge=1, le=100)
    """Persons used of one training image, drawn anew each epoch; validation uses all."""
    augmentation: AugmentationConfig | None = AugmentationConfig()
    cache_views: int | None = Field(None, ge=1, le=9999)
    """The training images look the same again after so many epochs; null: never. A teacher's soft labels can be stored
    only for views that repeat."""
    num_workers: int | None = Field(None, ge=0, le=64, json_schema_extra=NO_EFFECT)
    """Processes that load images; null: 1 on a CPU, on a GPU one less than there are cores and 12 at most."""
    on_bad_sample: Literal["error", "skip"] = "error"
    """What an image that cannot be used does: stop the run before its first step, or be left out and listed."""
    terms: str | None = Field(None, min_length=1, max_length=1000, json_schema_extra=NO_EFFECT)
    """What may be done with the images and what is made of them, in words, for the card of the exported model."""
    unlabelled: UnlabelledConfig | None = None
    """Images that only the teacher speaks about, beside the labelled ones."""
    test_ann: str | None = Field(None, json_schema_extra=NO_EFFECT)
    """Null: those of ``root``, where it has a test split."""
    test_images: str | None = Field(None, json_schema_extra=NO_EFFECT)

    def disagreements(self) -> Iterator[str]:
        """Every rule that concerns more than one field, as ``path: problem``."""
        paths = [self.train_ann, self.val_ann, self.train_images, self.val_images]
        if any(paths) and not all(paths):
            yield "data: give all of train_ann, val_ann, train_images, val_images, or root"
        if sum([bool(self.root), any(paths), self.sample is not None]) > 1:
            yield "data: give one of root, the four paths, or sample"
        if bool(self.test_ann) != bool(self.test_images):
            yield "data: give both test_ann and test_images, or neither"
        if self.test_ann and self.sample is not None and self.sample.test_images is not None:
            yield "data: give one test split, test_ann with test_images or sample.test_images"
        if self.augmentation is not None:
            yield from self.augmentation.disagreements()
