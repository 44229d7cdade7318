"""The tensors that travel between the parts: one batch of data, one answer of a model, one answer of a loss."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

BACKGROUND, TARGET, NON_TARGET = 0, 1, 2
CLASS_NAMES = ("background", "target", "nontarget")
DECODER_FEATURES = "decoder_features"
"""Key of ``aux`` for the features ``(B, 16, IH, IW)`` of the U-Net; there only when a model is asked for them."""
IGNORE = 255
"""Mask value of pixels that count for nothing: inside a crowd region, or outside the photograph."""


class Batch(NamedTuple):
    """B images with N person boxes in all.

    Attributes:
        images: ``(B, 3, IH, IW)`` float32, RGB in [0, 1].
        rois: ``(N, 5)`` float32, ``batch_index, x1, y1, x2, y2``; coordinates are fractions of the image.
        roi_masks: ``(N, H, W)`` uint8, 0 background, 1 this person, 2 other people, 255 ignore.
        person_masks: ``(B, IH, IW)`` uint8, 0 background, 1 any person, 255 ignore.
        image_ids: The B image ids of the annotation file.
        annotation_ids: The N annotation ids, in the order of ``rois``.
        teacher_images: ``(B, 3, TH, TW)``, the same views at the size of a teacher that wants more detail than
            ``images`` have; None: ``images`` will do.
        teacher_answer: The stored answer of a teacher that need not be asked, float16; None: ask it.
    """

    images: Tensor
    rois: Tensor
    roi_masks: Tensor
    person_masks: Tensor
    image_ids: tuple[int, ...]
    annotation_ids: tuple[int, ...]
    teacher_images: Tensor | None = None
    teacher_answer: "SegmentationOutput | None" = None

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on ``device``."""
        return self._replace(
            images=self.images.to(device, non_blocking=True),
            rois=self.rois.to(device, non_blocking=True),
            roi_masks=self.roi_masks.to(device, non_blocking=True),
            person_masks=self.person_masks.to(device, non_blocking=True),
            teacher_images=None if self.teacher_images is None else self.teacher_images.to(device, non_blocking=True),
            teacher_answer=None if self.teacher_answer is None else self.teacher_answer.to(device),
        )


class SegmentationOutput(NamedTuple):
    """Answer of a model for B images, N rois, mask size H x W.

    Attributes:
        logits: ``(N, 3, H, W)`` main logits.
        aux: ``bg_fg_logits (N,2,H,W)``, ``target_nontarget_logits (N,2,H,W)``, ``full_image_logits (B,1,IH,IW)``,
            ``contour_logits (N,1,H,W)``, ``distance (N,1,H,W)``. A head that the model lacks has no key.
    """

    logits: Tensor
    aux: Mapping[str, Tensor]

    def to(self, device: torch.device) -> "SegmentationOutput":
        """The same answer on ``device``, in float32: autocast does not take the float16 of stored answers."""
        aux = {head: answer.to(device, non_blocking=True).float() for head, answer in self.aux.items()}
        return SegmentationOutput(self.logits.to(device, non_blocking=True).float(), aux)


class LossOutput(NamedTuple):
    """Answer of a loss.

    Attributes:
        total: Scalar with gradient.
        terms: Detached scalars, every term by name, before weighting.
        weighted: The same terms with gradient and weighted, so that ``total`` is their sum; the trainer measures
            each one's share of the gradient with them.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    weighted: Mapping[str, Tensor]
