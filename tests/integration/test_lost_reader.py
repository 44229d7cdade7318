"""Whole commands whose reader or terminal goes away while they train."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from human_edge_detection.errors import CheckpointError
from human_edge_detection.runs.checks import is_finished
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus, read_section

pytestmark = pytest.mark.slow

STUDENT = "quickstart_student_b0"
HED = [sys.executable, "-m", "human_edge_detection"]
TINY = (
    *("--config", STUDENT, "--epochs", "2", "--batch_size", "2", "--num_workers", "0", "--encoder_weights", "none"),
    *("--set", "data.sample={train_images: 4, val_images: 2, image_size: [96, 128]}"),
    *("--set", "model={encoder: mobilenet_v2, image_size: [32, 32], roi_size: [8, 8], mask_size: [16, 12]}"),
    *("--set", "training.visualize_images=0"),
)


def until(condition: Callable[[], bool], child: subprocess.Popen[bytes]) -> None:
    for _ in range(2000):
        if condition():
            return
        assert child.poll() is None
        time.sleep(0.05)
    raise AssertionError("it takes too long")


def test_a_batch_trains_all_its_runs(tmp_path: Path) -> None:
    flags = [*map(repr, TINY), "--seeds", "0", "1"]
    command = f"set -o pipefail; {' '.join(HED)} run {' '.join(flags)} <&- 2>&1 | head -3"
    ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    runs = [RunPaths(tmp_path / "experiments" / STUDENT / f"seed_{seed}") for seed in (0, 1)]
    assert all(map(is_finished, runs))
    assert all("epoch 2/2" in run.training_log.read_text() for run in runs)


@pytest.mark.parametrize(("heeded", "code", "state"), [(True, 75, "interrupted"), (False, 0, "finished")])
def test_a_dead_terminal_stops_a_run_that_heeds_sighup_and_no_other(
    tmp_path: Path, heeded: bool, code: int, state: str
) -> None:
    """Closing a terminal sends SIGHUP, which ``nohup`` and ``trap '' HUP`` have a process ignore."""
    ours, its = os.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL if heeded else signal.SIG_IGN)

    run = RunPaths(tmp_path / "experiments" / STUDENT)
    # The process that a terminal belongs to gets the signal, as a shell does, and hands it on.
    child = subprocess.Popen(
        [*HED, "train", *TINY], cwd=tmp_path, stdin=its, stdout=its, stderr=its, preexec_fn=take_terminal
    )
    os.close(its)
    os.set_blocking(ours, False)

    def has_begun() -> bool:
        with suppress(BlockingIOError):
            os.read(ours, 1 << 16)  # a full terminal would halt it
        try:
            status = read_section(RunStatus, run.status)
        except CheckpointError:
            return False
        return status is not None and run.untrained.exists()

    until(has_begun, child)
    os.close(ours)
    assert child.wait(120) == code
    status = read_section(RunStatus, run.status)
    assert status is not None
    assert status.state == state
