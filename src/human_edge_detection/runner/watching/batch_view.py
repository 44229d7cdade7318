"""All runs of a batch in the terminal that it was started in, below the lines that it and its children write."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Self

from human_edge_detection.log import shows_progress, terminal
from human_edge_detection.runner.execution.outcome import Outcome
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.watching.glance import LATER, Glance, counts, glance, seconds_left
from human_edge_detection.runner.watching.table import table
from human_edge_detection.wording import duration

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

_OTHERS_SECONDS: Final = 10.0
"""Between two looks at runs that do not change by this batch: another one may have joined."""
_LAST_LINES_SECONDS: Final = 2.0
"""Helpers of a child that was killed keep the pipe open until they see that it has gone."""
_ROWS_KEPT_FREE: Final = 8
"""Of the terminal: for the heading, the head of the table and some lines of the log."""


class BatchView:
    """A context manager; where the log is no log for people (no terminal, ``NO_COLOR``) it shows nothing.

    Children write to the terminal when and how they like, so while the view is there they write into a pipe, and what
    comes out of it is printed above the view, line by line. When this process is killed they write to nobody, which
    ends none of them (:mod:`human_edge_detection.streams`). Signals reach them as before.

    Args:
        plan: All runs of the batch.
    """

    def __init__(self, plan: Sequence[PlannedRun]) -> None:
        self.children: int | None = None
        """The open file that takes what children say; None: they have this process's own."""
        self._plan = plan
        self._seen: dict[str, Glance] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._under_way: set[str] = set()
        self._looked_at_all = -_OTHERS_SECONDS
        self._live: Live | None = None
        self._relay: threading.Thread | None = None

    def __enter__(self) -> Self:
        if shows_progress() and not all(run.finished for run in self._plan):
            from rich.live import Live

            reader, self.children = os.pipe()
            self._relay = threading.Thread(
                target=_print_lines, args=(os.fdopen(reader, errors="replace"),), daemon=True
            )
            self._relay.start()
            self._live = Live(
                get_renderable=self.view,
                console=terminal(),
                refresh_per_second=1,
                transient=True,
                redirect_stdout=False,  # it may be a file
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is None or self._relay is None or self.children is None:
            return
        os.close(self.children)
        self.children = None
        self._relay.join(_LAST_LINES_SECONDS)
        self._live.stop()

    def started(self, name: str) -> None:
        """The batch has taken the run called ``name``."""
        self._under_way.add(name)

    def settled(self, outcome: Outcome) -> None:
        """A run has come to its end."""
        self._under_way.discard(outcome.name)
        self._outcomes[outcome.name] = outcome

    def runs(self) -> list[Glance]:
        """Where each run of the batch stands, in the order of the plan."""
        now = time.monotonic()
        look_at_all = now - self._looked_at_all >= _OTHERS_SECONDS
        self._looked_at_all = now if look_at_all else self._looked_at_all
        for run in self._plan:
            before = self._seen.get(run.name)
            if look_at_all or before is None or run.name in self._under_way or before.state == "running":
                self._seen[run.name] = glance(run.paths, run.name, batch_at_work=True)
        return [self._in_this_batch(self._seen[run.name], run.config.training.epochs) for run in self._plan]

    def view(self) -> Group:
        """What is shown now."""
        from rich.console import Group
        from rich.text import Text

        runs = self.runs()
        left = seconds_left(runs)
        heading = counts(runs) + ("" if left is None else f"; about {duration(left)} left")
        shown = chosen(runs, max(1, terminal().size.height - _ROWS_KEPT_FREE))
        more = [Text(f"and {len(runs) - len(shown)} more: hed status shows all")] if len(shown) < len(runs) else []
        return Group(Text(heading, style="bold"), table(shown), *more)

    def _in_this_batch(self, run: Glance, epochs: int) -> Glance:
        """``run`` as this batch sees it: what an earlier one left is yet to be trained."""
        outcome = self._outcomes.get(run.name)
        if outcome is not None:
            return run._replace(state=outcome.state, error=outcome.error, seconds_left=None)
        if run.state in ("running", "finished"):
            return run
        state = "starting" if run.name in self._under_way else "waiting"
        return run._replace(state=state, error=None, epochs=epochs)


def chosen(runs: Sequence[Glance], most: int) -> list[Glance]:
    """``most`` of ``runs``, in their order: first those under way, then those that went wrong, then what is next."""
    if len(runs) <= most:
        return list(runs)
    by_rank = sorted(range(len(runs)), key=lambda number: (_rank(runs[number].state), number))
    return [runs[number] for number in sorted(by_rank[:most])]


def _rank(state: str) -> int:
    if state in LATER:
        return 2 if state == "waiting" else 0
    return 3 if state == "finished" else 1


def _print_lines(pipe: IO[str]) -> None:
    """Prints each line of ``pipe`` as it comes, until nobody can write into it any more."""
    from rich.text import Text

    with pipe:
        for line in pipe:
            terminal().print(Text(line.rstrip("\n")), soft_wrap=True)
