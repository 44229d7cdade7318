"""What ``--sweep`` asks for: fields, and the values or the range that each of them takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, NamedTuple

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import Change, Overrides, parse_change

FLAG: Final = "--sweep"
_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE: Final = re.compile(rf"\s*({_NUMBER})\.\.({_NUMBER})(:\w+)?\s*")
_WHOLE: Final = re.compile(r"[-+]?\d+")
_OPENING, _CLOSING, _QUOTES = "[{(", "]})", "\"'"

Combination = tuple[Change, ...]
"""One value for each axis."""


class Range(NamedTuple):
    """All values from ``low`` to ``high``, both included; whole numbers when both are."""

    low: int | float
    high: int | float
    log: bool = False


@dataclass(frozen=True)
class Axis:
    """One swept field.

    Attributes:
        path: Dotted.
        values: What it is set to; empty for a range.
        bounds: What it is searched in; None for values.
    """

    path: str
    values: tuple[Any, ...] = ()
    bounds: Range | None = None

    @property
    def first(self) -> Any:
        """One of its values, to check the sweep with."""
        return self.values[0] if self.bounds is None else self.bounds.low

    @property
    def ends(self) -> tuple[Any, ...]:
        """All its values, or both ends of its range."""
        return self.values if self.bounds is None else (self.bounds.low, self.bounds.high)

    @property
    def count(self) -> int | None:
        """How many different values it can take; None: more than can be counted."""
        if self.bounds is None:
            return len(self.values)
        low, high, _ = self.bounds
        return high - low + 1 if isinstance(low, int) and isinstance(high, int) else None

    def __str__(self) -> str:
        if self.bounds is None:
            return f"{self.path}={','.join(map(label, self.values))}"
        return f"{self.path}={self.bounds.low}..{self.bounds.high}{':log' if self.bounds.log else ''}"

    def change(self, value: Any) -> Change:
        """The change that sets it."""
        return Change(self.path, value, FLAG)


def label(value: Any) -> str:
    """A value as text, equal for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def parse_axes(texts: Sequence[str], overrides: Overrides, *, searched: bool) -> tuple[Axis, ...]:
    """The axes of ``section.field=a,b,c`` or, where values are searched for, ``section.field=low..high[:log]``.

    Args:
        texts: As typed.
        overrides: What the rest of the command line changes.
        searched: Ranges are allowed.

    Raises:
        ConfigError: Not of this form, no such field, a field swept twice or set as well.
    """
    axes = tuple(_parse(text) for text in texts)
    for position, axis in enumerate(axes):
        if axis.bounds is not None and not searched:
            raise ConfigError(f"{FLAG} {axis}: a range is searched with --trials N; for a grid list the values, a,b,c")
        for other in axes[:position]:
            if _overlap(axis.path, other.path):
                raise ConfigError(f"{FLAG} {axis.path} and {FLAG} {other.path} change the same field; give one")
        for change in overrides.changes:
            # Values of a --config_file are there to be overridden, as --set does.
            if not change.from_file and _overlap(axis.path, change.path):
                raise ConfigError(f"{FLAG} {axis.path}: {change.source} sets it, too ({change.path}); give one")
    return axes


def combinations(axes: Sequence[Axis]) -> tuple[Combination, ...]:
    """Every combination of the values of ``axes``, the last axis changing fastest."""
    choices = ([axis.change(value) for value in axis.values] for axis in axes)
    return tuple(product(*choices))


def probes(axes: Sequence[Axis]) -> tuple[Combination, ...]:
    """Combinations in which each value and each end of a range is once, to find what is wrong before any training."""
    first = tuple(axis.change(axis.first) for axis in axes)
    others = (
        (*first[:position], axis.change(value), *first[position + 1 :])
        for position, axis in enumerate(axes)
        for value in axis.ends[1:]
    )
    return (first, *others)


def _parse(text: str) -> Axis:
    path, equals, values = text.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"{FLAG} {text}: expected section.field=a,b,c, such as {FLAG} distillation.alpha=0.5,0.7")
    if _RANGE.fullmatch(values):
        return Axis(parse_change(f"{path}=null", FLAG).path, bounds=_parse_range(text, values))
    parts = list(_split(values))
    if not all(part.strip() for part in parts):
        raise ConfigError(f"{FLAG} {text}: an empty value; write null to turn a section off")
    changes = [parse_change(f"{path}={part}", FLAG) for part in parts]
    return Axis(changes[0].path, tuple({label(change.value): change.value for change in changes}.values()))


def _parse_range(text: str, values: str) -> Range:
    match = _RANGE.fullmatch(values)
    assert match is not None
    ends, scale = match.groups()[:2], match.group(3)
    whole = all(_WHOLE.fullmatch(end) for end in ends)
    low, high = ((int if whole else float)(end) for end in ends)
    if scale not in (None, ":log"):
        raise ConfigError(f"{FLAG} {text}: expected low..high or low..high:log, got {scale!r}")
    if not low < high or (scale is not None and low <= 0):
        raise ConfigError(f"{FLAG} {text}: expected low < high{', both above 0' if scale else ''}")
    return Range(low, high, log=scale is not None)


def _split(values: str) -> Iterator[str]:
    """The parts between commas that are in no bracket and in no quotes."""
    depth, quote, start = 0, "", 0
    for position, character in enumerate(values):
        if quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == "," and depth <= 0:
            yield values[start:position]
            start = position + 1
    yield values[start:]


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")
