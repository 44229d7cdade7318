"""Which categories of a data set are persons."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from human_edge_detection.data.annotations.polygons_and_rle import shorten
from human_edge_detection.errors import ConfigError, DataError, did_you_mean

_DEFAULT = "person"
_MAX_NAMED = 8
"""Categories that a message names."""


def choose_categories(categories: Mapping[str, int], wanted: str | None, source: str) -> list[str]:
    """The categories that are taken as person; upper and lower case are the same.

    Args:
        categories: Number of annotations by name. Those without any do not count: tools write categories that nobody
            uses, such as Roboflow's root category.
        wanted: Names with commas between them; None: ``person``.
        source: The data set, for messages.

    Raises:
        ConfigError: A wanted category has no annotations; names those that have.
        DataError: None is wanted and ``person`` has no annotations, or no category has.
    """
    used = {name: count for name, count in categories.items() if count}
    if not used:
        raise DataError(f"{source}: no annotations of any category that it lists, expected persons with masks")
    folded = {_fold(name) for name in used}
    text = _DEFAULT if wanted is None else wanted
    # A name may have a comma of its own.
    names = [text] if _fold(text) in folded else [part for part in text.split(",") if part.strip()]
    missing = next((name for name in names if _fold(name) not in folded), None)
    if missing is None and names:
        return [name for name in used if _fold(name) in {*map(_fold, names)}]
    found = f"found {counted(used)}"
    if wanted is not None:
        near = did_you_mean(missing, used) if missing else ""
        raise ConfigError(f"--category {wanted!r}: {source} has no annotations of {missing or wanted!r}{near}; {found}")
    advice = "say which are persons: --category NAME[,NAME...]"
    if len(used) == 1:
        advice = f"if these are persons, add --category {shlex.quote(next(iter(used)))}"
    raise DataError(f"{source}: no annotations of the category {_DEFAULT!r}, {found}; {advice}")


def _fold(name: str) -> str:
    return name.strip().casefold()


def counted(categories: Mapping[str, int]) -> str:
    """Names and numbers of annotations, the most used first: ``'man' (120 annotations), 'dog' (3)``."""
    ordered = sorted(categories.items(), key=lambda item: -item[1])
    named = [f"{shorten(name)} ({count})" for name, count in ordered[:_MAX_NAMED]]
    named[:1] = [f"{shorten(name)} ({count} annotation{'s' * (count != 1)})" for name, count in ordered[:1]]
    rest = len(ordered) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")
