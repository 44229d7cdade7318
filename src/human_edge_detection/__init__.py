"""Distil a large person-segmentation U-Net into a small one, and prove that the small one is good.

``import human_edge_detection as hed`` is the front door for Python. Its names are imported when they are asked for, so
that the import itself takes no time::

    import human_edge_detection as hed

    if __name__ == "__main__":  # data are loaded by processes that import this script
        batch = hed.run_experiments("quickstart")
        (evaluation,) = hed.evaluate("quickstart_distilled_b0_from_b3")
        print(evaluation.metrics["miou"], evaluation.metrics["AP"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.2.0"

if TYPE_CHECKING:
    from human_edge_detection.advanced.classifier_distillation import ClassifierDistillationLoss
    from human_edge_detection.api.benchmarking import benchmark
    from human_edge_detection.api.data import prepare_data
    from human_edge_detection.api.experiments import derive, describe, get_config, list_configs, register
    from human_edge_detection.api.quantization import quantize
    from human_edge_detection.api.results import (
        compare,
        comparison_table,
        evaluate,
        evaluate_exported,
        export,
        load_model,
        load_run,
        report,
    )
    from human_edge_detection.api.training import (
        load_soft_labels,
        preview_experiments,
        run_experiments,
        soft_labels,
        train,
        verify_resume,
    )
    from human_edge_detection.errors import HumanEdgeDetectionError
    from human_edge_detection.experiments.schema.experiment import ExperimentConfig
    from human_edge_detection.exporters.predictor import Predictor
    from human_edge_detection.log import setup_logging

__all__ = [
    "ClassifierDistillationLoss",
    "ExperimentConfig",
    "HumanEdgeDetectionError",
    "Predictor",
    "__version__",
    "benchmark",
    "compare",
    "comparison_table",
    "derive",
    "describe",
    "evaluate",
    "evaluate_exported",
    "export",
    "get_config",
    "list_configs",
    "load_model",
    "load_run",
    "load_soft_labels",
    "prepare_data",
    "preview_experiments",
    "quantize",
    "register",
    "report",
    "run_experiments",
    "setup_logging",
    "soft_labels",
    "train",
    "verify_resume",
]

_MODULES: Final = {
    "advanced.classifier_distillation": ("ClassifierDistillationLoss",),
    "api.benchmarking": ("benchmark",),
    "api.data": ("prepare_data",),
    "api.experiments": ("derive", "describe", "get_config", "list_configs", "register"),
    "api.quantization": ("quantize",),
    "api.results": (
        "compare",
        "comparison_table",
        "evaluate",
        "evaluate_exported",
        "export",
        "load_model",
        "load_run",
        "report",
    ),
    "api.training": (
        "load_soft_labels",
        "preview_experiments",
        "run_experiments",
        "soft_labels",
        "train",
        "verify_resume",
    ),
    "errors": ("HumanEdgeDetectionError",),
    "experiments.schema.experiment": ("ExperimentConfig",),
    "exporters.predictor": ("Predictor",),
    "log": ("setup_logging",),
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
