"""One child process for each run: its own memory and accelerator, and a crash that stays its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple


class Ended(NamedTuple):
    """How a child process ended.

    Attributes:
        pid: Its process id.
        returncode: Its exit code; minus the number of the signal that killed it.
        interrupted: The user stopped the batch (Ctrl-C or SIGTERM) while it ran.
    """

    pid: int
    returncode: int
    interrupted: bool = False


def launch(command: Sequence[str]) -> Ended:
    """Runs ``command`` with this terminal as its own, and waits for it, also after Ctrl-C.

    Ctrl-C reaches the child from the terminal, which then saves its state and ends; SIGTERM reaches only this process,
    so it is handed on. Call it from the main thread, the only one that may handle signals.
    """
    stopped = False
    process = subprocess.Popen(command)

    def hand_on(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        process.send_signal(number)

    previous = signal.signal(signal.SIGTERM, hand_on)
    try:
        while True:
            try:
                return Ended(process.pid, process.wait(), stopped)
            except KeyboardInterrupt:
                stopped = True
    finally:
        signal.signal(signal.SIGTERM, previous)


def export_command(checkpoint: Path) -> list[str]:
    """The child process that exports ``checkpoint`` to ONNX and checks it."""
    return [sys.executable, "-m", "human_edge_detection", "export", "--checkpoint", str(checkpoint)]
