"""A helper process obeys its parent, nobody else, and does not outlive it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PARENT = """
import multiprocessing, sys, time
from human_edge_detection.signals import obey_only_parent

def help():
    obey_only_parent()
    while True:
        time.sleep(0.05)

if __name__ == "__main__":
    helper = multiprocessing.get_context(sys.argv[1]).Process(target=help, daemon=True)
    helper.start()
    print(helper.pid, flush=True)
    sys.stdin.readline()
    helper.terminate()
    helper.join(5)
    print(helper.exitcode, flush=True)
"""


@pytest.fixture(params=["fork", "forkserver", "spawn"])
def parent(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[subprocess.Popen[str]]:
    file = f"{tmp_path}/parent.py"
    with open(file, "w") as script:  # noqa: PTH123
        script.write(PARENT)
    command = [sys.executable, file, request.param]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        yield process
        process.kill()


def is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not is_there(pid):
            return True
        time.sleep(0.05)
    return False


def helper_of(parent: subprocess.Popen[str]) -> int:
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    return pid


@pytest.mark.skipif(not hasattr(signal, "sigtimedwait"), reason="the system does not tell who sent a signal")
class TestAHelper:
    def test_obeys_its_parent_only(self, parent: subprocess.Popen[str]) -> None:
        pid = helper_of(parent)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
            os.kill(pid, number)
        assert not ends_within(pid, 0.5)
        said, _ = parent.communicate("end it\n", timeout=20)
        assert said.strip() == "0"

    def test_ends_with_a_parent_that_is_killed(self, parent: subprocess.Popen[str]) -> None:
        pid = helper_of(parent)
        parent.kill()
        assert ends_within(pid, 5.0)


WITH_PARENT = """
import os, sys, time
from human_edge_detection import signals

signals.STOP_SECONDS = 1.0
signals.heed_signals()
signals.end_with(int(sys.argv[1]))
print(os.getpid(), flush=True)
while True:
    try:
        time.sleep(100)
    except KeyboardInterrupt:
        open("saved", "w").close()
        if sys.argv[2] == "heeds":
            sys.exit(75)
"""


@pytest.mark.parametrize("how", ["heeds", "stays"])
def test_a_child_that_is_to_end_with_its_parent_saves_first_and_never_outlives_it_for_long(
    how: str, tmp_path: Path
) -> None:
    starter = (
        "import os, subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], str(os.getpid()), sys.argv[2]])"
    )
    command = [sys.executable, "-c", starter, WITH_PARENT, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not ends_within(child, 1.5)
        parent.kill()
    assert ends_within(child, 20.0)
    assert (tmp_path / "saved").exists()


IMPORTING = """
import sys, time
from human_edge_detection.signals import heed_signals

heed_signals()
sys.path.insert(0, sys.argv[1])
try:
    import swallows
except KeyboardInterrupt:
    print("raised", flush=True)
"""
SWALLOWS = """
import time
print("importing", flush=True)
try:
    time.sleep(20)
except BaseException:
    print("swallowed", flush=True)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_within_an_import_ends_the_process_at_once(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """Torch and numpy swallow what is raised while they are imported, and fail later in another way."""
    (tmp_path / "swallows.py").write_text(SWALLOWS)
    command = [sys.executable, "-c", IMPORTING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        said, complaint = process.communicate(timeout=10)
    assert (process.returncode, said, complaint) == (code, "", "interrupted; give the same command again to continue\n")
