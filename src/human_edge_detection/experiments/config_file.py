"""Reading an experiment from a YAML or JSON file, and YAML values from the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from human_edge_detection.errors import ConfigError
from human_edge_detection.files.read import read_regular_file

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_VALUES = 10_000
SUFFIXES = (".yaml", ".yml", ".json")
"""What a config file ends in, by which it is told from the name of an experiment."""
_SHIPPED = Path("configs")
"""Folder of the config files that come with this package: of the clone, and in the wheel below the package."""
_TEXT = "tag:yaml.org,2002:str"
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """Safe YAML of plain values: numbers as in YAML 1.2, so ``1e-3`` is one and ``1:30`` is none.

    Refused are anchors, tags, control characters, keys that are no text or given twice, and more than an experiment
    can need: each of them is a way to make a short text into something else, or into much of it.
    """

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
        if self._depth > MAX_DEPTH or self._values > MAX_VALUES:
            raise _refusal(f"more than {MAX_VALUES} values, or {MAX_DEPTH} of them inside each other", event)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != _TEXT:
                raise _refusal("a key that is no text", key)
            if key.value in seen:
                raise _refusal(f"{key.value!r} is given twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _refusal(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


_Loader.yaml_implicit_resolvers = {}
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
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class _Dumper(yaml.SafeDumper):
    """Puts texts into quotes which :class:`_Loader` would take for something else."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True


def parse_value(text: str) -> Any:
    """A value as YAML writes it: ``3``, ``1e-3``, ``null``, ``[96, 96]``, ``{decay: 0.99}``, anything else a string.

    Raises:
        yaml.YAMLError: The text is not YAML, or more than plain values.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - derives from SafeLoader


def read_config_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file.

    Raises:
        ConfigError: No such file, too large, not text, not YAML, or no mapping; names the file and the line.
    """
    try:
        fields = parse_value(read_regular_file(path, max_bytes=MAX_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"--config_file {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--config_file {path}: not a YAML or JSON text ({type(error).__name__})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"--config_file {path}{_line(error)}: {problem_of(error)}") from error
    if not isinstance(fields, Mapping):
        raise ConfigError(f"--config_file {path}: expected a mapping such as 'base: NAME', got {type(fields).__name__}")
    return dict(fields)


class GivenConfig(NamedTuple):
    """What one ``--config`` names: an experiment or a group, or else a config file."""

    name: str | None
    file: Path | None


def split_config(text: str) -> GivenConfig:
    """Whether ``text`` is the name of an experiment or the path of a config file.

    A path that does not exist may be one of :func:`shipped_configs`.

    Raises:
        ConfigError: It is a path that leads nowhere, or to a file with another suffix.
    """
    if not text.lower().endswith(SUFFIXES):
        if "/" in text:
            raise ConfigError(
                f"--config {text}: no name of an experiment, which has no '/', and no config file, which ends in "
                f"{', '.join(SUFFIXES)}; --list_configs shows all experiments"
            )
        return GivenConfig(text, None)
    path = Path(text)
    if not path.exists():
        shipped = shipped_configs()
        if path not in shipped:
            raise ConfigError(
                f"--config {text}: no such file; give the path of a YAML or JSON file, or the name of an experiment "
                f"(--list_configs); with this tool come {' and '.join(map(str, shipped))}"
            )
        path = shipped[path]
    return GivenConfig(None, path)


def shipped_configs() -> dict[Path, Path]:
    """The config files that come with this package: the path that names each from any folder, and where it lies."""
    package = Path(__file__).parents[1]
    installed, cloned = package / _SHIPPED, package.parents[1] / _SHIPPED
    folder = installed if installed.is_dir() else cloned
    return {_SHIPPED / file.name: file for file in sorted(folder.glob("*.yaml"))}


def split_configs(texts: Sequence[str], config_file: Path | None = None) -> tuple[list[str], Path | None]:
    """The names among ``texts``, each as in :func:`split_config`, and the one config file of a command line.

    Args:
        texts: What was given to ``--config`` or ``--configs``.
        config_file: What was given to ``--config_file``.

    Raises:
        ConfigError: As :func:`split_config`, or there are two config files.
    """
    given = [split_config(text) for text in texts]
    files = [one.file for one in given if one.file is not None] + ([] if config_file is None else [config_file])
    if len(files) > 1:
        raise ConfigError(f"{files[0]} and {files[1]}: two config files, which may contradict each other; give one")
    return [one.name for one in given if one.name is not None], files[0] if files else None


def config_file_text(fields: Mapping[str, Any]) -> str:
    """``fields`` as YAML that :func:`read_config_file` reads back as the same values."""
    return yaml.dump(dict(fields), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None)


def problem_of(error: yaml.YAMLError) -> str:
    """What is wrong with a YAML text, in one line."""
    problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else None
    return " ".join((problem or str(error)).split())


def _line(error: yaml.YAMLError) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return "" if mark is None else f", line {mark.line + 1}"
