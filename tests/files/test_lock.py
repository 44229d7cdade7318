"""One process at a time, and no lock outlives its process."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import pytest

from human_edge_detection.errors import BusyError, StorageError
from human_edge_detection.files.lock import hold, holder, is_held

HOLDER = dedent(
    """
    import os, sys, time
    from pathlib import Path
    from human_edge_detection.files.lock import hold

    with hold(Path(sys.argv[1]), "run r", advice="wait"):
        # The forked child stands for a data worker that lives on when its parent is killed. It speaks for both: once it
        # runs, it has let go of the lock.
        if "fork" not in sys.argv or os.fork() == 0:
            print("held", flush=True)
        time.sleep(30)
        os._exit(0)
    """
)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "experiments" / ".run.lock"


@pytest.fixture(params=["alone", "fork"])
def other(lock: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(lock), request.param]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_the_message_names_process_host_time_and_advice(lock: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(BusyError) as error, hold(lock, "run r", advice="wait for it"):
        pass
    assert str(error.value).startswith(f"run r is in use by process {other.pid} on {socket.gethostname()} since 20")
    assert str(error.value).endswith("; wait for it")


def test_kill_9_frees_it_also_when_a_forked_child_lives_on(lock: Path, other: subprocess.Popen[str]) -> None:
    assert is_held(lock)
    other.kill()
    other.wait()
    assert not is_held(lock)
    with hold(lock, "run r", advice=""):
        assert holder(lock).startswith(f"process {os.getpid()} on ")


def test_a_child_process_does_not_keep_it(lock: Path) -> None:
    with hold(lock, "run r", advice=""):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], close_fds=False)
    assert not is_held(lock)
    child.kill()
    child.wait()


def test_it_is_held_only_inside(lock: Path) -> None:
    assert not is_held(lock)
    with hold(lock, "run r", advice=""):
        assert is_held(lock)
        with pytest.raises(BusyError), hold(lock, "run r", advice=""):
            pass
    assert not is_held(lock)
    assert lock.exists()


def test_an_error_inside_frees_it(lock: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(lock, "run r", advice=""):
        raise ZeroDivisionError
    assert not is_held(lock)


def test_a_note_that_cannot_be_read_is_another_process(lock: Path) -> None:
    lock.parent.mkdir()
    for note in ("", "{", "[]", "{}", "\udcff"):
        lock.write_bytes(note.encode(errors="surrogateescape"))
        assert holder(lock) == "another process"


def test_what_cannot_be_locked_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be locked"), hold(tmp_path, "run r", advice=""):
        pass
    with pytest.raises(StorageError, match="cannot be locked"):
        is_held(tmp_path)
