"""The child that a batch sees of a run in several processes; whole runs: tests/engine/session/test_together.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from human_edge_detection.cli.children.together import code_of_all
from human_edge_detection.runner import TOGETHER


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ({0: 2, 1: -15}, 2),
        ({0: 75, 1: 75}, 75),  # somebody has interrupted all
        ({0: 75, 1: -9}, -9),  # the other one was lost, and the launcher ended the first
        ({0: -15, 1: 1, 2: -15}, 1),
        ({0: 1, 1: -9}, 1),  # the first has said what is wrong
        ({1: -15}, -15),
    ],
)
def test_a_lost_process_is_no_interruption(codes: dict[int, int], code: int) -> None:
    assert code_of_all(codes) == code


@pytest.mark.slow
def test_what_is_wrong_is_one_line_and_the_exit_code_of_the_first_process(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "human_edge_detection",
        TOGETHER,
        "2",
        "train",
        "--config",
        "quickstart_studnet_b0",
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert "did you mean 'quickstart_student_b0'" in line


@pytest.mark.slow
def test_a_batch_is_not_started_by_torchrun(tmp_path: Path) -> None:
    place = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    command = [sys.executable, "-m", "human_edge_detection", "run", "--configs", "quickstart_student_b0"]
    ended = subprocess.run(
        command, cwd=tmp_path, env=os.environ | place, capture_output=True, text=True, check=False, timeout=200
    )
    assert ended.returncode == 2
    assert "hed run was started in several processes" in ended.stderr
