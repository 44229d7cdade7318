"""File systems and their locks: from texts of mountinfo, and with a lock that a second process looks at."""

from pathlib import Path

import pytest

from human_edge_detection.errors import StorageError
from human_edge_detection.selfcheck.machine.disk import examine_disk, try_operations
from human_edge_detection.selfcheck.machine.storage import Mount, check_file_system, mount_of, try_lock

MOUNTS = """\
27 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/a
22 27 0:21 / /proc rw,relatime - proc proc rw
30 27 0:40 / /mnt/data rw,relatime shared:7 master:2 - nfs4 server:/data rw,vers=4.2,local_lock=none,addr=192.0.2.1
31 30 0:41 / /mnt/data/fast rw - tmpfs tmpfs rw
32 30 8:16 / /mnt/data/fast rw - ext4 /dev/sdb rw
33 27 8:32 / /mnt/my\\040disk rw,noatime - xfs /dev/sdc rw
34 27 0:42 / /mnt/old rw,relatime shared:8 - nfs server:/old rw,vers=3,nolock,local_lock=all
"""


@pytest.mark.parametrize(
    ("path", "kind", "option"),
    [
        ("/home/me", "overlay", "lowerdir=/a"),
        ("/mnt/data", "nfs4", "local_lock=none"),
        ("/mnt/data/run", "nfs4", "vers=4.2"),
        ("/mnt/database", "overlay", "rw"),
        ("/mnt/data/fast/run", "ext4", "rw"),
        ("/mnt/my disk/run", "xfs", "noatime"),
        ("/mnt/old/run", "nfs", "local_lock=all"),
    ],
)
def test_the_innermost_and_last_mount_counts(path: str, kind: str, option: str) -> None:
    mount = mount_of(Path(path), MOUNTS)
    assert mount is not None
    assert mount.kind == kind
    assert option in mount.options
    assert mount_of(Path(path), "") is None


@pytest.mark.parametrize(
    ("kind", "options", "status", "said"),
    [
        ("ext4", "rw", "ok", "ext4"),
        ("tmpfs", "rw", "warning", "lost at the next restart"),
        ("overlay", "rw", "warning", "mount a volume"),
        ("nfs4", "rw,local_lock=none", "ok", "locks between machines"),
        ("nfs4", "rw,local_lock=posix", "ok", "locks between machines"),
        ("nfs4", "rw,local_lock=all", "warning", "mounted with local_lock=all: locks hold on each machine alone"),
        ("nfs", "rw,vers=3,nolock,local_lock=all", "warning", "with local_lock=all, nolock"),
        ("nfs", "rw,vers=3,local_lock=flock", "warning", "one machine only"),
        ("lustre", "rw,flock", "ok", "locks between machines"),
        ("lustre", "rw,localflock", "warning", "mounted with localflock"),
        ("lustre", "rw", "warning", "mount it with -o flock"),
        ("cifs", "rw,nobrl", "warning", "mounted with nobrl"),
        ("fuse.sshfs", "rw", "warning", "be sure that its locks work between machines"),
    ],
)
def test_a_file_system(kind: str, options: str, status: str, said: str) -> None:
    finding = check_file_system(Mount(kind, frozenset(options.split(","))))
    assert finding.status == status
    assert said in f"{finding.text}; {finding.advice}"
    assert bool(finding.advice) == (status != "ok")


def test_a_system_that_does_not_tell() -> None:
    assert check_file_system(None).status == "ok"


def test_a_lock_keeps_another_process_out(tmp_path: Path) -> None:
    try_lock(tmp_path / "lock")
    assert try_operations(tmp_path)["locks between processes"] is None


def test_a_lock_that_locks_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    with pytest.raises(StorageError, match="does not keep another process out"):
        try_lock(tmp_path / "lock")
    assert "does not keep" in str(try_operations(tmp_path)["locks between processes"])


def test_the_file_system_of_this_machine_is_found(tmp_path: Path) -> None:
    (finding,) = (one for one in examine_disk(tmp_path) if one.name == "file system")
    assert "not tell" not in finding.text
