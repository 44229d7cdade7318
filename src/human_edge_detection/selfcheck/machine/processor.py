"""Processor cores that this process may use, and threads that it starts on them."""

from __future__ import annotations

import os
from typing import Final

from human_edge_detection.limits import CGROUP_ROOT, OWN_GROUPS, allowed_cores, cpu_limit, own_groups, usable_cores
from human_edge_detection.load import Load, load_by_others
from human_edge_detection.selfcheck.machine.finding import Finding, ok, warning
from human_edge_detection.threads import THREADS, WAIT_POLICY, is_too_much, threads_of

_MANY_CORES: Final = 16
_SHOWN: Final = 3
"""So many processes are named, and none that takes less of a core than that:"""
_LEAST_CORES: Final = 0.1


def examine_processor() -> list[Finding]:
    """Cores, the limits on them, and what others compute on them."""
    allowed = allowed_cores()
    return [
        check_cores(os.cpu_count() or 1, allowed, cpu_limit(own_groups(CGROUP_ROOT, OWN_GROUPS))),
        check_load(load_by_others(), usable_cores(), threads_of(os.environ, allowed)),
        check_waiting(os.environ.get(WAIT_POLICY)),
    ]


def check_cores(cores: int, allowed: int, limit: float | None) -> Finding:
    """How many of the machine's ``cores`` are left after affinity and the container's ``limit``."""
    text = f"{cores} cores"
    if allowed < cores:
        text += f", {allowed} allowed to this process"
    if limit is not None and limit < allowed:
        text += f", limited to the time of {limit:g} (cgroup)"
    usable = allowed if limit is None else min(limit, allowed)
    if usable < 2:
        return warning("cores", text, "give it 2 cores or more: one trains while another reads images")
    return ok("cores", text)


def check_threads(usable: float, threads: int, variable: str | None) -> Finding:
    """Whether PyTorch's ``threads`` fit the ``usable`` cores; ``variable`` is the value of ``OMP_NUM_THREADS``."""
    name = "threads"
    wanted = max(int(usable), 1)
    text = f"PyTorch uses {threads} ({THREADS} {'is not set' if variable is None else f'is {variable}'})"
    if threads > max(usable, 1):
        return warning(name, f"{text}, more than the {usable:g} usable cores", f"export {THREADS}={wanted}")
    if variable is None and usable > _MANY_CORES:
        advice = f"export {THREADS}={_MANY_CORES // 2} when several runs share this machine"
        return warning(name, f"{text}, on {usable:g} usable cores", advice)
    return ok(name, text)


def check_load(load: Load | None, usable: float, threads: int) -> Finding:
    """Whether a training with so many ``threads`` would find the ``usable`` cores free."""
    name = "load"
    if load is None:
        return ok(name, "this system does not tell what other processes compute")
    text = f"other processes keep {load.cores:.1f} of {usable:g} usable cores busy"
    busiest = [one for one in load.processes[:_SHOWN] if one.cores >= _LEAST_CORES]
    if busiest:
        shown = (f"{one.name} {one.pid}: {one.cores:.1f}, {one.threads} threads" for one in busiest)
        text += f" ({'; '.join(shown)})"
    if not is_too_much(threads, load.cores, usable):
        return ok(name, text)
    text += f"; a training here adds {threads} thread{'' if threads == 1 else 's'}, and all get slower"
    share = max(int(usable) // 2, 1)
    advice = "wait until they have ended"
    if threads > 1:
        advice += f", or give each its share of the cores (export {THREADS}={share} before it starts)"
    return warning(name, text, advice)


def check_waiting(policy: str | None) -> Finding:
    """What ``OMP_WAIT_POLICY`` makes of threads that wait for others."""
    name = "waiting threads"
    if policy is None:
        return ok(name, f"{WAIT_POLICY} is not set: a training chooses by the load when it starts")
    text = f"{WAIT_POLICY} is {policy}"
    if policy.strip().lower() == "active":
        return warning(name, f"{text}: they take cores that other processes could use", f"unset {WAIT_POLICY}")
    return ok(name, text)
