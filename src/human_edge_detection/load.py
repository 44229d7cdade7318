"""What else computes on this machine now, from two readings of ``/proc`` a moment apart."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
_SECONDS: Final = 0.25
"""Between two readings: the system counts in hundredths of a second."""


class Process(NamedTuple):
    """What one process has done so far.

    Attributes:
        name: Of its program.
        parent: The process that started it.
        ticks: Processor time that it has used, in the system's units.
        threads: How many it has.
    """

    name: str
    parent: int
    ticks: int
    threads: int


class Reading(NamedTuple):
    """What a machine has done so far.

    Attributes:
        busy: Processor time that the cores worked which this process may use, in the system's units.
        total: The same and the time in which they had nothing to do.
        processes: By their number; those of other containers cannot be seen.
    """

    busy: int
    total: int
    processes: Mapping[int, Process]


class Computing(NamedTuple):
    """A process that computes; ``cores`` is what it takes of the processor's time."""

    pid: int
    name: str
    cores: float
    threads: int


class Load(NamedTuple):
    """What others take of the cores that this process may use.

    Attributes:
        cores: So many of them.
        processes: Those who can be seen, the busiest first.
    """

    cores: float
    processes: tuple[Computing, ...]


def load_by_others() -> Load | None:
    """What others compute during the next quarter of a second; None where the system does not tell.

    This process and its own children are not others. Nor are, when it was started by the same Python (by a batch),
    that one and all that it has started: they know of each other.
    """
    try:
        cores = os.sched_getaffinity(0)
        before = _read(_PROC, cores)
        time.sleep(_SECONDS)
        after = _read(_PROC, cores)
    except (OSError, AttributeError, ValueError):
        return None
    return load_between(before, after, len(cores), own=family(after.processes, _root_of_family()))


def load_between(before: Reading, after: Reading, cores: int, *, own: Collection[int]) -> Load:
    """What processes but the ``own`` have computed between two readings, on so many ``cores``."""
    elapsed = max(1, after.total - before.total) / cores
    used = {
        pid: (process.ticks - before.processes[pid].ticks) / elapsed if pid in before.processes else 0.0
        for pid, process in after.processes.items()
    }
    by_others = (after.busy - before.busy) / elapsed - sum(used[pid] for pid in own if pid in used)
    computing = [
        Computing(pid, process.name, round(used[pid], 2), process.threads)
        for pid, process in after.processes.items()
        if pid not in own and used[pid] > 0
    ]
    return Load(round(max(0.0, by_others), 2), tuple(sorted(computing, key=lambda one: -one.cores)))


def family(processes: Mapping[int, Process], root: int) -> set[int]:
    """``root`` and all that it has started, and they in turn."""
    members, found = {root}, {root}
    while found:
        found = {pid for pid, process in processes.items() if process.parent in found} - members
        members |= found
    return members


def parse_cores(text: str, cores: Collection[int]) -> tuple[int, int]:
    """Busy and total time of these cores, from the text of ``/proc/stat``."""
    busy = total = 0
    for line in text.splitlines():
        name, *numbers = line.split()
        if name.removeprefix("cpu").isdigit() and int(name.removeprefix("cpu")) in cores:
            times = [int(number) for number in numbers[:8]]  # those that follow are part of the first two
            total += sum(times)
            busy += sum(times) - times[3] - times[4]  # idle, and idle until a disk answers
    return busy, total


def parse_process(text: str) -> Process:
    """From the text of ``/proc/PID/stat``: the name is in brackets and may have any, too."""
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    return Process(name, int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[17]))


def _read(proc: Path, cores: Collection[int]) -> Reading:
    processes = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError):  # it has just ended
                processes[int(folder.name)] = parse_process((folder / "stat").read_text(errors="replace"))
    return Reading(*parse_cores((proc / "stat").read_text(), cores), processes)


def _root_of_family() -> int:
    """The parent when it runs the same Python, else this process."""
    parent = os.getppid()
    with suppress(OSError):
        if (_PROC / str(parent) / "exe").readlink() == (_PROC / "self" / "exe").readlink():
            return parent
    return os.getpid()
