"""Networks of a few thousand weights in place of the real ones, so that a whole run takes a second."""

import multiprocessing
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from human_edge_detection.cli.main import main

_WIDTHS = {"mobilenet_v2": 4, "resnet18": 8}


class _SmallEncoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.second = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU()
        )
        # EfficientNet drops whole blocks at random while it trains.
        self.drop = nn.Dropout2d(0.1)

    def forward(self, images: Tensor) -> list[Tensor]:
        half = self.first(images)
        return [images, half, self.drop(self.second(half))]


class SmallUnet(nn.Module):
    """The parts that :class:`PersonUNet` uses of ``smp.Unet``, two blocks deep; the encoder's name sets the width."""

    def __init__(self, encoder_name: str, **_: Any) -> None:
        super().__init__()
        width = _WIDTHS[encoder_name]
        self.encoder = _SmallEncoder(width)
        self.decoder = UnetDecoder((3, width, 2 * width), (16, 16), n_blocks=2)
        self.segmentation_head = SegmentationHead(16, 1)


@contextmanager
def networks_made_small() -> Iterator[None]:
    with patch.object(smp, "Unet", SmallUnet):
        yield


def hed(arguments: Sequence[str], output: str, largest_file: int | None = None) -> None:
    """Runs ``hed ARGUMENTS`` with small networks as the whole of this process.

    Args:
        arguments: The command and its flags.
        output: File that what it says is appended to.
        largest_file: Bytes that no file may exceed.
    """
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    multiprocessing.set_start_method(None, force=True)  # data workers as in a process of its own
    with networks_made_small():
        code = main(arguments)
    sys.stdout.flush()
    sys.exit(code)
