"""What this process may take of the machine: cores, memory, open files, limits of a container (control groups)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from human_edge_detection.errors import ConfigError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108
"""Where Linux keeps memory that processes share; containers have 64 MiB of it by default."""
_OPEN_FILES: Final = Path("/dev/fd")
CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
OWN_GROUPS: Final = Path("/proc/self/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")
_OWN_STATUS: Final = Path("/proc/self/status")
_FORGET_PEAK: Final = (Path("/proc/self/clear_refs"), "5")
"""What to write where, so that Linux counts the peak of a process anew."""
CORES: Final = "HED_CORES"
"""Variable of the environment: cores that a process may keep busy, for one of several that share them."""
_NO_LIMIT: Final = 2**60
"""Version 1 writes a number near 2**63 where there is no limit."""


def available_memory() -> int | None:
    """Bytes that this process may still take, in its container too; None where the system does not tell."""
    try:
        _, available = read_meminfo()
    except (OSError, KeyError):
        return None
    groups = own_groups(CGROUP_ROOT, OWN_GROUPS)
    limit = memory_limit(groups)
    return available if limit is None else min(available, limit - (memory_used(groups) or 0))


def resident_memory() -> int | None:
    """Bytes that this process holds in memory now; None where the system does not tell."""
    return _own_kib("VmRSS")


def peak_memory() -> int | None:
    """Most bytes that this process has held in memory; None where the system does not tell.

    Not ``getrusage``, whose peak begins with that of the parent.
    """
    return _own_kib("VmHWM")


def forget_peak_memory() -> None:
    """From now on :func:`peak_memory` counts anew, where the system can."""
    with suppress(OSError):
        _FORGET_PEAK[0].write_text(_FORGET_PEAK[1])


def free_shared_memory() -> int | None:
    """Bytes that processes may still share; None where the system does not tell."""
    try:
        status = os.statvfs(SHARED_MEMORY)
    except (OSError, AttributeError):
        return None
    return status.f_bavail * status.f_frsize


def room_for_open_files(wanted: int) -> int | None:
    """How many more files this process may open; None: there is no limit, or the system does not tell.

    Args:
        wanted: For so many its own limit is raised, as far as the system lets it.
    """
    if resource is None:
        return None
    try:
        used = len(list(_OPEN_FILES.iterdir()))
    except OSError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    need = used + wanted
    raised = need if hard == resource.RLIM_INFINITY else min(need, hard)
    if soft < raised:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return max(0, soft - used)


def read_meminfo() -> tuple[int, int]:
    """Total and available bytes of the machine.

    Raises:
        OSError: This system does not tell.
    """
    return parse_meminfo(_MEMINFO.read_text())


def parse_meminfo(text: str) -> tuple[int, int]:
    """Total and available bytes from the text of ``/proc/meminfo``."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    total, available = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total, available


def own_groups(root: Path, membership: Path) -> list[Path]:
    """The folders whose limits hold for this process, from its own groups up; empty where there are none.

    Args:
        root: Where the control groups are mounted.
        membership: ``/proc/self/cgroup``: lines of ``number:controllers:path``.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    return list(dict.fromkeys(folder for line in lines for folder in _folders(root, *line.split(":", 2)[1:])))


def memory_limit(groups: Iterable[Path]) -> int | None:
    """The smallest memory limit of the groups, bytes."""
    texts = [text for group in groups for text in _texts(group, "memory.max", "memory.limit_in_bytes")]
    limits = [int(text) for text in texts if text.isdigit() and int(text) < _NO_LIMIT]
    return min(limits, default=None)


def memory_used(groups: Iterable[Path]) -> int | None:
    """What the innermost group uses, bytes, without the cache of files, which gives way."""
    for group in groups:
        used = next((int(text) for text in _texts(group, "memory.current", "memory.usage_in_bytes")), None)
        if used is not None:
            lines = (line.split() for text in _texts(group, "memory.stat") for line in text.splitlines())
            cached = {name: int(size) for name, size in lines}
            return used - cached.get("total_inactive_file", cached.get("inactive_file", 0))
    return None


def usable_cores() -> float:
    """Cores that this process can keep busy: its share of them; a container's limit may be a fraction."""
    limit = cpu_limit(own_groups(CGROUP_ROOT, OWN_GROUPS))
    share = os.environ.get(CORES, "")
    shares = [int(share)] if share.isdecimal() and int(share) > 0 else []
    return min([allowed_cores(), *([] if limit is None else [limit]), *shares])


class Place(NamedTuple):
    """Where a process stands among those that train one run.

    Attributes:
        number: From 0; the first one alone writes.
        total: How many there are.
        local_number: The same on this machine.
        local_total: How many there are on this machine.
        launcher: Process id of what started it and its fellows on this machine, which a batch knows the run by.
    """

    number: int
    total: int
    local_number: int
    local_total: int
    launcher: int


def place_among_many() -> Place | None:
    """By the variables that torchrun sets (``RANK``, ``WORLD_SIZE``, ...); None: this process trains alone.

    Raises:
        ConfigError: They are not numbers that fit together.
    """
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        return None
    texts = [os.environ["RANK"], os.environ["WORLD_SIZE"]]
    texts += [os.environ.get("LOCAL_RANK", texts[0]), os.environ.get("LOCAL_WORLD_SIZE", texts[1])]
    if not all(text.isdigit() for text in texts) or int(texts[0]) >= int(texts[1]):
        raise ConfigError(
            f"RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE are {', '.join(texts)} in the environment: expected "
            "numbers as torchrun sets them; unset them to train in one process"
        )
    number, total, local_number, local_total = map(int, texts)
    return Place(number, total, local_number, local_total, os.getppid()) if total > 1 else None


def is_follower() -> bool:
    """Whether this process trains a run together with others, and is not the first of them.

    Raises:
        ConfigError: As for :func:`place_among_many`.
    """
    place = place_among_many()
    return place is not None and place.number > 0


def allowed_cores() -> int:
    """Cores that this process may run on (``taskset``, a scheduler's binding)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_limit(groups: Iterable[Path]) -> float | None:
    """The smallest limit of processor time, in cores."""
    limits = []
    for group in groups:
        quotas = _texts(group, "cpu.max") or [" ".join(_texts(group, "cpu.cfs_quota_us", "cpu.cfs_period_us"))]
        for quota, period in (text.split() for text in quotas if len(text.split()) == 2):
            if quota.isdigit() and period.isdigit() and int(period):
                limits.append(int(quota) / int(period))
    return min(limits, default=None)


def _folders(root: Path, controllers: str, path: str) -> Iterator[Path]:
    """Folders of one line of the membership, innermost first; in a container ``path`` may lie outside of its view."""
    top = root if not controllers else root / controllers
    inner = top / path.strip("/")
    yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top) and folder.is_dir())


def _texts(group: Path, *names: str) -> list[str]:
    found = []
    for name in names:
        try:
            found.append((group / name).read_text().strip())
        except OSError:
            continue
    return found


def _own_kib(field: str) -> int | None:
    """A field of this process's status, which is in KiB, as bytes."""
    try:
        lines = _OWN_STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)
