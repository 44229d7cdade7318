"""The detector: finds the persons that the rois of the head are made of.

Objects as points (CenterNet, Zhou et al., arXiv:1904.07850): a person is a peak of a map of centres, and has the box
that is predicted there. No anchors, and no suppression of overlapping boxes, which would be no part of a small graph.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from human_edge_detection.advanced.layers import separable
from human_edge_detection.experiments.schema.heads import DETECTOR_STRIDE

_PRIOR: Final = 0.01
"""Probability of a centre before anything is learnt (RetinaNet, Lin et al., arXiv:1708.02002)."""
_FIRST_SIDE: Final = 0.1
"""Distance from a centre to a side before anything is learnt, fraction of the image."""
_MAX_LOG: Final = math.log(1.0 / _FIRST_SIDE)
"""No side is further away than the whole image."""


class Detector(nn.Module):
    """Where persons are centred, and the box of a person centred there.

    Args:
        channels: Of the decoder's features.
        feature_stride: Pixels of the image for each place of them; finer ones than the detector's are averaged.
    """

    def __init__(self, channels: int, *, feature_stride: int) -> None:
        super().__init__()
        self.pooling = DETECTOR_STRIDE // feature_stride
        self.features = separable(channels, channels)
        self.centre = nn.Conv2d(channels, 1, 1)
        self.sides = nn.Conv2d(channels, 4, 1)
        assert self.centre.bias is not None
        nn.init.constant_(self.centre.bias, math.log(_PRIOR / (1.0 - _PRIOR)))

    def forward(self, decoded: Tensor) -> dict[str, Tensor]:
        """Decoder features ``(B, C, H, W)`` -> ``centre_logits (B, 1, h, w)`` and ``person_boxes (B, 4, h, w)``.

        Boxes are x1, y1, x2, y2 as fractions of the image, and may reach beyond it.
        """
        if self.pooling > 1:
            decoded = functional.avg_pool2d(decoded, self.pooling)
        features = self.features(decoded)
        # Distances to the left, upper, right and lower side (FCOS, Tian et al., arXiv:1904.01355).
        distances = _FIRST_SIDE * self.sides(features).float().clamp(max=_MAX_LOG).exp()
        height, width = distances.shape[-2:]
        x = ((torch.arange(width, device=distances.device) + 0.5) / width).to(distances.dtype)
        y = ((torch.arange(height, device=distances.device) + 0.5) / height).to(distances.dtype)
        x, y = x.view(1, 1, 1, width), y.view(1, 1, height, 1)
        left, upper, right, lower = distances.split(1, dim=1)
        boxes = torch.cat([x - left, y - upper, x + right, y + lower], dim=1)
        return {"centre_logits": self.centre(features), "person_boxes": boxes}


class Found(NamedTuple):
    """The K likeliest persons of each image, the likeliest first.

    Attributes:
        boxes: ``(B, K, 4)`` x1, y1, x2, y2 as fractions of the image, inside it.
        scores: ``(B, K)`` probabilities; 0 where there are fewer.
    """

    boxes: Tensor
    scores: Tensor

    def as_rois(self, threshold: float | Tensor) -> tuple[Tensor, Tensor]:
        """Those that are likelier than ``threshold``: rois ``(N, 5)`` and scores ``(N,)``, image by image."""
        image, rank = (self.scores > threshold).nonzero(as_tuple=True)
        rois = torch.cat([image[:, None].to(self.boxes.dtype), self.boxes[image, rank]], dim=1)
        return rois, self.scores[image, rank]


def find_persons(centre_logits: Tensor, person_boxes: Tensor, *, most: int) -> Found:
    """The persons that a detector has found.

    Args:
        centre_logits: ``(B, 1, h, w)``.
        person_boxes: ``(B, 4, h, w)``.
        most: In an image, at least 1.
    """
    logits = centre_logits.float()
    # A centre is a place that no neighbour is likelier than; told by logits, as probabilities near 1 are equal.
    peaks = logits.sigmoid() * (logits == functional.max_pool2d(logits, 3, stride=1, padding=1))
    scores, places = peaks.flatten(1).topk(min(most, peaks[0].numel()), dim=1)
    boxes = person_boxes.float().flatten(2).gather(2, places[:, None].expand(-1, 4, -1))
    return Found(boxes.transpose(1, 2).clamp(0.0, 1.0), scores)
