"""The terms of the distillation by the class of their settings, collected from the modules of this package.

Each module states what it has as ``LOGIT_TERMS`` or ``FEATURE_TERMS``: settings class -> function. To add a term, add
its settings to :mod:`human_edge_detection.experiments.schema.distillation` and a module with its function here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Final

from torch import Tensor

from human_edge_detection.advanced import distillation_terms
from human_edge_detection.experiments.schema.distillation import TermSettings

LogitTerm = Callable[..., Tensor]
"""``(settings, student, teacher, target, temperature) -> scalar`` of the logits ``(N, C, H, W)`` of one head."""
FeatureTerm = Callable[[Tensor, Tensor], Tensor]
"""``(student, teacher) -> scalar`` of the decoder features ``(B, C, H, W)``; has no temperature."""


def _modules() -> Iterator[ModuleType]:
    for module in iter_modules(distillation_terms.__path__):
        if module.name != "terms":
            yield import_module(f"{distillation_terms.__name__}.{module.name}")


def _collect(table: str) -> dict[type[TermSettings], Any]:
    return {kind: term for module in _modules() for kind, term in getattr(module, table, {}).items()}


LOGIT_TERMS: Final[Mapping[type[TermSettings], LogitTerm]] = _collect("LOGIT_TERMS")
FEATURE_TERMS: Final[Mapping[type[TermSettings], FeatureTerm]] = _collect("FEATURE_TERMS")
