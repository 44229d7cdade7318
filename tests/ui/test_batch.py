"""Starting and stopping: exactly the batch that is meant, and no other process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from human_edge_detection.errors import BusyError, ConfigError, StorageError
from human_edge_detection.files.lock import hold
from human_edge_detection.runs.paths import BATCH_LOCK
from human_edge_detection.ui.batch import LOG_FILE, Batches, log_tail

HOLDS = """
import sys, time
from pathlib import Path
from human_edge_detection.files.lock import hold
with hold(Path(sys.argv[1]), "folder", advice="wait"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def batch(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the folder as a batch does."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path / BATCH_LOCK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_batch_at_work_is_stopped_by_its_name_alone(tmp_path: Path, batch: "subprocess.Popen[str]") -> None:
    batches = Batches(tmp_path)
    who = batches.at_work.holder
    assert who is not None
    assert f"process {batch.pid} " in who
    with pytest.raises(BusyError, match="in use by"):
        batches.start(["--list_configs"])
    with pytest.raises(BusyError, match="now in use by"):
        batches.stop(who.replace(str(batch.pid), "1"))
    assert batch.poll() is None
    batches.stop(who)
    assert batch.wait(20) == -signal.SIGTERM
    assert batches.at_work.holder is None
    with pytest.raises(ConfigError, match="no batch works"):
        batches.stop(who)


@pytest.mark.parametrize("host", [None, "elsewhere"])
def test_another_process_that_has_the_number_is_left_alone(tmp_path: Path, host: str | None) -> None:
    lock = tmp_path / BATCH_LOCK
    with subprocess.Popen(["sleep", "60"]) as innocent, hold(lock, "folder", advice=""):
        note = {"pid": innocent.pid, "host": host or socket.gethostname(), "since": "today"}
        lock.write_text(json.dumps(note))
        batches = Batches(tmp_path)
        assert batches.at_work.holder is not None
        with pytest.raises(ConfigError, match="no longer this batch" if host is None else "another machine"):
            batches.stop(batches.at_work.holder)
        time.sleep(0.1)
        assert innocent.poll() is None
        innocent.kill()


def test_what_is_started_speaks_into_the_log_in_a_session_of_its_own(tmp_path: Path) -> None:
    batches = Batches(tmp_path)
    batches.start(["--epochs", "no number"])
    with pytest.raises(BusyError, match="starts or ends"):
        batches.start(["--help"])
    child = batches._child
    assert child is not None
    assert os.getsid(child.pid) == child.pid
    assert child.wait(60) == 2
    assert not batches.at_work.starting
    first, *said = log_tail(tmp_path)
    assert first == "$ hed run --epochs 'no number'"
    assert said[-1].startswith("error: argument --epochs")


def test_the_tail_begins_with_the_last_command(tmp_path: Path) -> None:
    assert log_tail(tmp_path) == []
    lines = ["$ hed run a", "old", "$ hed run b", *map(str, range(50))]
    (tmp_path / LOG_FILE).write_text("\n".join(lines))
    assert log_tail(tmp_path, most=2) == ["$ hed run b", "48", "49"]


def test_a_log_that_cannot_be_written_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / LOG_FILE).mkdir()
    with pytest.raises(StorageError, match="nothing was started"):
        Batches(tmp_path).start(["--help"])
