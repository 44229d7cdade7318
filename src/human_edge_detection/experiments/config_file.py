"""Reading an experiment from a YAML or JSON file, and YAML values from the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from human_edge_detection.errors import ConfigError

MAX_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """Safe YAML in which ``1e-3`` is a number (YAML 1.2), a key given twice is an error, and anchors are refused."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        node = super().compose_node(parent, index)
        if node is not None and node in self.anchors.values():
            raise yaml.MarkedYAMLError(problem="anchors are not supported", problem_mark=node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def parse_value(text: str) -> Any:
    """A value as YAML writes it: ``3``, ``1e-3``, ``null``, ``[96, 96]``, ``{decay: 0.99}``, anything else a string.

    Raises:
        yaml.YAMLError: The text is not YAML.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - derives from SafeLoader


def read_config_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file.

    Raises:
        ConfigError: No such file, too large, not text, not YAML, or no mapping; names the file and the line.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"--config_file {path}: larger than {MAX_BYTES} bytes; this is not an experiment")
        fields = parse_value(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config_file {path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"--config_file {path}: not a YAML or JSON text ({type(error).__name__})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"--config_file {path}{_place(error)}") from error
    if not isinstance(fields, Mapping) or not all(isinstance(key, str) for key in fields):
        raise ConfigError(f"--config_file {path}: expected a mapping such as 'base: NAME', got {type(fields).__name__}")
    return dict(fields)


def _place(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f", line {error.problem_mark.line + 1}: {error.problem}"
    return ": " + " ".join(str(error).split())
