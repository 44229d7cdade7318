"""The parser, and the flags that training one experiment and training many have in common."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.experiments.flags import DATA_FLAGS, DISTILLATION_FLAGS, FLAGS, TRAINING_FLAGS, Flag

if TYPE_CHECKING:
    from human_edge_detection.experiments.overrides import Overrides

_NO_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


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

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Ends the process after ``--help``; an error when that could not be written."""
        sys.stdout.flush()
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        """Raises what every mistake of the user raises."""
        raise ConfigError(f"{message}; see {self.prog} --help")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of commands about one run: which experiment, and :func:`add_experiment_arguments`."""
    parser.add_argument(
        "--config",
        "--config-name",
        metavar="NAME|FILE",
        help="experiment, or a YAML file based on one; default: rgb_hierarchical_unet_v2_distillation_b0_from_b3",
    )
    add_experiment_arguments(parser)


def add_experiment_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that change an experiment or say where its run goes."""
    parser.add_argument("--list_configs", action="store_true", help="list all experiments and stop")
    parser.add_argument(
        "--output_dir", type=output_folder, default=Path("experiments"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--run_name", metavar="NAME", help="folder of the run; default: experiment and changes")
    add_change_arguments(parser)


def add_change_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that change an experiment; :func:`given_overrides` reads them."""
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
    for title, flags in (
        ("data (default: HED_DATA_ROOT, else ./data)", DATA_FLAGS),
        ("training", TRAINING_FLAGS),
        ("distillation", DISTILLATION_FLAGS),
    ):
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


def given_overrides(args: argparse.Namespace) -> Overrides:
    """What the flags of :func:`add_change_arguments` change.

    Raises:
        ConfigError: The file cannot be used, or a path is unknown.
    """
    from human_edge_detection.experiments.overrides import collect

    flags = {flag.name: getattr(args, flag.destination) for flag in FLAGS}
    return collect(config_file=args.config_file, sets=args.sets, flags=flags)


class OneRun(TypedDict):
    """What the functions that take one experiment are called with."""

    config: str | None
    changes: Overrides
    output_dir: Path
    run_name: str | None


def one_run(args: argparse.Namespace) -> OneRun:
    """What the flags of :func:`add_run_arguments` ask for.

    Raises:
        ConfigError: As :func:`given_overrides`.
    """
    return {
        "config": args.config,
        "changes": given_overrides(args),
        "output_dir": args.output_dir,
        "run_name": args.run_name,
    }


def show_configs() -> int:
    """Writes every experiment and group with its description; plain text, since names are long and get searched."""
    from human_edge_detection.experiments.config_manager import list_configs, list_groups

    lines = [f"{config.name}\n    {config.description}" for config in list_configs()]
    lines += [f"{name} (group)\n    {', '.join(members)}" for name, members in list_groups().items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


class _Once(argparse.Action):
    """Stores a value; refuses another one for the same setting, under whichever of its spellings."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest)
        if before is not None and before != values:
            parser.error(f"{'/'.join(self.option_strings)}: given as {before} and as {values}; give one")
        setattr(namespace, self.dest, values)


def _add(group: argparse._ArgumentGroup, flag: Flag) -> None:
    if flag.kind is bool:
        group.add_argument(flag.name, *flag.aliases, action="store_const", const=True, help=flag.help)
        return
    choices = flag.choices or None
    metavar = None if choices else {int: "N", float: "X", str: "VALUE"}[flag.kind]
    kind: Callable[[str], Any] = text_argument if flag.kind is str else flag.kind
    if flag.word is not None:
        metavar, kind = f"{metavar}|{flag.word}", partial(_number_or_word, flag.word)
    names = (flag.name, *flag.aliases)
    group.add_argument(*names, action=_Once, type=kind, choices=choices, metavar=metavar, help=flag.help)


def _number_or_word(word: str, text: str) -> int | str:
    """A whole number, or ``word``."""
    if text == word:
        return word
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a whole number or {word}, got {text!r}{did_you_mean(text, [word])}"
        ) from None
