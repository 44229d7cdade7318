"""The heads of the model: one table, from which losses, distillation, soft labels, settings and the network follow.

To add a head, add a row. Where its ``labels`` or its ``loss`` is of a new kind, add the function of that kind to
:mod:`human_edge_detection.losses.head_losses`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Over = Literal["rois", "images"]
"""What a head has outputs for, and what its losses are means over."""
LabelKind = Literal[
    "classes",
    "foreground",
    "target",
    "person",
    "target_border",
    "target_distance",
    "person_centre",
    "person_box",
]
LossKind = Literal["classes", "binary", "balanced_binary", "smooth_l1", "centre_focal", "box_giou"]
DETECTOR_STRIDE: Final = 4
"""Pixels of the image for each place of the detector's output."""


_CLASSES: Final[dict[LabelKind, tuple[str, ...]]] = {
    "classes": ("background", "target", "nontarget"),
    "foreground": ("background", "person"),
    "target": ("target", "nontarget"),
    "person": ("person",),
    "target_border": ("contour",),
    "target_distance": ("distance",),
    "person_centre": ("centre",),
    "person_box": ("x1", "y1", "x2", "y2"),
}


@dataclass(frozen=True)
class Head:
    """One head.

    Attributes:
        name: In configs, in the names of weights, and in logs.
        key: Of its output in :class:`~human_edge_detection.structures.SegmentationOutput`: ``logits``, or a key of
            ``aux``.
        channels: Of its output.
        over: Whether it has an output for each roi or for each image.
        labels: Which labels the annotations give it.
        loss: Its loss on these labels.
        loss_weight: Default weight of that loss, ``loss.<name>``; None: the head is optional, and ``model.<name>``
            turns it on and weighs it.
        distillation_weight: Default weight in the distillation, ``distillation.<name>``; None: it is not distilled.
        branch: It is a branch of the hierarchical head.
        stride: Pixels of the image for each place of its output, of a head of images.
        section: The section of the model that turns it on and weighs it, where that has not its own name.
        meaning: What it says, in words.
    """

    name: str
    key: str
    channels: int
    over: Over
    labels: LabelKind
    loss: LossKind
    loss_weight: float | None = None
    distillation_weight: float | None = None
    branch: bool = False
    stride: int = 1
    section: str | None = None
    meaning: str = ""

    @property
    def optional(self) -> bool:
        """Whether the head is there only when ``model.<section>`` is given."""
        return self.loss_weight is None

    @property
    def switch(self) -> str:
        """The section of the model that turns it on, of an optional head."""
        return self.section or self.name

    def size_in(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of its output for images of this size, of a head of images."""
        return image_size[0] // self.stride, image_size[1] // self.stride

    @property
    def classes(self) -> tuple[str, ...]:
        """What the channels of its output are; of a single one, what it is for."""
        return _CLASSES[self.labels]

    @property
    def regression(self) -> bool:
        """Whether its output is a value, not logits."""
        return self.loss in ("smooth_l1", "box_giou")


HEADS: Final = (
    Head(
        "main",
        "logits",
        3,
        "rois",
        "classes",
        "classes",
        1.0,
        1.0,
        meaning="the main head (background, this person, other people)",
    ),
    Head(
        "bg_fg",
        "bg_fg_logits",
        2,
        "rois",
        "foreground",
        "classes",
        0.3,
        0.3,
        branch=True,
        meaning="the head of background or foreground",
    ),
    Head(
        "target_nontarget",
        "target_nontarget_logits",
        2,
        "rois",
        "target",
        "classes",
        0.3,
        0.3,
        branch=True,
        meaning="the head of this person or another",
    ),
    Head(
        "full_image",
        "full_image_logits",
        1,
        "images",
        "person",
        "binary",
        0.5,
        0.3,
        meaning="the person map of the whole image",
    ),
    Head(
        "contour",
        "contour_logits",
        1,
        "rois",
        "target_border",
        "balanced_binary",
        branch=True,
        meaning="the contour of this person",
    ),
    Head(
        "distance",
        "distance",
        1,
        "rois",
        "target_distance",
        "smooth_l1",
        branch=True,
        meaning="the distance to the contour",
    ),
    Head(
        "detector",
        "centre_logits",
        1,
        "images",
        "person_centre",
        "centre_focal",
        distillation_weight=0.3,
        stride=DETECTOR_STRIDE,
        meaning="the map of the centres of persons, where both models have a detector",
    ),
    Head(
        "detector_box",
        "person_boxes",
        4,
        "images",
        "person_box",
        "box_giou",
        stride=DETECTOR_STRIDE,
        section="detector",
        meaning="the boxes of persons",
    ),
)
BY_NAME: Final = {head.name: head for head in HEADS}
BY_KEY: Final = {head.key: head for head in HEADS}
DISTILLED: Final = tuple(head for head in HEADS if head.distillation_weight is not None)
OPTIONAL: Final = tuple(head for head in HEADS if head.optional)
