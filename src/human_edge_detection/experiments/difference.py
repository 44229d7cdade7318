"""Where two configs differ, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from human_edge_detection.experiments.schema.experiment import ExperimentConfig

Difference = dict[str, tuple[Any, Any]]
"""Dotted path -> (value before, value after)."""


def difference(config: ExperimentConfig, preset: ExperimentConfig) -> Difference:
    """Dotted path -> (value in ``preset``, value in ``config``) where they differ; names and texts left out."""
    texts = {"name", "description"}
    return compare_fields(preset.model_dump(mode="json", exclude=texts), config.model_dump(mode="json", exclude=texts))


def compare_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """Dotted path -> (before, after) where two nested mappings differ; a section on one side only counts as one."""
    return dict(_differences(before, after, ""))


def known_to_differ(one: str | None, other: str | None) -> bool:
    """Whether two fingerprints are of different things; None is unknown, and differs from nothing."""
    return one is not None and other is not None and one != other


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any], path: str
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{path}{key}.")
        else:
            yield f"{path}{key}", (old, new)
