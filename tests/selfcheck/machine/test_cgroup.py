"""Limits of control groups, both versions, as their files look."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from human_edge_detection.selfcheck.machine.cgroup import cpu_limit, memory_limit, memory_used, own_groups


def lay_out(root: Path, files: Mapping[str, str], membership: str) -> list[Path]:
    for name, content in files.items():
        (root / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "fs" / name).write_text(f"{content}\n")
    (root / "membership").write_text(membership)
    return own_groups(root / "fs", root / "membership")


@pytest.mark.parametrize(
    ("files", "membership", "memory", "used", "cores"),
    [
        ({"memory.max": "max", "cpu.max": "max 100000"}, "0::/\n", None, None, None),
        (
            {
                "memory.max": "4096",
                "memory.current": "1000",
                "memory.stat": "anon 5\ninactive_file 300",
                "cpu.max": "150000 100000",
            },
            "0::/\n",
            4096,
            700,
            1.5,
        ),
        (
            {"a/memory.max": "max", "memory.max": "99", "a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"},
            "0::/a/b\n",
            99,
            None,
            2.0,
        ),
        ({"a/memory.max": "5", "c/memory.max": "1"}, "0::/a/gone\n", 5, None, None),
        (
            {
                "memory/docker/memory.limit_in_bytes": "8192",
                "memory/docker/memory.usage_in_bytes": "100",
                "memory/docker/memory.stat": "cache 90\ninactive_file 10\ntotal_inactive_file 60",
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "cpu,cpuacct/cpu.cfs_quota_us": "300000",
                "cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            "4:memory:/docker\n1:cpu,cpuacct:/docker\n0::/\n",
            8192,
            40,
            3.0,
        ),
        (
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            "1:cpu:/\n",
            None,
            None,
            None,
        ),
    ],
    ids=["no limits", "version 2", "of groups above", "in a container", "version 1", "version 1 without limits"],
)
def test_limits(
    tmp_path: Path,
    files: Mapping[str, str],
    membership: str,
    memory: int | None,
    used: int | None,
    cores: float | None,
) -> None:
    groups = lay_out(tmp_path, files, membership)
    assert (memory_limit(groups), memory_used(groups), cpu_limit(groups)) == (memory, used, cores)


def test_a_system_without_groups_has_no_limits(tmp_path: Path) -> None:
    assert own_groups(tmp_path, tmp_path / "missing") == []
