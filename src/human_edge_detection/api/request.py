"""From the arguments of the functions to what the runner takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from human_edge_detection.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from human_edge_detection.experiments.named import Given
    from human_edge_detection.experiments.overrides import Overrides
    from human_edge_detection.runner.execution.request import BatchRequest

OUTPUT_DIR = "experiments"
"""Folder of all runs, in the current one, unless another is given."""


def check_choice(name: str, given: str, choices: Collection[str]) -> None:
    """Refuses an argument ``name`` that is none of ``choices``.

    Raises:
        ConfigError: It is none of them; names the nearest.
    """
    if given not in choices:
        raise ConfigError(f"--{name} {given}: expected {', '.join(choices)}{did_you_mean(given, choices)}")


def check_count(name: str, given: object, *, may_be_none: bool) -> None:
    """Refuses an argument ``name`` that is no whole number; the command line has made sure of its own.

    Raises:
        ConfigError: It is something else.
    """
    if type(given) is not int and not (given is None and may_be_none):
        raise ConfigError(f"{name}={given!r}: expected a whole number")


def overrides_of(changes: Mapping[str, Any] | Overrides | None) -> Overrides:
    """``changes`` as overrides; those that the command line has collected stay as they are.

    Raises:
        ConfigError: There is no such field.
    """
    from human_edge_detection.experiments.overrides import NO_OVERRIDES, Overrides, collect_changes

    if changes is None:
        return NO_OVERRIDES
    return changes if isinstance(changes, Overrides) else collect_changes(changes)


def request_for_one(
    config: Given | None,
    changes: Mapping[str, Any] | Overrides | None,
    output_dir: str | Path,
    run_name: str | None,
    resume: str | Path | None = None,
) -> BatchRequest:
    """The one run that is asked for; the default experiment when none is named.

    Raises:
        ConfigError: As :func:`request_for_many`.
    """
    from human_edge_detection.experiments.registry import DEFAULT_NAME

    overrides = overrides_of(changes)
    if config is None and overrides.base is None and resume is None:
        config = DEFAULT_NAME
    return request_for_many(() if config is None else config, overrides, output_dir, run_name, resume)


def request_for_many(
    configs: Given | Iterable[Given],
    changes: Mapping[str, Any] | Overrides | None,
    output_dir: str | Path,
    run_name: str | None,
    resume: str | Path | None,
    *,
    skip_training: bool = False,
) -> BatchRequest:
    """The runs that are asked for.

    Raises:
        ConfigError: An experiment or a field is unknown, none is named, or both ``resume`` and a whole config say what
            to train.
    """
    from human_edge_detection.experiments.named import named_experiments
    from human_edge_detection.experiments.schema.experiment import ExperimentConfig
    from human_edge_detection.runner.execution.request import BatchRequest

    overrides = overrides_of(changes)
    if isinstance(configs, str | Path | ExperimentConfig):
        configs = [configs]
    named = named_experiments(configs, overrides)
    if not named.names and resume is None:
        raise ConfigError("no experiment named; give --configs NAME ... (--list_configs shows all)")
    if resume is not None and named.configs:
        raise ConfigError(f"resume={resume}: its run decides what is trained; leave the config out, or give its name")
    changed = overrides.changes or overrides.file or named.files or named.configs or run_name or resume
    return BatchRequest(
        **named._asdict(),
        output_dir=Path(output_dir),
        overrides=overrides,
        run_name=run_name,
        resume=None if resume is None else Path(resume),
        as_it_is=skip_training and not changed,
    )
