"""The tensors that travel between the parts: one batch of data, one output of a model, one output of a loss."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

BACKGROUND, TARGET, NON_TARGET = 0, 1, 2
CLASS_NAMES = ("background", "target", "nontarget")
DECODER_FEATURES = "decoder_features"
"""Key of ``aux`` for the features ``(B, 16, IH, IW)`` of the U-Net; there only when a model is asked for them."""
IGNORE = 255
"""Mask value of pixels that count for nothing, as nobody knows what they are: in a crowd region, in the box of a person
without a mask, outside the image, and outside every person's box of an image that is not exhaustively labelled."""
Source = Literal["truth", "teacher"]
"""Who gave the targets of a loss: the labels, or a teacher."""


class Labelled(NamedTuple):
    """Which images and rois of a batch the ground truth speaks of: of the others only a teacher does.

    Attributes:
        images: ``(b,)`` int64, positions among the B images.
        rois: ``(n,)`` int64, positions among the N rois.
    """

    images: Tensor
    rois: Tensor

    def to(self, device: torch.device) -> "Labelled":
        """The same positions on ``device``."""
        return Labelled(self.images.to(device, non_blocking=True), self.rois.to(device, non_blocking=True))


class Batch(NamedTuple):
    """B images with N person boxes in all.

    Attributes:
        images: ``(B, 3, IH, IW)`` RGB: uint8 as they are loaded, float32 in [0, 1] once the batch is on its device.
        rois: ``(N, 5)`` float32, ``batch_index, x1, y1, x2, y2``; coordinates are fractions of the image.
        roi_masks: ``(N, H, W)`` uint8, 0 background, 1 this person, 2 other people, 255 ignore.
        person_masks: ``(B, IH, IW)`` uint8, 0 background, 1 any person, 255 ignore.
        image_ids: The B image ids of the annotation file.
        annotation_ids: The N annotation ids, in the order of ``rois``.
        person_boxes: ``(B, P, 4)`` float32, x1, y1, x2, y2 as fractions of the image: of every person that is visible,
            with a roi or without, then zeros up to the most persons of an image (at least 1); None: nobody asks.
        teacher_images: ``(B, 3, TH, TW)``, the same views at the size of a teacher that wants more detail than
            ``images`` have; None: ``images`` will do.
        soft_labels: The stored logits of a teacher that need not be run, float16; None: run it.
        labelled: What the ground truth speaks of; all masks of the others are 255. None: of all.
    """

    images: Tensor
    rois: Tensor
    roi_masks: Tensor
    person_masks: Tensor
    image_ids: tuple[int, ...]
    annotation_ids: tuple[int, ...]
    person_boxes: Tensor | None = None
    teacher_images: Tensor | None = None
    soft_labels: "SegmentationOutput | None" = None
    labelled: Labelled | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on ``device``, and its images in [0, 1]."""
        return self._replace(
            images=_unit(self.images, device),
            rois=self.rois.to(device, non_blocking=True),
            roi_masks=self.roi_masks.to(device, non_blocking=True),
            person_masks=self.person_masks.to(device, non_blocking=True),
            person_boxes=None if self.person_boxes is None else self.person_boxes.to(device, non_blocking=True),
            teacher_images=None if self.teacher_images is None else _unit(self.teacher_images, device),
            soft_labels=None if self.soft_labels is None else self.soft_labels.to(device),
            labelled=None if self.labelled is None else self.labelled.to(device),
        )


def _unit(images: Tensor, device: torch.device) -> Tensor:
    """``images`` on ``device`` as float32 in [0, 1]. Bytes travel, a quarter of what float32 would take."""
    moved = images.to(device, non_blocking=True)
    return moved.float().div_(255.0) if moved.dtype == torch.uint8 else moved


class SegmentationOutput(NamedTuple):
    """Output of a model for B images, N rois, mask size H x W.

    Attributes:
        logits: ``(N, 3, H, W)`` main logits.
        aux: ``bg_fg_logits (N,2,H,W)``, ``target_nontarget_logits (N,2,H,W)``, ``full_image_logits (B,1,IH,IW)``,
            ``contour_logits (N,1,H,W)``, ``distance (N,1,H,W)``; of a detector, at stride 4, ``centre_logits
            (B,1,h,w)`` and ``person_boxes (B,4,h,w)``: x1, y1, x2, y2 of a person centred there, as fractions of the
            image. A head that the model lacks has no key.
    """

    logits: Tensor
    aux: Mapping[str, Tensor]

    def of(self, key: str) -> Tensor | None:
        """The output of the head with this ``key``; None when the model lacks it, or when there is no roi."""
        if key == "logits":
            return self.logits if len(self.logits) else None
        return self.aux.get(key)

    def to(self, device: torch.device) -> "SegmentationOutput":
        """The same output on ``device``, in float32: autocast does not take the float16 of soft labels."""
        aux = {head: output.to(device, non_blocking=True).float() for head, output in self.aux.items()}
        return SegmentationOutput(self.logits.to(device, non_blocking=True).float(), aux)


class LossTerm(NamedTuple):
    """One term of a loss.

    Attributes:
        name: For logs only.
        value: Scalar with gradient, before weighting.
        weight: Of the term in the total; 0 for what is only reported.
        over: What the value is a mean over, so that the terms of several batches can be averaged.
        source: Whether the labels or a teacher gave the targets.
    """

    name: str
    value: Tensor
    weight: float
    over: Literal["rois", "images"]
    source: Source = "truth"

    @property
    def weighted(self) -> Tensor:
        """Scalar with gradient: the term's part of the total."""
        return self.weight * self.value

    def scaled(self, factor: float) -> "LossTerm":
        """The same with ``factor`` times its weight."""
        return self._replace(weight=factor * self.weight)


class LossOutput(NamedTuple):
    """A loss as the terms it is the sum of.

    Attributes:
        terms: Each with a name of its own.
        confident: Share of each distilled head's positions that a confidence threshold keeps; not learnt from.
    """

    terms: tuple[LossTerm, ...] = ()
    confident: tuple[LossTerm, ...] = ()

    @property
    def total(self) -> Tensor:
        """Scalar with gradient; 0 without gradient when there is no term."""
        return torch.stack([term.weighted for term in self.terms]).sum() if self.terms else torch.zeros(())

    @property
    def values(self) -> dict[str, Tensor]:
        """Detached scalars by name, before weighting."""
        return {term.name: term.value.detach() for term in (*self.terms, *self.confident)}
