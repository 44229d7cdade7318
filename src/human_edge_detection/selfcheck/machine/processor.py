"""Processor cores that this process may use, and threads that it starts on them."""

from __future__ import annotations

import os
from typing import Final

from human_edge_detection.limits import CGROUP_ROOT, OWN_GROUPS, allowed_cores, cpu_limit, own_groups
from human_edge_detection.selfcheck.machine.finding import Finding, ok, warning

_MANY_CORES: Final = 16
_VARIABLE: Final = "OMP_NUM_THREADS"


def examine_processor() -> list[Finding]:
    """Cores and the limits on them."""
    return [check_cores(os.cpu_count() or 1, allowed_cores(), cpu_limit(own_groups(CGROUP_ROOT, OWN_GROUPS)))]


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
    text = f"PyTorch uses {threads} ({_VARIABLE} {'is not set' if variable is None else f'is {variable}'})"
    if threads > max(usable, 1):
        return warning(name, f"{text}, more than the {usable:g} usable cores", f"export {_VARIABLE}={wanted}")
    if variable is None and usable > _MANY_CORES:
        advice = f"export {_VARIABLE}={_MANY_CORES // 2} when several runs share this machine"
        return warning(name, f"{text}, on {usable:g} usable cores", advice)
    return ok(name, text)
