"""``hed ui``: a page of this machine to start, watch, stop and continue batches."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from human_edge_detection.cli.arguments.experiment import output_folder, text_argument
from human_edge_detection.errors import ConfigError
from human_edge_detection.ui import LOCAL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed ui``."""
    parser.add_argument(
        "output_dir",
        nargs="?",
        type=output_folder,
        default=Path("experiments"),
        metavar="DIR",
        help="folder of all runs, as --output_dir of hed run (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, default=8765, metavar="N", help="0: any that is free (default: %(default)s)"
    )
    parser.add_argument(
        "--host",
        type=text_argument,
        default=LOCAL,
        help="interface to be asked at; another one than %(default)s is open to others, without encryption",
    )


def run(args: argparse.Namespace) -> int:
    """Answers until Ctrl-C; returns 0. What was started goes on.

    Raises:
        ConfigError: The folder cannot be written, or the port cannot be used.
    """
    _check_folder(args.output_dir)
    from human_edge_detection.runs.checks import check_platform

    check_platform()
    from human_edge_detection.ui.server import UiServer

    with UiServer(args.output_dir, host=args.host, port=args.port) as server:
        if args.host not in (LOCAL, "localhost", "::1"):
            sys.stderr.write(
                f"warning: --host {args.host}: whoever reaches this machine and sees the address may start processes "
                "as you; nothing is encrypted\n"
            )
        sys.stdout.write(f"{args.output_dir}: {server.address} (Ctrl-C ends the page; what was started goes on)\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # how it ends
            sys.stdout.write("\n")
    return 0


def _check_folder(folder: Path) -> None:
    if (folder / "status.json").exists():
        raise ConfigError(f"{folder}: is a run; give the folder of all runs, {folder.parent}")
    standing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not os.access(standing, os.W_OK | os.X_OK):
        raise ConfigError(f"{standing}: cannot be written; give a folder of your own, or look at it with hed status")
