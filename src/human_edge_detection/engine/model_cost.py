"""What a model costs: parameters, operations and shapes, without its weights and without data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from human_edge_detection.engine.build import build_model
from human_edge_detection.experiments.schema.heads import BY_KEY
from human_edge_detection.experiments.schema.model import ModelConfig

Shape = tuple[int | str, ...]
"""Numbers, ``B`` for the number of images and ``N`` for the number of rois."""


@dataclass(frozen=True)
class Gflops:
    """10^9 operations of one forward pass: convolutions and matrix products, a multiply-add counted as 2.

    Attributes:
        encoder: For one image.
        decoder: For one image, with the full-image head.
        detector: For one image; 0 without one.
        head_per_roi: For each roi.
    """

    encoder: float
    decoder: float
    detector: float
    head_per_roi: float

    @property
    def total(self) -> float:
        """One image with one roi."""
        return self.encoder + self.decoder + self.detector + self.head_per_roi


@dataclass(frozen=True)
class ModelDescription:
    """One model in numbers."""

    encoder: str
    unet_parameters: int
    head_parameters: int
    detector_parameters: int
    gflops: Gflops
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]

    @property
    def total_parameters(self) -> int:
        """U-Net, head and detector."""
        return self.unet_parameters + self.head_parameters + self.detector_parameters

    def to_json(self) -> dict[str, Any]:
        """As plain data, with the totals."""
        fields = asdict(self)
        fields["total_parameters"] = self.total_parameters
        fields["gflops"]["total"] = self.gflops.total
        return fields


@torch.no_grad()
def describe_model(config: ModelConfig) -> ModelDescription:
    """Measures the network of ``config`` for one image and one roi, without allocating its weights."""
    with torch.device("meta"):
        model = build_model(config).eval()
        images, rois = torch.empty(1, 3, *config.image_size), torch.empty(1, 5)
    with FlopCounterMode(display=False) as counter:
        output = model(images, rois)
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    parts = ("unet.unet.encoder", "detector", "head")
    encoder, detector, head = (flops.get(f"{type(model).__name__}.{part}", 0) for part in parts)
    inputs: dict[str, Shape] = {"images": ("B", *images.shape[1:])}
    outputs: dict[str, Shape] = {}
    if model.head is not None:
        inputs["rois"] = ("N", *rois.shape[1:])
        outputs["logits"] = ("N", *output.logits.shape[1:])
    for name, prediction in output.aux.items():
        outputs[name] = ("B" if BY_KEY[name].over == "images" else "N", *prediction.shape[1:])
    return ModelDescription(
        encoder=config.encoder,
        unet_parameters=_count(model.unet),
        head_parameters=_count(model.head) if model.head is not None else 0,
        detector_parameters=_count(model.detector) if model.detector is not None else 0,
        gflops=Gflops(
            encoder=encoder / 1e9,
            decoder=(flops["Global"] - encoder - detector - head) / 1e9,
            detector=detector / 1e9,
            head_per_roi=head / 1e9,
        ),
        inputs=inputs,
        outputs=outputs,
    )


@dataclass(frozen=True)
class Compression:
    """How many times smaller the student is than its teacher."""

    unet_parameters: float
    total_parameters: float
    gflops: float

    def to_json(self) -> dict[str, float]:
        """As plain data."""
        return asdict(self)


def compression(student: ModelDescription, teacher: ModelDescription) -> Compression:
    """The teacher's numbers divided by the student's."""
    return Compression(
        teacher.unet_parameters / student.unet_parameters,
        teacher.total_parameters / student.total_parameters,
        teacher.gflops.total / student.gflops.total,
    )


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
