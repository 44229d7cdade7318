"""The training step as the field writes it: what ours is compared with. Nothing here is fast on purpose, nothing slow.

float32, contiguous tensors, the teacher asked under ``no_grad`` in each step, one ``.item()`` for each term that is
logged, PyTorch's default ``DataLoader`` in the same process, layers as the libraries bring them. Architecture, losses
and samples are those of the project, so that the two differ in how a step is done and in nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from unittest.mock import patch

import torch
from segmentation_models_pytorch.decoders.unet import decoder
from timm.layers.activations import Swish
from timm.models import _efficientnet_blocks as efficientnet
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision.ops import roi_align

from human_edge_detection.advanced import hierarchical_segmentation_rgb, hierarchical_segmentation_unet
from human_edge_detection.advanced.fast_layers.decoder_block import UnetDecoderBlock
from human_edge_detection.advanced.fast_layers.depthwise import DepthwiseConv2d
from human_edge_detection.advanced.fast_layers.squeeze_excite import PointwiseConv2d, SqueezeExcite
from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.data.dataset import PersonDataset, Sample, collate
from human_edge_detection.engine.teaching.head_targets import head_targets
from human_edge_detection.losses.hierarchical import HierarchicalLoss
from human_edge_detection.structures import Batch, LossOutput

RGB = hierarchical_segmentation_rgb.__name__
UNET = hierarchical_segmentation_unet.__name__
_CPU = torch.device("cpu")
PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    DepthwiseConv2d: nn.Conv2d,
    PointwiseConv2d: nn.Conv2d,
    SqueezeExcite: efficientnet.SqueezeExcite,
    UnetDecoderBlock: decoder.UnetDecoderBlock,
}


def with_plain_layers(model: RgbPersonSegmenter) -> RgbPersonSegmenter:
    """The same weights in the layers of `timm` and PyTorch, in place."""
    for module in model.modules():
        if type(module) in PLAIN:
            module.__class__ = PLAIN[type(module)]
        elif isinstance(module, nn.SiLU):
            module.__class__ = Swish  # type: ignore[assignment]
            module.inplace = True
    return model


def plain_alignment(maps: Sequence[Tensor], rois: Tensor, size: tuple[int, int]) -> Tensor:
    """RoIAlign as the operator of torchvision."""
    height, width = maps[0].shape[-2:]
    boxes = rois * rois.new_tensor([1.0, width, height, width, height])
    aligned: Tensor = roi_align(torch.cat(list(maps), dim=1), boxes, size, sampling_ratio=2, aligned=True)
    return aligned


class _FirstEpoch(torch.utils.data.Dataset[Sample]):
    def __init__(self, dataset: PersonDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[(0, index)]


def plain_upsampling(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, as the operator of PyTorch."""
    return functional.interpolate(images, size, mode="bilinear", align_corners=False)


def plain_operators() -> ExitStack:
    """While it is open, models use the operators of the libraries."""
    stack = ExitStack()
    stack.enter_context(patch(f"{RGB}.align_rois", plain_alignment))
    stack.enter_context(patch(f"{UNET}.upsample_bilinear", plain_upsampling))
    return stack


def plain_batches(dataset: PersonDataset, batch_size: int) -> Iterator[Batch]:
    """Batches in the order of the file, made in this process while training waits."""
    yield from DataLoader(_FirstEpoch(dataset), batch_size=batch_size, collate_fn=collate)


def plain_step(
    student: RgbPersonSegmenter,
    teacher: RgbPersonSegmenter | None,
    batch: Batch,
    loss: HierarchicalLoss,
    distillation: Callable[..., LossOutput] | None,
    optimizer: torch.optim.Optimizer,
    clip: float,
    device: torch.device = _CPU,
) -> dict[str, float]:
    """One update; returns the value of each term.

    Args:
        student: In training mode, learns.
        teacher: In evaluation mode; None: the student is not distilled.
        batch: Images and truth; its ``images`` serve both models.
        loss: On ground truth.
        distillation: Adds what the teacher says: a distillation loss at its temperature and alpha.
        optimizer: Of the student's weights.
        clip: Largest norm of the gradient.
        device: Where the models are.
    """
    optimizer.zero_grad()
    batch = batch.to(device)
    with plain_operators():
        output = student(batch.images, batch.rois)
    prediction = loss(output, batch)
    if teacher is not None and distillation is not None:
        with torch.no_grad(), plain_operators():
            taught = teacher(batch.images, batch.rois)
        prediction = distillation(output, taught, head_targets(batch, output, taught), prediction)
    prediction.total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(student.parameters(), clip)
    optimizer.step()
    return {name: term.item() for name, term in prediction.values.items()}
