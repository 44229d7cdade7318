"""Reading an experiment from a YAML or JSON file, and writing one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.change import CONFIG_FILE
from human_edge_detection.files.plain_yaml import PlainLoader, line_of, parse_value, problem_of
from human_edge_detection.files.read import read_regular_file

MAX_BYTES = 1_000_000
SUFFIXES = (".yaml", ".yml", ".json")
"""What a config file ends in, by which it is told from the name of an experiment."""
_SHIPPED = Path("configs")
"""Folder of the config files that come with this package: of the clone, and in the wheel below the package."""


class _Dumper(yaml.SafeDumper):
    """Puts texts into quotes which :class:`PlainLoader` would take for something else."""

    yaml_implicit_resolvers = PlainLoader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True


def read_config_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file.

    Raises:
        ConfigError: No such file, too large, not text, not YAML, or no mapping; names the file and the line.
    """
    try:
        fields = parse_value(read_regular_file(path, max_bytes=MAX_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{CONFIG_FILE} {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{CONFIG_FILE} {path}: not a YAML or JSON text ({type(error).__name__})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{CONFIG_FILE} {path}{line_of(error)}: {problem_of(error)}") from error
    if not isinstance(fields, Mapping):
        raise ConfigError(f"{CONFIG_FILE} {path}: expected a mapping such as 'base: NAME', got {type(fields).__name__}")
    return dict(fields)


def line_of_field(path: Path, field: str) -> int:
    """The line, from 1 on, of ``field``, a dotted path, in a file that :func:`read_config_file` has read."""
    text = read_regular_file(path, max_bytes=MAX_BYTES).decode("utf-8-sig")
    node = yaml.compose(text, Loader=PlainLoader)
    for part in field.split("."):
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == part), node)
    return node.start_mark.line + 1 if node is not None else 1


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
