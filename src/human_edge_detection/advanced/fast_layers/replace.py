"""Puts the quick layers in the place of those that the libraries build."""

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
    """Makes layers of ``model`` quick ones: depthwise convolutions, squeeze-and-excitation, a U-Net's decoder blocks.

    Each Swish becomes PyTorch's own SiLU, which does not overwrite its input: training would first copy it.

    Weights, their names and the random numbers drawn so far stay: classes are changed in place, as new modules would
    draw random weights and so change those of all that is built after them.
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


def _is_plain(block: decoder.UnetDecoderBlock) -> bool:
    """Nearest pixel, no attention."""
    attention = (block.attention1.attention, block.attention2.attention)
    return block.interpolation_mode == "nearest" and all(isinstance(one, nn.Identity) for one in attention)
