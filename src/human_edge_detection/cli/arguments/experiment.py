"""The parser, and the flags that training one experiment and training many have in common."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.experiments.flags import DATA_FLAGS, DISTILLATION_FLAGS, FLAGS, TRAINING_FLAGS, Flag

_NO_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,119}(/seed_\d+)?")


class Parser(argparse.ArgumentParser):
    """Full flag names only; an error is a :class:`ConfigError`, with the nearest flag for an unknown one."""

    def __init__(self, program: str, description: str) -> None:
        super().__init__(prog=program, description=description, allow_abbrev=False)

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments; ends the process with code 0 after ``--help``.

        Raises:
            ConfigError: They are wrong.
        """
        args, unknown = self.parse_known_args(argv)
        if unknown:
            near = did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unknown argument {unknown[0]}{near}")
        return args

    def error(self, message: str) -> NoReturn:
        """Raises what every mistake of the user raises."""
        raise ConfigError(f"{message}; see {self.prog} --help")


def add_experiment_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that change an experiment or say where its run goes."""
    parser.add_argument("--list_configs", action="store_true", help="list all experiments and stop")
    parser.add_argument(
        "--config_file",
        type=path_argument,
        metavar="FILE",
        help="YAML or JSON with 'base: EXPERIMENT' and changed sections",
    )
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        default=[],
        metavar="SECTION.FIELD=VALUE",
        help="change any field (repeatable); null turns an optional section off, {} turns it on",
    )
    parser.add_argument(
        "--output_dir", type=output_folder, default=Path("experiments"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--run_name", metavar="NAME", help="folder of the run; default: experiment and changes")
    parser.add_argument("--init_from", type=path_argument, metavar="PATH", help="start a new run from these weights")
    for title, flags in (("data", DATA_FLAGS), ("training", TRAINING_FLAGS), ("distillation", DISTILLATION_FLAGS)):
        group = parser.add_argument_group(title)
        for flag in flags:
            _add(group, flag)


def text_argument(text: str) -> str:
    """``text`` when it can stand in a config: Linux allows arguments and names that are no text."""
    if not text or _NO_TEXT.search(text):
        raise argparse.ArgumentTypeError(f"expected UTF-8 text without control characters, got {text!r}")
    return text


def path_argument(text: str) -> Path:
    """``text`` as a path."""
    return Path(text_argument(text))


def output_folder(text: str) -> Path:
    """``text`` as the path of a folder that exists or can be made."""
    path = path_argument(text)
    standing = next((place for place in (path, *path.parents) if os.path.lexists(place)), None)
    if standing is not None and not standing.is_dir():
        raise argparse.ArgumentTypeError(f"{standing} is not a folder; give another path")
    return path


def output_file(text: str) -> Path:
    """``text`` as the path of a file that exists or can be made."""
    path = path_argument(text)
    if path.exists() and not path.is_file():
        raise argparse.ArgumentTypeError(f"{path} is a folder or a pipe; give the name of a file")
    output_folder(str(path.parent))
    return path


def flag_values(args: argparse.Namespace) -> Mapping[str, Any]:
    """Flag name -> value of the dedicated flags; None for one not given."""
    return {flag.name: getattr(args, flag.destination) for flag in FLAGS}


def check_run_name(name: str | None) -> str | None:
    """``name`` when it can be a folder below the output folder.

    Raises:
        ConfigError: It cannot.
    """
    if name is not None and _RUN_NAME.fullmatch(name) is None:
        raise ConfigError(f"--run_name {name!r}: expected letters, digits and _ . + - (at most 120)")
    return name


def check_init_from(path: Path | None) -> Path | None:
    """``path`` when it is a file.

    Raises:
        ConfigError: It is not.
    """
    if path is not None and not path.is_file():
        raise ConfigError(f"--init_from: no such file: {path}")
    return path


def show_configs() -> int:
    """Writes every experiment and group with its description; plain text, since names are long and get searched."""
    from human_edge_detection.experiments.config_manager import list_configs, list_groups

    lines = [f"{config.name}\n    {config.description}" for config in list_configs()]
    lines += [f"{name} (group)\n    {', '.join(members)}" for name, members in list_groups().items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _add(group: argparse._ArgumentGroup, flag: Flag) -> None:
    if flag.kind is bool:
        group.add_argument(flag.name, *flag.aliases, action="store_const", const=True, help=flag.help)
        return
    choices = flag.choices or None
    metavar = None if choices else {int: "N", float: "X", str: "VALUE"}[flag.kind]
    kind = text_argument if flag.kind is str else flag.kind
    group.add_argument(flag.name, *flag.aliases, type=kind, choices=choices, metavar=metavar, help=flag.help)
