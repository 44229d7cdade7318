"""Memory, shared memory and open files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from human_edge_detection.limits import (
    CGROUP_ROOT,
    OWN_GROUPS,
    SHARED_MEMORY,
    memory_limit,
    memory_used,
    own_groups,
    read_meminfo,
)
from human_edge_detection.selfcheck.machine.finding import Finding, ok, problem, warning
from human_edge_detection.wording import GIB, gib

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# Less than what is needed is a problem, less than what is advised a warning.
_NEEDED_MEMORY: Final = 2 * GIB
_ADVISED_MEMORY: Final = 4 * GIB
_ADVISED_SHARED_MEMORY: Final = GIB // 4
_ADVISED_OPEN_FILES: Final = 1024


def examine_memory() -> list[Finding]:
    """What this process may use; nothing about what this system does not tell."""
    return list(_examine())


def _examine() -> Iterator[Finding]:
    groups = own_groups(CGROUP_ROOT, OWN_GROUPS)
    try:
        total, available = read_meminfo()
        yield check_memory(total, available, memory_limit(groups), memory_used(groups))
    except OSError:
        yield ok("memory", "this system does not tell")
    if hasattr(os, "statvfs") and SHARED_MEMORY.is_dir():
        status = os.statvfs(SHARED_MEMORY)
        yield check_shared_memory(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)
    if resource is not None:
        yield check_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def check_memory(total: int, available: int, limit: int | None, used: int | None = None) -> Finding:
    """Whether there is memory to train in.

    Args:
        total: Of the machine, bytes.
        available: Of the machine, now.
        limit: Of the container; None: none.
        used: Of the container, now.
    """
    name, text = "memory", f"{gib(available)} of {gib(total)} available"
    if limit is not None and limit < total:
        text += f", limited to {gib(limit)} (cgroup)"
        available = min(available, limit - (used or 0))
    if available < _NEEDED_MEMORY:
        return problem(
            name, text, f"end other programs or raise the limit; training needs {gib(_NEEDED_MEMORY)} or more"
        )
    if available < _ADVISED_MEMORY:
        return warning(name, text, "keep --batch_size and --num_workers small")
    return ok(name, text)


def check_shared_memory(total: int, available: int) -> Finding:
    """Whether data workers can hand their batches over quickly; containers often have 64 MiB for it."""
    name, text = str(SHARED_MEMORY), f"{gib(available)} of {gib(total)} available"
    if available < _ADVISED_SHARED_MEMORY:
        advice = "start the container with --shm-size=2g (or --ipc=host), or train with --num_workers 0"
        return warning(name, f"{text}; data workers hand batches over through it, else through slower pipes", advice)
    return ok(name, text)


def check_open_files(limit: int) -> Finding:
    """Whether enough files can be open; ``limit`` is -1 where there is none."""
    name = "open files"
    if 0 <= limit < _ADVISED_OPEN_FILES:
        return warning(name, f"at most {limit}", f"ulimit -n {4 * _ADVISED_OPEN_FILES}; data workers need many")
    return ok(name, "no limit" if limit < 0 else f"at most {limit}")
