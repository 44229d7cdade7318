"""Runs exported person-segmentation models and, through a description, those of others; needs no PyTorch.

The names are imported when they are asked for, so that ``--help`` does not wait for numpy and OpenCV.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.2.0"

if TYPE_CHECKING:
    from human_edge_prediction.description import Adapter
    from human_edge_prediction.description_reader import read_adapter
    from human_edge_prediction.errors import (
        AdapterError,
        ArgumentError,
        BoxError,
        ImageFileError,
        MissingPackageError,
        ModelFileError,
        PredictionError,
    )
    from human_edge_prediction.images.read import read_image
    from human_edge_prediction.instances import Instances
    from human_edge_prediction.models.model import Model
    from human_edge_prediction.models.open import open_model
    from human_edge_prediction.prediction import Person, Prediction
    from human_edge_prediction.predictor import Predictor

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

_MODULES: Final = {
    "description": ("Adapter",),
    "description_reader": ("read_adapter",),
    "errors": (
        "AdapterError",
        "ArgumentError",
        "BoxError",
        "ImageFileError",
        "MissingPackageError",
        "ModelFileError",
        "PredictionError",
    ),
    "images.read": ("read_image",),
    "instances": ("Instances",),
    "models.model": ("Model",),
    "models.open": ("open_model",),
    "prediction": ("Person", "Prediction"),
    "predictor": ("Predictor",),
}
"""Module -> those of its names that are offered here."""


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
