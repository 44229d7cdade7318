"""Commands whose standard streams are closed, or whose reader goes away before they end."""

import subprocess
import sys
from pathlib import Path

import pytest

HED = f"{sys.executable} -m human_edge_detection"
CLOSED = (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-")
ANSWERS = {
    "--version": 0,
    "train --help": 0,
    "nope": 2,
    "run --configs quickstart --dry_run": 0,
}
"""Commands and their exit codes: what is printed at once, by argparse, as an error, by a command."""


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize(("command", "closed"), zip(ANSWERS, CLOSED, strict=True))
def test_closed_streams_change_no_exit_code(tmp_path: Path, command: str, closed: str) -> None:
    ended = shell(f"{HED} {command} {closed}", tmp_path)
    assert (ended.returncode, ended.stderr) == (ANSWERS[command], "")


@pytest.mark.slow
@pytest.mark.parametrize("closed", [*CLOSED, "<&-", "2>/dev/full", ">&- 2>/dev/full", "2>&1 | true"])
@pytest.mark.parametrize("command", ANSWERS)
def test_no_way_to_be_deaf_changes_an_exit_code(tmp_path: Path, command: str, closed: str) -> None:
    ended = shell(f"set -o pipefail; {HED} {command} {closed}", tmp_path)
    assert ended.returncode == ANSWERS[command]
    assert "Traceback" not in ended.stderr


def test_a_reader_that_leaves_is_no_failure(tmp_path: Path) -> None:
    ended = shell(f"set -o pipefail; {HED} train --list_configs | true", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("command", ["--version", "train --help"])
def test_a_full_disk_is_one_line_and_exit_code_2(tmp_path: Path, command: str) -> None:
    ended = shell(f"{HED} {command} > /dev/full", tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in ended.stderr


def test_a_full_disk_is_exit_code_2_of_the_installed_program_too(tmp_path: Path) -> None:
    program = "import sys; from human_edge_detection.cli.main import main; sys.exit(main(['--help']))"
    ended = shell(f'{sys.executable} -c "{program}" > /dev/full', tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """Else what libraries and children say would be written into checkpoints."""
    script = """
import os
from human_edge_detection.streams import keep_streams
keep_streams()
with open("checkpoint", "wb") as file:
    os.write(1, b"said"), os.write(2, b"said")
    raise SystemExit(file.fileno())
"""
    ended = shell(f"{sys.executable} -c '{script}' <&- >&- 2>&-", tmp_path)
    assert ended.returncode > 2
    assert (tmp_path / "checkpoint").read_bytes() == b""
