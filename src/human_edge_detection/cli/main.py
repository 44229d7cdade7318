"""``hed COMMAND ...``: finds the command, runs it, turns the user's errors into one line and exit code 2."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Final

from human_edge_detection import __version__
from human_edge_detection.cli.arguments.experiment import Parser
from human_edge_detection.errors import HumanEdgeDetectionError, did_you_mean, explained
from human_edge_detection.limits import is_follower
from human_edge_detection.log import setup_logging
from human_edge_detection.runner import LATENCY, PROBE, STANDBY, TOGETHER, WITH_PARENT
from human_edge_detection.signals import GO_ON, end_at_once, end_with, exit_code, heed_signals
from human_edge_detection.streams import keep_streams
from human_edge_detection.wording import printable

COMMANDS: Final = {
    "train": "train one experiment",
    "soft-labels": "store a teacher's soft labels once, so that students train without it",
    "run": "train, compare and export experiments, with what they depend on",
    "prepare-data": "read COCO, YOLO, LabelMe, Roboflow or CVAT data; keep persons, shrink, check, statistics",
    "describe": "show an experiment: resolved config, parameters, GFLOPs, shapes",
    "evaluate": "all metrics of a run or a checkpoint, COCO AP included",
    "export": "export a run or a checkpoint to ONNX and check it against PyTorch",
    "quantize": "make an exported model one in 8-bit integers, if it stays as right and gets faster",
    "predict": "find persons on images and videos, and write masks, overlays, COCO results and more",
    "benchmark": "latency, memory, size and accuracy of exported models, ours and others', in one table",
    "compare": "compare runs with intervals, or rebuild the comparison from the run folders",
    "report": "write all runs of a folder as one HTML page that opens offline",
    "verify-resume": "kill a short training on this machine and show that it resumes to the same bits",
    "ui": "start, watch, stop and continue batches on a page in the browser",
    "status": "where all batches and runs stand, from another terminal",
    "diff": "config, data, metrics and environment of two runs: what differs",
    "tensorboard": "start TensorBoard on a run, or on all",
    "doctor": "check versions, devices, memory and disk, and train for a minute",
}

_PLACES: Final = {
    **{name: f"run_folders.{name}" for name in ("report", "ui", "status", "diff", "tensorboard")},
    "quantize": "artefacts.quantize",
}
"""Modules of commands that lie in a folder below."""


def main(argv: Sequence[str] | None = None, *, program: str | None = None) -> int:
    """Runs one command.

    Args:
        argv: Command and its arguments; None: those of the process.
        program: What to call the command in messages; None: ``hed COMMAND``.

    Returns:
        0 done, 1 a run failed, 2 the user's error, 75 ended by a scheduler's signal, 130 by Ctrl-C.
    """
    keep_streams()
    argv = sys.argv[1:] if argv is None else argv
    # Small matrix products of many processes: BLAS threads would only wait for each other (6x the CPU time, measured).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if argv[:1] == [WITH_PARENT]:
        end_with(int(argv[1]))
        argv = argv[2:]
    if argv[:1] == [STANDBY]:
        from human_edge_detection.cli.children.standby import stand_by

        argv = stand_by(argv[1:])
        if argv is None:
            return 0
    if argv[:1] == [TOGETHER]:
        from human_edge_detection.cli.children.together import train_together

        return train_together(argv[1:])
    if argv[:1] == [LATENCY]:
        from human_edge_detection.cli.children.latency import measure

        return measure(argv[1:])
    if argv[:1] == [PROBE]:
        from human_edge_detection.cli.children.probe import probe

        return probe(argv[1:])
    try:
        follows = argv[:1] == ["train"] and is_follower()
        # It has nothing to save before the first process of its run calls it.
        end_at_once() if follows else heed_signals()
        result = _follow() if follows else _answer(argv, program)
        sys.stdout.flush()  # a disk that is full is found here, where it becomes one line
    except HumanEdgeDetectionError as error:
        return _fail(" ".join(str(error).split()), run_failed=error.run_failed)
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"{GO_ON}\n")
        return exit_code(interrupt)
    except OSError as error:
        return _fail(f"{error.filename or 'input or output'}: {error.strerror or error}; check the path and the disk")
    return result


def _follow() -> int:
    from human_edge_detection.cli.train import follow  # the first process of the run has read the arguments

    with explained():
        return follow()


def _answer(argv: Sequence[str], program: str | None) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0
    if argv[0] == "--version":
        sys.stdout.write(f"human-edge-detection {__version__}\n")
        return 0
    if argv[0] not in COMMANDS:
        return _fail(f"unknown command {argv[0]!r}{did_you_mean(argv[0], COMMANDS)}; see hed --help")
    return _run(argv[0], argv[1:], program)


def parser_of(command: str, program: str | None = None) -> Parser:
    """The parser of one of :data:`COMMANDS`; what it is called in messages is ``program``, or ``hed COMMAND``."""
    parser = Parser(program or f"hed {command}", COMMANDS[command])
    _module_of(command).add_arguments(parser)
    return parser


def _run(command: str, argv: Sequence[str], program: str | None) -> int:
    args = parser_of(command, program).parse(argv)
    if not getattr(args, "list_configs", False):
        setup_logging()
    with explained():
        result: int = _module_of(command).run(args)
    return result


def _module_of(command: str) -> ModuleType:
    place = _PLACES.get(command, command.replace("-", "_"))
    return importlib.import_module(f"human_edge_detection.cli.{place}")


def _usage() -> str:
    width = max(map(len, COMMANDS))
    commands = "".join(f"  {name:<{width}}  {text}\n" for name, text in COMMANDS.items())
    return f"usage: hed COMMAND ...\n\n{commands}\nhed COMMAND --help shows the flags of a command.\n"


def _fail(message: str, *, run_failed: bool = False) -> int:
    sys.stderr.write(f"error: {printable(message)}\n")
    return 1 if run_failed else 2
