"""What can run the children of a batch: this machine, a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

AUTO: Final = "auto"
"""As an address: the Ray cluster that this machine belongs to."""


@dataclass(frozen=True)
class Work:
    """One child of a batch: what is run, and what it needs.

    Attributes:
        name: Of the run; for messages.
        folder: The run folder; a backend may keep its own files (a script, a log) in it, nothing else.
        command: The child, a command of this package.
        cores: Processor threads it computes with; 0: as many as it likes.
        gpus: GPUs it may see; 0: those that this process sees.
        memory: Bytes it is thought to need; None: unknown.
        environment: Set beside the environment of this process.
    """

    name: str
    folder: Path
    command: tuple[str, ...]
    cores: int = 0
    gpus: int = 0
    memory: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class Ended(NamedTuple):
    """How a child process ended.

    Attributes:
        pid: Its process id, which it writes into its status; 0: unknown.
        returncode: Its exit code; minus the number of the signal that killed it.
        interrupt: What asked this process to end while the child ran; None when nothing did.
        hung: It was stopped because it showed no sign of life.
        pruned: It was stopped because its scores fell behind those of others.
        lost: Its machine was lost or taken back: as if killed, although it may have saved its state before.
        output: Where all that it said is; None: on this terminal.
    """

    pid: int
    returncode: int
    interrupt: KeyboardInterrupt | None = None
    hung: bool = False
    pruned: bool = False
    lost: bool = False
    output: Path | None = None

    @property
    def said(self) -> str:
        """Where its output is, in words."""
        return "its output is above" if self.output is None else f"its output is in {self.output}"


class Job(Protocol):
    """One submitted child; what a backend needs to find it again."""

    @property
    def label(self) -> str:
        """Process id, task id, job id: for messages."""


J = TypeVar("J", bound=Job)


class Backend(Protocol[J]):
    """Runs children. Nothing here waits; the batch asks again and again.

    A child whose machine was lost or taken back ends as ``lost``: the batch starts it again, anywhere, without using up
    ``--retries``, and it goes on from its last checkpoint, as run folders lie on shared storage.
    """

    def submit(self, work: Work) -> J:
        """Starts ``work``, or puts it into the cluster's queue.

        Raises:
            BackendError: It cannot be started.
        """

    def poll(self, job: J) -> bool:
        """Whether ``job`` has ended."""

    def is_queued(self, job: J) -> bool:
        """Whether ``job`` has not begun: until then no sign of life is awaited."""

    def cancel(self, job: J, *, at_once: bool = False) -> None:
        """Asks ``job`` to save its state and end (SIGTERM); ``at_once``: kills it. Nothing where it has ended."""

    def result(self, job: J) -> Ended:
        """How ``job`` ended, after :meth:`poll` said that it did, or it was killed and stays for all that."""

    def close(self) -> None:
        """Lets go of the cluster; what still runs is cancelled."""
