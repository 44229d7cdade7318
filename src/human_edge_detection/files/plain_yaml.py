"""YAML of plain values: what is read from a file or the command line, without YAML's ways to surprise."""

from __future__ import annotations

import re
from typing import Any

import yaml

_MAX_DEPTH = 20
_MAX_VALUES = 10_000
_TEXT, _INTEGER = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class PlainLoader(yaml.SafeLoader):
    """Safe YAML of plain values: numbers as in YAML 1.2, so ``1e-3`` is one and ``1:30`` is none.

    Refused are anchors, tags, control characters, keys that are no text or given twice, and more than a config can
    need: each of them is a way to make a short text into something else, or into much of it.
    """

    key_tags = frozenset({_TEXT})

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise _refusal("anchors are not supported", event)
        if getattr(event, "tag", None) is not None:
            raise _refusal("tags are not supported", event)
        if _NO_TEXT.search(getattr(event, "value", "")):
            raise _refusal("a text with control characters", event)
        self._values += 1
        self._depth += 1
        if self._depth > _MAX_DEPTH or self._values > _MAX_VALUES:
            raise _refusal(f"more than {_MAX_VALUES} values, or {_MAX_DEPTH} of them inside each other", event)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in self.key_tags:
                raise _refusal("a key that is no text", key)
            if key.value in seen:
                raise _refusal(f"{key.value!r} is given twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _refusal(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


PlainLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", list("yYnNtTfFoO")),
    # What is longer than 18 digits stays a text, which the schema refuses where it expects a number.
    ("int", r"[-+]?(0|[1-9][0-9]{0,17})", list("-+0123456789")),
    (
        "float",
        r"[-+]?(([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(inf|Inf|INF))|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
):
    PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class _NumberedLoader(PlainLoader):
    """Takes integers as keys, too."""

    key_tags = frozenset({_TEXT, _INTEGER})


def parse_value(text: str, *, integer_keys: bool = False) -> Any:
    """A value as YAML writes it: ``3``, ``1e-3``, ``null``, ``[96, 96]``, ``{decay: 0.99}``, anything else a string.

    Args:
        text: The YAML.
        integer_keys: Whether keys may be integers, not only texts.

    Raises:
        yaml.YAMLError: The text is not YAML, or more than plain values.
    """
    return yaml.load(text, Loader=_NumberedLoader if integer_keys else PlainLoader)  # noqa: S506 - of SafeLoader


def problem_of(error: yaml.YAMLError) -> str:
    """What is wrong with a YAML text, in one line."""
    problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else None
    return " ".join((problem or str(error)).split())


def line_of(error: yaml.YAMLError) -> str:
    """Where a YAML text is wrong: ``", line 3"``, or nothing when that is not known."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return "" if mark is None else f", line {mark.line + 1}"
