"""The output folder: free space, what kind of file system it is, and whether that does what a run relies on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from human_edge_detection.errors import BusyError, StorageError
from human_edge_detection.files.write import existing_folder, write_atomically
from human_edge_detection.selfcheck.machine.finding import Finding, ok, problem, warning
from human_edge_detection.selfcheck.machine.storage import check_file_system, mount_of, try_lock
from human_edge_detection.wording import GIB, gib

# Less than what is needed is a problem, less than what is advised a warning.
_NEEDED_DISK: Final = GIB
_ADVISED_DISK: Final = 10 * GIB
_NAME: Final = "output folder"


def examine_disk(output_dir: Path) -> list[Finding]:
    """What the runs below ``output_dir`` can rely on; nothing of it is left behind."""
    folder = existing_folder(output_dir)
    if not folder.is_dir():
        return [problem(_NAME, f"{output_dir}: {folder} is a file", "give another --output_dir")]
    usage = shutil.disk_usage(folder)
    mounts = Path("/proc/self/mountinfo")
    return [
        ok(_NAME, str(output_dir.absolute()) if folder == output_dir else f"{output_dir.absolute()}, to be made"),
        check_free_space(usage.total, usage.free),
        check_file_system(mount_of(folder.resolve(), mounts.read_text()) if mounts.exists() else None),
        check_operations(try_operations(folder)),
    ]


def try_operations(folder: Path) -> Mapping[str, str | None]:
    """What a run does with files, done once in ``folder``; the error of each, None when it worked."""
    try:
        with tempfile.TemporaryDirectory(prefix=".hed_doctor_", dir=folder) as made:
            root = Path(made)
            return {
                "write, fsync and rename": _try(lambda: write_atomically(root / "file", b"content")),
                "hard links": _try(lambda: (root / "link").hardlink_to(root / "file")),
                "locks between processes": _try(lambda: try_lock(root / "lock")),
            }
    except OSError as error:
        return {"write, fsync and rename": error.strerror or str(error)}


def check_free_space(total: int, free: int) -> Finding:
    """Whether checkpoints fit: a B3 teacher's run takes about 0.6 GiB, a B0 student's half of that."""
    name, text = "free disk", f"{gib(free)} of {gib(total)}"
    if free < _NEEDED_DISK:
        return problem(name, text, "free some space, or give --output_dir on another disk")
    if free < _ADVISED_DISK:
        return warning(name, text, "free some space before a batch of many runs")
    return ok(name, text)


def check_operations(errors: Mapping[str, str | None]) -> Finding:
    """Whether every operation works; without hard links files are copied instead."""
    name = "file operations"
    failed = {operation: error for operation, error in errors.items() if error is not None}
    text = "; ".join(f"{operation}: {error}" for operation, error in failed.items())
    if failed.keys() - {"hard links"}:
        return problem(name, text, "check the rights of the folder, or give another --output_dir")
    if failed:
        return warning(name, text, "checkpoints are copied instead of linked; leave room for it")
    return ok(name, ", ".join(errors))


def _try(operation: Callable[[], object]) -> str | None:
    try:
        operation()
    except OSError as error:
        return error.strerror or str(error)
    except (StorageError, BusyError, NotImplementedError) as error:
        return str(error)
    return None
