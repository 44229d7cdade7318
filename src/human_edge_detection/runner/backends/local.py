"""Children as processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final

from human_edge_detection.errors import BackendError
from human_edge_detection.runner.backends.backend import Ended, Work
from human_edge_detection.runner.backends.standby import Standby, Waiting
from human_edge_detection.runner.backends.start import begin

_STDERR: Final = 2
_LAST_LINES_SECONDS: Final = 2.0
"""Helpers of a child that was killed keep its pipe open until they see that it has gone."""


@dataclass
class LocalJob:
    """A process.

    Attributes:
        work: What it does.
        process: It.
        waiting: The same one where it stood by before it had its command.
        relay: Prints what it says.
        is_cancelled: It was asked to end.
    """

    work: Work
    process: subprocess.Popen[bytes]
    waiting: Waiting | None = None
    relay: threading.Thread | None = None
    is_cancelled: bool = False

    @property
    def label(self) -> str:
        """Its process id."""
        return f"process {self.process.pid}"


class LocalBackend:
    """Each child has this terminal as its own: Ctrl-C reaches it from there.

    Args:
        output: The open file that takes all that children say; None: the standard error of this process.
        standby: May have started a child before its command was known.
        named: Children say plain lines, each behind the name of its run: for several at once.
    """

    def __init__(self, *, output: int | None = None, standby: Standby | None = None, named: bool = False) -> None:
        self._output = output
        self._standby = standby
        self._named = named
        self._jobs: list[LocalJob] = []

    def submit(self, work: Work) -> LocalJob:
        """Starts ``work``.

        Raises:
            BackendError: The system cannot start it.
        """
        waiting = None if self._standby is None or work.environment else self._standby.give(work.command)
        job = self._begin(work) if waiting is None else LocalJob(work, waiting.process, waiting)
        self._jobs.append(job)
        return job

    def poll(self, job: LocalJob) -> bool:
        """Whether the process has ended. One that died before it took its command is replaced by a fresh one."""
        if job.process.poll() is None:
            return False
        if job.waiting is None:
            return True
        died_waiting = job.waiting.died_waiting
        job.waiting.end()
        job.waiting = None
        if not died_waiting or job.is_cancelled or job.process.returncode == -signal.SIGINT:
            return True
        job.process = self._begin(job.work).process
        return False

    def is_queued(self, job: LocalJob) -> bool:
        """Never: processes begin at once."""
        return False

    def cancel(self, job: LocalJob, *, at_once: bool = False) -> None:
        """Sends SIGTERM, or SIGKILL. Helpers of the child (data workers) see for themselves that it has gone."""
        job.is_cancelled = True
        job.process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)

    def result(self, job: LocalJob) -> Ended:
        """How the process ended.

        One that waits for a dead disk or driver outlives even SIGKILL for a while; it still holds its run's lock.
        """
        self._jobs.remove(job)
        if job.relay is not None:
            job.relay.join(_LAST_LINES_SECONDS)
        code = job.process.poll()
        returncode = -signal.SIGKILL if code is None else code
        if self._standby is not None:
            self._standby.heed(returncode)
        return Ended(job.process.pid, returncode)

    def close(self) -> None:
        """Asks the processes that are left to end."""
        for job in self._jobs:
            self.cancel(job)

    def _begin(self, work: Work) -> LocalJob:
        try:
            if self._named:
                return self._begin_named(work)
            return LocalJob(work, begin(work.command, output=self._output, environment=work.environment))
        except OSError as error:
            raise BackendError(f"{work.name}: its process cannot be started: {error}") from error

    def _begin_named(self, work: Work) -> LocalJob:
        reader, writer = os.pipe()
        try:
            process = begin(work.command, output=writer, environment=work.environment)
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        lines = os.fdopen(reader, encoding="utf-8", errors="replace")
        relay = threading.Thread(target=_print_lines, args=(work.name, lines, self._copy_of_output()), daemon=True)
        relay.start()
        return LocalJob(work, process, relay=relay)

    def _copy_of_output(self) -> int | None:
        """For a thread that may outlive this process's own file, whose number is then that of another one."""
        if self._output is None and sys.__stderr__ is None:  # closed from the start
            return None
        return os.dup(_STDERR if self._output is None else self._output)


def _print_lines(name: str, lines: IO[str], target: int | None) -> None:
    """Prints each line behind ``name``, as one write, so that no two get mixed; closes both files."""
    with lines:
        for line in lines:
            if target is not None:
                with suppress(OSError):  # nobody reads them any more
                    os.write(target, f"{name} | {line.rstrip()}\n".encode())
    if target is not None:
        os.close(target)
