"""Runs exported person-segmentation models and, through a description, those of others; needs no PyTorch."""

from human_edge_prediction.description import Adapter, read_adapter
from human_edge_prediction.errors import AdapterError, MissingPackageError, ModelFileError, PredictionError
from human_edge_prediction.instances import Instances
from human_edge_prediction.models import Model, open_model

__version__ = "0.1.0"

__all__ = [
    "Adapter",
    "AdapterError",
    "Instances",
    "MissingPackageError",
    "Model",
    "ModelFileError",
    "PredictionError",
    "__version__",
    "open_model",
    "read_adapter",
]
