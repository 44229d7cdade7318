"""What kind of file system a folder is on, and whether its locks hold, between processes and between machines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

from human_edge_detection.errors import StorageError
from human_edge_detection.files.lock import hold
from human_edge_detection.selfcheck.machine.finding import Finding, ok, warning

_NETWORK: Final = frozenset(
    (
        *("9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs"),
        *("gpfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "virtiofs"),
    )
)
_LOCKS_BETWEEN_MACHINES: Final = frozenset(("ceph", "gfs2", "gpfs", "nfs", "nfs4", "ocfs2"))
"""Unless an option says otherwise."""
_LOCKS_WITH: Final = {"lustre": "flock"}
"""By kind, the option without which there are none between machines."""
_LOCKS_WITHIN_ONE: Final = frozenset(
    ("flock=local", "local_lock=all", "local_lock=flock", "localflock", "localflocks", "nobrl", "nolock")
)
"""Options with which locks keep out processes of the same machine alone."""
_IN_MEMORY: Final = frozenset(("tmpfs", "ramfs"))
_IS_HELD: Final = """
import sys
from pathlib import Path
from human_edge_detection.files.lock_state import is_held
sys.exit(10 + is_held(Path(sys.argv[1])))
"""
_FREE, _HELD = 10, 11


class Mount(NamedTuple):
    """What a folder is mounted from.

    Attributes:
        kind: Of file system, as Linux calls it.
        options: Of the mount and of the file system.
    """

    kind: str
    options: frozenset[str] = frozenset()


def mount_of(path: Path, mountinfo: str) -> Mount | None:
    """What the absolute ``path`` is on, by the text of ``/proc/self/mountinfo``; None: that does not say."""
    found, mount = Path(), None
    for line in mountinfo.splitlines():
        place, _, system = line.partition(" - ")
        _, _, _, _, point, own, *_ = place.split()
        kind, _, shared = system.split(maxsplit=2)
        folder = Path(point.replace("\\040", " "))
        # Of two that are mounted at one place, the later one is seen.
        if path.is_relative_to(folder) and len(folder.parts) >= len(found.parts):
            found, mount = folder, Mount(kind, frozenset((*own.split(","), *shared.split(","))))
    return mount


def check_file_system(mount: Mount | None) -> Finding:
    """Whether what lies on ``mount`` stays, and whether its locks hold between machines."""
    name = "file system"
    if mount is None:
        return ok(name, "this system does not tell")
    kind, options = mount
    if kind in _IN_MEMORY:
        return warning(name, f"{kind}: in memory, lost at the next restart", "give --output_dir on a disk")
    if kind == "overlay":
        return warning(name, "overlay: lost with its container", "mount a volume and give --output_dir there")
    if kind not in _NETWORK:
        return ok(name, kind)
    return _check_network(name, kind, options)


def _check_network(name: str, kind: str, options: Collection[str]) -> Finding:
    local = sorted(_LOCKS_WITHIN_ONE & {*options})
    if local:
        text = f"{kind}: over a network, and mounted with {', '.join(local)}: locks hold on each machine alone"
        return warning(name, text, "mount it without that; until then train in this folder from one machine only")
    wanted = _LOCKS_WITH.get(kind)
    if kind in _LOCKS_BETWEEN_MACHINES or (wanted is not None and wanted in options):
        return ok(name, f"{kind}: over a network, with locks between machines")
    if wanted is not None:
        text = f"{kind}: over a network, and mounted without {wanted}: there are no locks between machines"
        return warning(name, text, f"mount it with -o {wanted}; until then train in this folder from one machine only")
    advice = "start batches on one machine only, or be sure that its locks work between machines"
    return warning(name, f"{kind}: over a network", advice)


def try_lock(lock: Path) -> None:
    """Holds ``lock``, and has another process look at it.

    Raises:
        StorageError: It cannot be locked, does not keep the other process out, or stays after it was given back.
    """
    with hold(lock, "the lock of a check", advice="try again"):
        if not _is_held_for_another(lock):
            raise StorageError("a lock does not keep another process out")
    if _is_held_for_another(lock):
        raise StorageError("a lock stays after it was freed")


def _is_held_for_another(lock: Path) -> bool:
    command = [sys.executable, "-c", _IS_HELD, str(lock)]
    looked = subprocess.run(command, check=False, capture_output=True, text=True)
    if looked.returncode not in (_FREE, _HELD):
        last = looked.stderr.strip().splitlines()[-1:]
        raise StorageError(f"another process cannot look at a lock: {''.join(last)}")
    return looked.returncode == _HELD
