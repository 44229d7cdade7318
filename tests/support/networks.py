"""Networks as if they had been trained."""

import torch
from torch import nn

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.engine.build import build_model
from human_edge_detection.experiments.schema.model import ModelConfig


def with_statistics(config: ModelConfig) -> RgbPersonSegmenter:
    """A random model in evaluation mode whose normalisation, and whose correction if it has one, do something."""
    torch.manual_seed(0)
    model = build_model(config)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.1)
    for name, weight in model.named_parameters():
        if "correction" in name:
            nn.init.normal_(weight, 0.0, 0.3)
    return model.eval()
