"""The base of all sections of an experiment, and the ranges that several of them use."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0)]
Size = tuple[Annotated[int, Field(ge=8, le=4096)], Annotated[int, Field(ge=8, le=4096)]]
"""(height, width) in pixels."""
NO_EFFECT: Final[dict[str, Any]] = {"identity": "no effect"}
"""``json_schema_extra`` of a field that does not change what a run computes: it does not make it another run."""
BY_CONTENT: Final[dict[str, Any]] = {"identity": "by content"}
"""Of a field that says where something lies: what lies there makes the run, not the path."""
GROWTH: Final[dict[str, Any]] = {"identity": "growth"}
"""Of a field that changes when a run grows to more epochs."""


class Section(BaseModel):
    """Base of all sections: frozen, strict, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())
