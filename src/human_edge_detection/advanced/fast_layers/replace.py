"""Replaces layers that timm and segmentation_models_pytorch build by the faster ones of this package."""

from __future__ import annotations

from itertools import pairwise

from segmentation_models_pytorch.decoders.unet import decoder
from timm.layers.activations import Swish
from timm.models import _efficientnet_blocks as efficientnet
from torch import nn

from human_edge_detection.advanced.fast_layers.decoder_block import UnetDecoderBlock
from human_edge_detection.advanced.fast_layers.depthwise import DepthwiseConv2d
from human_edge_detection.advanced.fast_layers.squeeze_excite import PointwiseConv2d, SqueezeExcite


def use_fast_layers(model: nn.Module) -> None:
    """Replaces layers of ``model`` in place: depthwise convolutions, squeeze-and-excitation, U-Net decoder blocks.

    Each Swish of timm becomes PyTorch's SiLU, not in place: for training, an in-place activation has to copy its input.

    Weights, their names and the state of the random number generator stay as they are: only the class of a module is
    changed. New modules would draw random weights, and so change the weights of all modules that are built later.
    """
    for module in model.modules():
        if type(module) is nn.Conv2d and module.groups == module.in_channels == module.out_channels > 1:
            module.__class__ = DepthwiseConv2d
        elif type(module) is Swish:
            module.__class__ = nn.SiLU  # type: ignore[assignment]  # it has the same one attribute, `inplace`
            module.inplace = False
        elif type(module) is decoder.UnetDecoderBlock and _is_plain(module):
            module.__class__ = UnetDecoderBlock
        for layer, following in pairwise(module.children()):
            if type(layer) is efficientnet.SqueezeExcite and type(following) is nn.Conv2d and following.groups == 1:
                assert following.kernel_size == (1, 1)
                layer.__class__, following.__class__ = SqueezeExcite, PointwiseConv2d


def use_plain_decoder_blocks(model: nn.Module) -> None:
    """Turns the U-Net decoder blocks of :func:`use_fast_layers` into the original ones again, in place.

    Exported, the faster ones have a depth to space, which not every runtime has in the order of PyTorch's.
    """
    for module in model.modules():
        if type(module) is UnetDecoderBlock:
            module.__class__ = decoder.UnetDecoderBlock


def _is_plain(block: decoder.UnetDecoderBlock) -> bool:
    """Whether the block upsamples by nearest neighbour and has no attention, as the faster block does."""
    attention = (block.attention1.attention, block.attention2.attention)
    return block.interpolation_mode == "nearest" and all(isinstance(module, nn.Identity) for module in attention)
