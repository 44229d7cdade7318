"""The flags that say where the runs of a batch are trained."""

from __future__ import annotations

import argparse

from human_edge_detection.cli.arguments.experiment import text_argument
from human_edge_detection.errors import ConfigError


def add_backend_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that say where the runs are trained, and how many at once."""
    group = parser.add_argument_group("where")
    group.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="train N runs at once; on this machine each with a share of the cores or its own GPU, if memory allows "
        "(default: 1), on a cluster as it has room (default: all that can be)",
    )
    group.add_argument(
        "--procs_per_run",
        type=int,
        default=1,
        metavar="K",
        help="train each run in K processes that share its batches; --batch_size is that of all (default: 1)",
    )
    group.add_argument("--gpus_per_run", type=int, default=0, metavar="K", help="the same, with a GPU for each process")
    group.add_argument(
        "--backend",
        type=text_argument,
        default="local",
        metavar="NAME",
        help="local: this machine (default); ray: a Ray cluster; slurm: jobs of SLURM",
    )
    group.add_argument(
        "--address",
        type=text_argument,
        metavar="HOST:PORT|auto",
        help="with --backend ray, its head; auto (default): the cluster that this machine belongs to",
    )
    group.add_argument(
        "--slurm",
        type=text_argument,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="with --backend slurm, a setting of its jobs (repeatable): partition=gpu, gres=gpu:1, time=480 (minutes)",
    )
    group.add_argument("--cores_per_run", type=int, metavar="N", help="with a cluster, cores of each run (default: 1)")


def given_settings(texts: list[str]) -> dict[str, str]:
    """What ``--slurm KEY=VALUE`` gives.

    Raises:
        ConfigError: A key or a value is missing, or a key is given twice.
    """
    settings: dict[str, str] = {}
    for text in texts:
        key, is_given, value = text.partition("=")
        if not (key and is_given and value):
            raise ConfigError(f"--slurm {text}: expected KEY=VALUE, such as partition=gpu")
        if key in settings:
            raise ConfigError(f"--slurm {key}: given as {settings[key]} and as {value}; give one")
        settings[key] = value
    return settings
