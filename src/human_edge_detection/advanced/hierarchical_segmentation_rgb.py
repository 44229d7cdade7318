"""The whole model: an RGB image and person boxes in, a three-class mask for each box out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from human_edge_detection.advanced.detector import Detector
from human_edge_detection.advanced.fast_layers.bilinear import upsample_bilinear
from human_edge_detection.advanced.hierarchical_segmentation_unet import PersonNetwork
from human_edge_detection.advanced.roi_align import align_rois
from human_edge_detection.structures import DECODER_FEATURES, SegmentationOutput

Aligner = Callable[[Sequence[Tensor], Tensor, tuple[int, int]], Tensor]
"""RoIAlign, as :func:`~human_edge_detection.advanced.roi_align.align_rois` does it."""


def aligned_channels(roi_channels: int) -> int:
    """Channels that RoIAlign takes to roi size: image, ``roi_channels`` of the decoder's features, person logit."""
    return 3 + roi_channels + 1


class RgbPersonSegmenter(nn.Module):
    """A network over the image, RoIAlign (He et al., arXiv:1703.06870), a head for each roi.

    Args:
        unet: The network over the image: a U-Net, or one with a slim decoder.
        head: `HierarchicalHead` or `PlainHead`; None for that network alone, which has no output for rois.
        roi_size: (height, width) of an aligned roi.
        mask_size: (height, width) of a mask.
        detector: Finds the persons; None: only given boxes are looked at.
        aligner: How rois are cropped.
    """

    def __init__(
        self,
        unet: PersonNetwork,
        head: nn.Module | None,
        *,
        roi_size: tuple[int, int],
        mask_size: tuple[int, int],
        detector: Detector | None = None,
        aligner: Aligner = align_rois,
    ) -> None:
        super().__init__()
        self.unet = unet
        self.head = head
        self.detector = detector
        self.roi_size = roi_size
        self.mask_size = mask_size
        self._align = aligner

    def forward(self, images: Tensor, rois: Tensor, *, features: bool = False) -> SegmentationOutput:
        """Masks for every roi.

        Args:
            images: ``(B, 3, IH, IW)`` float32 RGB in [0, 1]; sides multiples of 32.
            rois: ``(N, 5)`` ``batch_index, x1, y1, x2, y2``, fractions of the image.
            features: Hand out the decoder features too; training on them is all that they are for.

        Returns:
            Logits ``(N, 3, H, W)`` and the further heads, float32. Without head, or without rois, ``logits`` is empty
            and the heads of rois are absent.
        """
        normalised = self.unet.normalise(images)
        decoded, person = self.unet(normalised)
        full_image = {"full_image_logits": self.at_image_size(person, images).float()}
        if self.detector is not None:
            full_image |= {name: output.float() for name, output in self.detector(decoded).items()}
        if features:
            full_image[DECODER_FEATURES] = decoded.float()
        if self.head is None or rois.shape[0] == 0:
            return SegmentationOutput(images.new_zeros((0, 3, *self.mask_size)), full_image)
        logits, aux = self.head(self.align(normalised, decoded, person, rois))
        return SegmentationOutput(logits.float(), full_image | {name: output.float() for name, output in aux.items()})

    def at_image_size(self, person: Tensor, images: Tensor) -> Tensor:
        """The person logit ``(B, 1, IH, IW)``."""
        if self.unet.feature_stride == 1:
            return person
        return upsample_bilinear(person, (images.shape[-2], images.shape[-1]))

    def align(self, normalised: Tensor, decoded: Tensor, person: Tensor, rois: Tensor) -> Tensor:
        """Image, features and person logit at roi size: together where they have one size, else the image by itself."""
        features = self.unet.for_rois(decoded)
        if self.unet.feature_stride == 1:
            return self._align([normalised, features, person], rois, self.roi_size)
        image = self._align([normalised], rois, self.roi_size)
        return torch.cat([image, self._align([features, person], rois, self.roi_size)], dim=1)
