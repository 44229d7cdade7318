"""How waiting threads of OpenMP wait, chosen by what else this machine computes, before PyTorch is imported.

It changes no result: the number of threads, on which the rounding of sums depends, stays as it is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Final

from human_edge_detection.limits import allowed_cores, usable_cores
from human_edge_detection.load import load_by_others

logger = logging.getLogger(__name__)

THREADS: Final = "OMP_NUM_THREADS"
WAIT_POLICY: Final = "OMP_WAIT_POLICY"
_CHOSEN_BY_USER: Final = (WAIT_POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_SLACK: Final = 0.5
"""Cores more than there are that threads and other work may want: what data are read with, an editor, a browser."""


def threads_of(environment: Mapping[str, str], allowed: int) -> int:
    """Threads that OpenMP will start: as the ``environment`` says, else one for each ``allowed`` core."""
    first = environment.get(THREADS, "").partition(",")[0].strip()
    return int(first) if first.isdigit() and int(first) else allowed


def may_be_chosen(environment: Mapping[str, str], threads: int) -> bool:
    """Whether how threads wait is open: there are several, and the user has not set it."""
    return threads > 1 and not any(environment.get(name) for name in _CHOSEN_BY_USER)


def thread_environment(*, threads: int, usable: float, others: float) -> dict[str, str]:
    """Variables for a process with so many ``threads``.

    Args:
        threads: It has two or more.
        usable: Cores that it may keep busy, a container's limit included.
        others: Cores that others keep busy.
    """
    return {WAIT_POLICY: "passive"} if is_too_much(threads, others, usable) else {}


def is_too_much(threads: int, others: float, usable: float) -> bool:
    """Whether so many ``threads`` and what ``others`` keep busy are more than the ``usable`` cores."""
    return threads + others > usable + _SLACK


def choose_waiting() -> None:
    """Sets in this process's environment how its threads will wait, where the user has not.

    OpenMP reads it when it is loaded, with PyTorch: it is too late for a process that has imported that.
    """
    threads = threads_of(os.environ, allowed_cores())
    if not may_be_chosen(os.environ, threads):
        return
    load = load_by_others()
    if load is None:
        return
    chosen = thread_environment(threads=threads, usable=usable_cores(), others=load.cores)
    os.environ.update(chosen)
    if chosen:
        logger.info(
            "others keep %.1f of %g cores busy and %d threads start here: they sleep while they wait; see hed doctor",
            load.cores,
            usable_cores(),
            threads,
        )
