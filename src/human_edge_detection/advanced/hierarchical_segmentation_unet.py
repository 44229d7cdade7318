"""The bodies: a U-Net over the whole image, and the light heads for each roi."""

from __future__ import annotations

from collections.abc import Collection

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional

from human_edge_detection.advanced.fast_layers.bilinear import upsample_bilinear
from human_edge_detection.advanced.layers import conv_block, separable
from human_edge_detection.experiments.schema.decoders import UNET_FEATURE_CHANNELS
from human_edge_detection.experiments.schema.heads import HEADS

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class PersonNetwork(nn.Module):
    """Encoder and decoder over the whole image, which say for each pixel: person or not.

    Args:
        unet: Has ``encoder``, ``decoder`` and ``segmentation_head``, as every model of `segmentation_models_pytorch`.
        feature_channels: Channels of the decoder's output.
        feature_stride: Pixels of the image for each place of it.
    """

    def __init__(self, unet: smp.base.SegmentationModel, *, feature_channels: int, feature_stride: int) -> None:
        super().__init__()
        self.unet = unet
        self.feature_channels = feature_channels
        self.feature_stride = feature_stride
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """ImageNet normalisation of ``(B, 3, H, W)`` RGB in [0, 1]; part of the model, so it cannot be forgotten."""
        return (images - self.mean) / self.std

    def forward(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        """Decoder features ``(B, C, H/s, W/s)`` and person logit ``(B, 1, H/s, W/s)`` of images at stride s."""
        features = self.unet.decoder(self.unet.encoder(normalised))
        return features, self.unet.segmentation_head(features)

    def for_rois(self, features: Tensor) -> Tensor:
        """What of ``features (B, C, H/s, W/s)`` RoIAlign takes to the rois, in as many channels or less."""
        return features

    def last_shared_weight(self) -> nn.Parameter:
        """Weight of the last layer that every head uses: where the shares of the gradient are measured."""
        raise NotImplementedError


class PersonUNet(PersonNetwork):
    """U-Net (Ronneberger et al., arXiv:1505.04597) with features at the size of the image.

    Args:
        encoder: Name of an encoder of `segmentation_models_pytorch`.
    """

    def __init__(self, encoder: str) -> None:
        unet = smp.Unet(encoder, encoder_weights=None, in_channels=3, classes=1)
        super().__init__(unet, feature_channels=UNET_FEATURE_CHANNELS, feature_stride=1)

    def last_shared_weight(self) -> nn.Parameter:
        """Weight of the second convolution of the decoder's last block."""
        weight = self.unet.decoder.blocks[-1].conv2[0].weight
        assert isinstance(weight, nn.Parameter)
        return weight


class Fuse(nn.Module):
    """Upsample by two, join the skip connection, mix with a depthwise separable convolution."""

    def __init__(self, channels_in: int, channels_skip: int, channels_out: int) -> None:
        super().__init__()
        self.channels_in = channels_in
        self.mix = separable(channels_in + channels_skip, channels_out)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        deep = upsample_bilinear(deep, (2 * deep.shape[-2], 2 * deep.shape[-1]))
        mixed: Tensor = self.mix(torch.cat([deep, skip], dim=1))
        return mixed


class Stem(nn.Sequential):
    """A convolution over the aligned roi and two channels with the position inside the box.

    The box says which person is meant, and a convolution alone cannot tell the middle of a box from its side
    (CoordConv, Liu et al., arXiv:1807.03247).
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(*conv_block(channels_in + 2, channels_out))

    def forward(self, aligned: Tensor) -> Tensor:
        features = torch.cat([aligned, *box_coordinates(aligned)], dim=1)
        for layer in self:
            features = layer(features)
        return features


def box_coordinates(aligned: Tensor) -> tuple[Tensor, Tensor]:
    """Y and x inside the box for ``(N, C, H, W)``, each ``(N, 1, H, W)``: -1 at one side and 1 at the other."""
    count, _, height, width = aligned.shape
    y = torch.linspace(-1.0, 1.0, height, dtype=aligned.dtype, device=aligned.device).view(1, 1, height, 1)
    x = torch.linspace(-1.0, 1.0, width, dtype=aligned.dtype, device=aligned.device).view(1, 1, 1, width)
    return y.expand(count, 1, height, width), x.expand(count, 1, height, width)


class RoiTrunk(nn.Module):
    """A small U-Net over the aligned roi: sees the whole box, outputs features at its resolution.

    Args:
        channels_in: Channels of the aligned roi.
        channels: Channels at full roi resolution; twice and four times as many further down.
    """

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.stem = Stem(channels_in, channels)
        self.down_half = conv_block(channels, 2 * channels, stride=2)
        self.down_quarter = conv_block(2 * channels, 4 * channels, stride=2)
        self.middle = nn.Sequential(*(separable(4 * channels, 4 * channels, kernel=5) for _ in range(2)))
        self.up_half = Fuse(4 * channels, 2 * channels, 2 * channels)
        self.up_full = Fuse(2 * channels, channels, channels)

    def forward(self, aligned: Tensor) -> Tensor:
        """``(N, C, H, W)`` aligned rois -> ``(N, channels, H, W)``; H and W multiples of 4."""
        full = self.stem(aligned)
        half = self.down_half(full)
        quarter = self.down_quarter(half)
        quarter = quarter + self.middle(quarter)
        mixed: Tensor = self.up_full(self.up_half(quarter, half), full)
        return mixed


class Branch(nn.Module):
    """Features of one question and its output, both at the resolution of the roi."""

    def __init__(self, channels_in: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.features = conv_block(channels_in, channels)
        self.answer = nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, trunk: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(trunk)
        return features, self.answer(features)


class PlainHead(nn.Module):
    """One three-class output; the `baseline`."""

    def __init__(self, channels_in: int, channels: int, mask_size: tuple[int, int]) -> None:
        super().__init__()
        self.mask_size = mask_size
        self.trunk = RoiTrunk(channels_in, channels)
        self.classes = Branch(channels, channels // 2, 3)

    def forward(self, aligned: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``(N, C, h, w)`` -> logits ``(N, 3, H, W)`` and no further heads."""
        _, logits = self.classes(self.trunk(aligned))
        return upsample_bilinear(logits, self.mask_size), {}


class HierarchicalHead(nn.Module):
    """First foreground or background, then this person or another one *given* foreground.

    The main logits are the log-space composition of the outputs of both, so without correction they are exact log
    probabilities; a learned correction over the features of all branches is added and starts at zero.

    Args:
        channels_in: Channels of the aligned roi.
        channels: Channels of the trunk.
        mask_size: (height, width) of the output.
        optional: Names of the optional heads that it has too (see `experiments.schema.heads`).
    """

    def __init__(
        self, channels_in: int, channels: int, mask_size: tuple[int, int], *, optional: Collection[str] = ()
    ) -> None:
        super().__init__()
        width = channels // 2
        self.mask_size = mask_size
        self.trunk = RoiTrunk(channels_in, channels)
        self._heads = [head for head in HEADS if head.branch and (not head.optional or head.name in optional)]
        for head in self._heads:
            self.add_module(head.name, Branch(channels, width, head.channels))
        self.correction = nn.Conv2d(width * len(self._heads), 3, 1)
        nn.init.zeros_(self.correction.weight)
        assert self.correction.bias is not None
        nn.init.zeros_(self.correction.bias)

    @property
    def branches(self) -> dict[str, Branch]:
        """Those that the head has, by the keys of their outputs, in the order in which ``correction`` takes them."""
        branches = {head.key: self.get_submodule(head.name) for head in self._heads}
        return {key: branch for key, branch in branches.items() if isinstance(branch, Branch)}

    def forward(self, aligned: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``(N, C, h, w)`` -> logits ``(N, 3, H, W)`` and the outputs of the branches by name."""
        trunk = self.trunk(aligned)
        asked = {name: branch(trunk) for name, branch in self.branches.items()}
        correction = self.correction(torch.cat([features for features, _ in asked.values()], dim=1))
        # The few channels of the outputs are brought to mask size, not the many of the features.
        outputs = torch.cat([correction, *(output for _, output in asked.values())], dim=1)
        outputs = upsample_bilinear(outputs, self.mask_size)
        widths = [3, *(output.shape[1] for _, output in asked.values())]
        # Losses look at one channel after the other, so each is brought together in memory.
        correction, *parts = torch.split(outputs.float().contiguous(), widths, dim=1)
        aux = dict(zip(asked, parts, strict=True))
        for head in self._heads:
            if head.regression:
                aux[head.key] = torch.tanh(aux[head.key])
        return compose_logits(aux["bg_fg_logits"], aux["target_nontarget_logits"]) + correction, aux


def compose_logits(bg_fg: Tensor, target_nontarget: Tensor) -> Tensor:
    """Log probabilities of (background, target, non-target) from the two binary outputs.

    ``log p(target) = log p(fg) + log p(target | fg)``, likewise for non-target.

    Args:
        bg_fg: ``(N, 2, H, W)`` logits, background first.
        target_nontarget: ``(N, 2, H, W)`` logits, target first.

    Returns:
        ``(N, 3, H, W)`` float32; the exponentials sum to one over the classes.
    """
    background, foreground = _log_probabilities(bg_fg.float())
    target, nontarget = _log_probabilities(target_nontarget.float())
    return torch.cat([background, foreground + target, foreground + nontarget], dim=1)


def _log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Log softmax of two classes ``(N, 2, H, W)`` as two ``(N, 1, H, W)``: with one exponential for each position."""
    first, second = logits.chunk(2, dim=1)
    surplus = functional.softplus(second - first)  # log(1 + exp(second - first)), finite for any logits
    return -surplus, second - first - surplus
