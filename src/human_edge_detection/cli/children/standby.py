"""A child of a batch that imports first and is told afterwards what to do; other side: ``runner/backends``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Final

from human_edge_detection.runner.backends.standby import WITH_EXPORTS
from human_edge_detection.signals import end_at_once

_TRAINING: Final = "human_edge_detection.engine.session.execute"
_EXPORTS: Final = "human_edge_detection.exporters.onnx"


def stand_by(arguments: Sequence[str]) -> list[str] | None:
    """Imports what a training needs, then waits for a command.

    Until it comes, Ctrl-C and a scheduler's signal end this process without a word, as nothing is under way.

    Args:
        arguments: The file descriptor of the pipe that it comes through, and what else to import.

    Returns:
        The command and its arguments, which are now those of this process; None: there is none, the batch has ended.
    """
    end_at_once()
    import_module(_TRAINING)
    if WITH_EXPORTS in arguments:
        import_module(_EXPORTS)
    with Connection(int(arguments[0]), writable=False) as pipe:
        try:
            command: list[str] = json.loads(pipe.recv_bytes())
        except EOFError:
            return None
    sys.argv[1:] = command
    return command
