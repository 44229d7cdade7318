"""The limits of a container: control groups of Linux, versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
_NO_LIMIT: Final = 2**60
"""Version 1 writes a number near 2**63 where there is no limit."""


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
