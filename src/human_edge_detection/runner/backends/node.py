"""On a node of a cluster: what it is, and the one child that a cluster has put there. Knows no cluster's library."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

from human_edge_detection import __version__
from human_edge_detection.errors import BackendError
from human_edge_detection.files.lock_state import is_held
from human_edge_detection.runner import WITH_PARENT
from human_edge_detection.runner.backends.backend import Work
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.provenance import git_commit
from human_edge_detection.signals import REQUEUE, STOP_SECONDS

_OWN_VARIABLES: Final = "HED_"
"""Beginning of the names of this package's variables: a child sees the batch's, all others are its node's own."""
_PROGRAM: Final = ("-m", "human_edge_detection")
_SHOWN_DIGITS: Final = 12
_LOOK_SECONDS: Final = 0.5


class Software(NamedTuple):
    """What must be the same on all nodes.

    Attributes:
        version: Of this package.
        commit: Of its working copy; None where it is installed without one.
        torch: Version of PyTorch; None where it is missing.
    """

    version: str
    commit: str | None
    torch: str | None

    def __str__(self) -> str:
        commit = "" if self.commit is None else f", commit {self.commit[:_SHOWN_DIGITS]}"
        return f"{self.version}{commit}, torch {self.torch or 'missing'}"


def software() -> Software:
    """What is installed here."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = None
    return Software(__version__, git_commit(), torch)


class NodeView(NamedTuple):
    """What a node has and sees.

    Attributes:
        host: Its name.
        software: What is installed there.
        sees_folder: The output folder of the batch is there too.
        sees_lock: A lock that the batch holds in it keeps this node out.
    """

    host: str
    software: Software
    sees_folder: bool
    sees_lock: bool


def look(lock: Path) -> NodeView:
    """What this node has, and whether it sees ``lock``, which the batch holds on its own machine."""
    there = lock.exists()
    return NodeView(socket.gethostname(), software(), there, there and is_held(lock))


@dataclass(frozen=True)
class Order:
    """A child for some node.

    Attributes:
        work: What it is to do.
        folder: The current folder of the batch, and of the child.
        interpreter: The Python of the batch. In its place the child has that of its node.
        made_with: What the batch runs with.
        variables: Those of the batch that concern this package.
    """

    work: Work
    folder: Path = field(default_factory=Path.cwd)
    interpreter: str = sys.executable
    made_with: Software = field(default_factory=software)
    variables: Mapping[str, str] = field(
        default_factory=lambda: {name: value for name, value in os.environ.items() if name.startswith(_OWN_VARIABLES)}
    )

    @property
    def output(self) -> Path:
        """Where all that the child says goes."""
        return self.folder / RunPaths(self.work.folder).child_output

    @property
    def command(self) -> list[str]:
        """As it is started here; a command of this package ends soon after the process that started it."""
        first, *rest = self.work.command
        if first != self.interpreter:
            return [first, *rest]
        if tuple(rest[: len(_PROGRAM)]) != _PROGRAM:
            return [sys.executable, *rest]
        return [sys.executable, *_PROGRAM, WITH_PARENT, str(os.getpid()), *rest[len(_PROGRAM) :]]


class Place(NamedTuple):
    """Where a child works.

    Attributes:
        host: Name of its node.
        pid: Its process id there.
    """

    host: str
    pid: int


class NodeChild:
    """One child process on the node that this is made on, which ends when the node is lost to the cluster.

    Args:
        tells_loss: This process ends with it then, so that the cluster hears of a loss and of no exit code.
    """

    def __init__(self, *, tells_loss: bool = False) -> None:
        self._tells_loss = tells_loss
        self._process: subprocess.Popen[bytes] | None = None
        self._node = os.getppid()

    def start(self, order: Order) -> Place:
        """Starts it.

        Raises:
            BackendError: This node runs something else than the batch, or the child cannot be started here.
        """
        host, here = socket.gethostname(), software()
        # Not the commit: that of a working copy which all nodes share may well change while a child is in a queue.
        if here._replace(commit=None) != order.made_with._replace(commit=None):
            raise BackendError(
                f"node {host} has {here}, and this batch {order.made_with}; install the same on all nodes"
            )
        environment = {**os.environ, **order.variables, **order.work.environment, "NO_COLOR": "1"}
        try:
            order.output.parent.mkdir(parents=True, exist_ok=True)
            with order.output.open("ab") as output:
                self._process = subprocess.Popen(
                    order.command,
                    cwd=order.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    process_group=0,  # clusters kill the group of a process that ends, and this one is to save first
                )
        except OSError as error:
            raise BackendError(f"{order.work.name}: its process cannot be started on node {host}: {error}") from error
        return Place(host, self._process.pid)

    def wait(self, place: Place) -> int:
        """Its exit code, once it has ended.

        A worker whose node has died (the process that it was started by) may itself wait here for ever: the cluster has
        given both up, so that the child has to save its state and leave the run to another node.

        Args:
            place: What :meth:`start` returned, so that it comes first.
        """
        while not self.ends_within(_LOOK_SECONDS):
            if self._is_given_up():
                self.end()
        if self._tells_loss and self._is_given_up():
            os._exit(REQUEUE)  # the child's own could still get through, and be taken for that of one that failed
        assert self._process is not None
        return self._process.wait()

    def _is_given_up(self) -> bool:
        """Whether the node that started this process has died."""
        return os.getppid() != self._node

    def end(self) -> None:
        """Asks it to save its state and end, and kills it when that takes too long."""
        if self._process is None:
            return
        self.cancel(at_once=False)
        if not self.ends_within(STOP_SECONDS):
            self.cancel(at_once=True)

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended, now or within so long."""
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def cancel(self, *, at_once: bool) -> None:
        """Asks it to save its state and end, or kills it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)
