"""Backends whose children are functions of the test itself."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from human_edge_detection.runner.backends.backend import Ended, Work
from human_edge_detection.runner.execution.launch import LOOK_SECONDS

CHILD_PAUSE = LOOK_SECONDS / 2
"""Pauses below it are between two looks at a child; longer ones are for other processes or another attempt."""
Steps = Generator[None, None, Ended]
Run = Callable[[Sequence[str]], Ended | Steps]


class Cancelled(Exception):
    """Is raised in a child that is asked to end."""


@dataclass
class Call:
    """What a function made of its command: its end, or what it does between two polls."""

    steps: Steps | None
    ended: Ended | None = None
    label: str = "a call"


class Calls:
    """``run`` in place of a child: what it returns, or one step of it for each poll until it returns that."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def submit(self, work: Work) -> Call:
        found = self.run(work.command)
        return Call(None, found) if isinstance(found, Ended) else Call(found)

    def poll(self, job: Call) -> bool:
        if job.ended is None:
            assert job.steps is not None
            try:
                next(job.steps)
            except StopIteration as end:
                job.ended = end.value
        return job.ended is not None

    def is_queued(self, job: Call) -> bool:
        return False

    def cancel(self, job: Call, *, at_once: bool = False) -> None:
        if job.ended is None:
            assert job.steps is not None
            try:
                job.steps.throw(Cancelled)
            except StopIteration as end:
                job.ended = end.value

    def result(self, job: Call) -> Ended:
        assert job.ended is not None
        return job.ended

    def close(self) -> None:
        pass
