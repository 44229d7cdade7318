"""A child that imports what trainings need while the run before it ends, so that the next run starts at once."""

from __future__ import annotations

import json
import logging
import multiprocessing
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from human_edge_detection.limits import available_memory
from human_edge_detection.runner import STANDBY
from human_edge_detection.runner.backends.start import begin
from human_edge_detection.wording import GIB

logger = logging.getLogger(__name__)

WITH_EXPORTS: Final = "--with_exports"
"""The same child also imports what exports need."""
LEAST_MEMORY: Final = 4 * GIB
"""With less available no child stands by: it takes 0.8 GB beside the training, some of it shared."""


class Standby:
    """May have started a child before its command was known.

    Such a child is a new process as any other, with the environment of this one. Until it is given a command it holds
    no lock, writes nothing and has no CUDA context, and it ends when its pipe closes: with this process, however that
    ends. A context manager, which ends a child that was never given a command.

    Args:
        exports: Whether the children will export.
        output: The open file that takes all that the children say; None: the standard error of this process.
    """

    def __init__(self, *, exports: bool, output: int | None = None) -> None:
        self._exports = exports
        self._output = output
        self._waiting: Waiting | None = None
        self._is_off = False

    def prepare(self) -> None:
        """Starts the child of the next command, unless one stands by already or memory is short."""
        if self._is_off or self._waiting is not None:
            return
        memory = available_memory()
        if memory is None or memory < LEAST_MEMORY:
            return
        try:
            self._waiting = Waiting(exports=self._exports, output=self._output)
        except OSError as error:  # it would only have saved time
            logger.debug("no child stands by: %s", error)
            self._is_off = True

    def give(self, command: Sequence[str]) -> Waiting | None:
        """The child that stood by and has ``command`` now; None: there is none, or it is no command of this package."""
        if self._waiting is None or list(command[: len(_PROGRAM)]) != _PROGRAM:
            return None
        child, self._waiting = self._waiting, None
        if child.process.poll() is not None:  # somebody has ended it
            child.end()
            return None
        child.give(command)
        return child

    def heed(self, returncode: int) -> None:
        """A child has ended so: after a bad end nothing that was prepared beside it is used."""
        if returncode:
            self.end()
        if returncode < 0:
            self._is_off = True  # killed: often as memory was short

    def end(self) -> None:
        """Ends the child that stands by, if there is one."""
        if self._waiting is not None:
            self._waiting.end()
            self._waiting = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


_PROGRAM: Final = [sys.executable, "-m", "human_edge_detection"]


class Waiting:
    """A process that waits at the other end of a pipe for one command.

    Attributes:
        process: It.
    """

    def __init__(self, *, exports: bool, output: int | None) -> None:
        self._reader, self._writer = multiprocessing.Pipe(duplex=False)
        pipe = self._reader.fileno()
        flags = [WITH_EXPORTS] if exports else []
        try:
            self.process = begin([*_PROGRAM, STANDBY, str(pipe), *flags], pass_fds=[pipe], output=output)
        except OSError:
            self._close()
            raise

    def give(self, command: Sequence[str]) -> None:
        """Lets it do ``command``."""
        self._writer.send_bytes(json.dumps(command[len(_PROGRAM) :]).encode())

    @property
    def died_waiting(self) -> bool:
        """Whether it has ended, and what it was given still lies in the pipe."""
        return self.process.poll() is not None and self._reader.poll()

    def end(self) -> None:
        """Kills it, unless it has ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._close()

    def _close(self) -> None:
        self._reader.close()
        self._writer.close()
