"""What a config field means, and which values it takes, in words: from the schema, which nobody writes down again."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_BOUNDS: Final = {"gt": "above {}", "ge": "at least {}", "lt": "below {}", "le": "at most {}"}
_LENGTHS: Final = {"min_length": "at least {} characters", "max_length": "at most {} characters"}
_MARKS: Final = (":attr:", ":class:", ":func:", ":data:", ":mod:")


def sections_of(annotation: Any, *, lists: bool = False) -> tuple[type[BaseModel], ...]:
    """The sections that a field with this annotation may hold; with ``lists`` those too that it may hold a list of."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return (annotation,)
    if get_origin(annotation) is tuple and not lists:
        return ()
    return tuple(section for part in get_args(annotation) for section in sections_of(part, lists=lists))


def meaning_of(section: type[BaseModel], name: str) -> str:
    """What the field ``name`` of ``section`` does, in one line; empty where nothing says so.

    That is its description, the text below it in its class, or what the section that it holds says of itself.
    """
    field = section.model_fields[name]
    texts = (_texts_below_fields(owner).get(name) for owner in section.__mro__[: section.__mro__.index(BaseModel)])
    text = field.description or next(filter(None, texts), None)
    if text is None:
        held = sections_of(field.annotation, lists=True)
        text = held[0].__doc__ if len(held) == 1 else None
    return one_line(text or "")


def one_line(text: str) -> str:
    """A docstring without line breaks and without marks of reStructuredText, code between single backticks."""
    words = " ".join(text.split()).replace("``", "`")
    for mark in _MARKS:
        words = words.replace(mark, "")
    return words


def range_of(field: FieldInfo) -> str:
    """``at least 0, at most 1``; of a list that of its elements; empty where any value of the type will do."""
    limits = [*field.metadata, *_limits_below(field.annotation)]
    found = (
        words.format(f"{value:g}" if isinstance(value, float) else value)
        for limit in limits
        for name, words in (_BOUNDS | _LENGTHS).items()
        if isinstance(value := getattr(limit, name, None), int | float)
    )
    return ", ".join(dict.fromkeys(found))


def choices_of(annotation: Any) -> tuple[str | int, ...]:
    """What a field may be one of; empty where it takes more than that."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return ()


def _limits_below(annotation: Any) -> Iterator[Any]:
    """Limits of the elements of a list, or of what is not null."""
    if sections_of(annotation) or get_origin(annotation) is Literal:
        return
    for limit in getattr(annotation, "__metadata__", ()):
        yield limit
        yield from getattr(limit, "metadata", ())
    for part in get_args(annotation):
        yield from _limits_below(part)


@cache
def _texts_below_fields(owner: type) -> Mapping[str, str]:
    """Field -> the text that stands below it in the class, which Python does not keep."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    except (OSError, TypeError):  # made by create_model, or built in
        return {}
    texts = {}
    for field, below in pairwise(tree.body if isinstance(tree, ast.ClassDef) else []):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = ast.literal_eval(below.value) if isinstance(below.value, ast.Constant) else None
            if isinstance(text, str):
                texts[field.target.id] = text
    return texts
