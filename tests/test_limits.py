"""Limits of control groups, both versions, as their files look."""

import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from human_edge_detection import limits
from human_edge_detection.errors import ConfigError
from human_edge_detection.limits import (
    available_memory,
    cpu_limit,
    free_shared_memory,
    memory_limit,
    memory_used,
    own_groups,
    place_among_many,
    room_for_open_files,
    usable_cores,
)


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


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 2048 * 1024),
        ({"memory.max": "max", "memory.current": "7"}, 2048 * 1024),
        ({"memory.max": "4096", "memory.current": "1000", "memory.stat": "inactive_file 300"}, 3396),
        ({"memory.max": str(2**40), "memory.current": "1000"}, 2048 * 1024),
    ],
    ids=["no groups", "no limit", "of the container", "of the machine"],
)
def test_available_memory_is_the_less_of_machine_and_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str], expected: int
) -> None:
    lay_out(tmp_path, files, "0::/\n")
    (tmp_path / "meminfo").write_text("MemTotal: 9999 kB\nMemAvailable: 2048 kB\n")
    for name, place in (("CGROUP_ROOT", "fs"), ("OWN_GROUPS", "membership"), ("_MEMINFO", "meminfo")):
        monkeypatch.setattr(limits, name, tmp_path / place)
    assert available_memory() == expected
    (tmp_path / "meminfo").unlink()
    assert available_memory() is None


def test_meminfo() -> None:
    text = "MemTotal:       24684096 kB\nMemFree:         100 kB\nMemAvailable:   2048 kB\nHugePages_Total:       0\n"
    assert limits.parse_meminfo(text) == (24684096 * 1024, 2048 * 1024)


@pytest.mark.parametrize(
    ("soft", "hard", "room", "raised"), [(1000, 1000, True, None), (30, 4000, True, 4000), (30, 60, False, 60)]
)
def test_the_limit_of_open_files_is_raised_where_the_system_lets_it(
    soft: int, hard: int, room: bool, raised: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [soft]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (now[0], hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: now.__setitem__(0, new[0]))
    found = room_for_open_files(200)
    assert found is not None
    assert (found >= 200) == room
    assert 0 <= found <= now[0]
    assert (now[0] == soft) == (raised is None)
    assert now[0] <= hard


def test_without_a_limit_of_open_files_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: (unlimited, unlimited))
    assert room_for_open_files(200) is None


def test_shared_memory_that_is_not_there_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "SHARED_MEMORY", tmp_path / "nowhere")
    assert free_shared_memory() is None


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say")
def test_a_peak_is_of_this_process_and_can_be_forgotten() -> None:
    """In a process of its own: in one that has held a gigabyte already, 64 MiB more or less may not be seen."""
    code = """
from human_edge_detection.limits import forget_peak_memory, peak_memory, resident_memory
held = bytearray(b"1") * 2**26
print(peak_memory(), resident_memory())
del held
forget_peak_memory()
print(peak_memory())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    high, before, low = map(int, ended.stdout.split())
    assert min(high, before) >= 2**26
    assert low <= high - 2**25


def test_a_process_knows_its_place_among_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert place_among_many() is None
    variables = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "node"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    place = place_among_many()
    assert place is not None
    assert place[:4] == (3, 4, 1, 2)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match=r"RANK, WORLD_SIZE, .* are 3, 3, 1, 2 in the environment"):
        place_among_many()
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert place_among_many() is None


@pytest.mark.parametrize(("share", "cores"), [("2", 2), ("64", 8), ("0", 8), ("some", 8), ("", 8)])
def test_one_of_several_processes_keeps_its_share_of_the_cores_busy(
    monkeypatch: pytest.MonkeyPatch, share: str, cores: int
) -> None:
    monkeypatch.setattr("human_edge_detection.limits.allowed_cores", lambda: 8)
    monkeypatch.setattr("human_edge_detection.limits.own_groups", lambda *_: [])
    monkeypatch.setenv("HED_CORES", share)
    assert usable_cores() == cores
