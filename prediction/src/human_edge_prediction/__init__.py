"""Runs exported person-segmentation models and, through a description, those of others; needs no PyTorch."""

from human_edge_prediction.description import Adapter, read_adapter
from human_edge_prediction.errors import (
    AdapterError,
    ArgumentError,
    BoxError,
    ImageFileError,
    MissingPackageError,
    ModelFileError,
    PredictionError,
)
from human_edge_prediction.images import read_image
from human_edge_prediction.instances import Instances
from human_edge_prediction.models import Model, open_model
from human_edge_prediction.prediction import Person, Prediction
from human_edge_prediction.predictor import Predictor

__version__ = "0.1.0"

__all__ = [
    "Adapter",
    "AdapterError",
    "ArgumentError",
    "BoxError",
    "ImageFileError",
    "Instances",
    "MissingPackageError",
    "Model",
    "ModelFileError",
    "Person",
    "Prediction",
    "PredictionError",
    "Predictor",
    "__version__",
    "open_model",
    "read_adapter",
    "read_image",
]
