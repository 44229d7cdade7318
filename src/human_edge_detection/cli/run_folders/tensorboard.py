"""``hed tensorboard``: TensorBoard on the folder of a run, or of all."""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
import sys
from pathlib import Path
from typing import Final

from human_edge_detection.cli.arguments.experiment import path_argument, text_argument
from human_edge_detection.errors import ConfigError

_HIGHEST_PORT: Final = 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed tensorboard``."""
    parser.add_argument(
        "place",
        nargs="?",
        type=text_argument,
        metavar="RUN|DIR",
        help="a run, by folder or by name below --output_dir, or a folder of runs (default: --output_dir)",
    )
    parser.add_argument(
        "--output_dir", type=path_argument, default=Path("experiments"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--port", type=int, default=6006, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--host", type=text_argument, default="localhost", help="who may look: 0.0.0.0 is everybody (%(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Becomes TensorBoard, whose exit code it has.

    Raises:
        ConfigError: There is no such run or folder, TensorBoard is not installed, or the port cannot be used.
    """
    folder = _folder(args.place, args.output_dir)
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError("TensorBoard is not installed; uv sync installs it, or pip install tensorboard")
    _check_port(args.host, args.port)
    sys.stdout.write(f"TensorBoard of {folder}: http://{args.host}:{args.port} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    words = ["-m", "tensorboard.main", "--logdir", str(folder), "--host", args.host, "--port", str(args.port)]
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - signals are its own from here on


def _folder(place: str | None, output_dir: Path) -> Path:
    given = output_dir if place is None else Path(place)
    if given.is_dir():
        return given
    if place is None:
        raise ConfigError(f"--output_dir {output_dir}: no such folder; give the one that the training named, or a RUN")
    from human_edge_detection.runs.lookup.find import find_runs

    return find_runs(place, output_dir).folder


def _check_port(host: str, port: int) -> None:
    """Refuses a port that nothing can be reached at, before seconds of imports."""
    if not 1 <= port <= _HIGHEST_PORT:
        raise ConfigError(f"--port {port}: expected 1 to {_HIGHEST_PORT}")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise ConfigError(f"--host {host}: {error.strerror}; give localhost, or an address of this machine") from error
    except OSError as error:
        raise ConfigError(
            f"--port {port}: {error.strerror} (by a TensorBoard that runs already? http://{host}:{port}); give another "
            "--port"
        ) from error
