"""A child on a node: how its command, folder and environment come about there, and what is refused."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from human_edge_detection import __version__
from human_edge_detection.errors import BackendError
from human_edge_detection.files.lock import hold
from human_edge_detection.runner.backends.backend import Work
from human_edge_detection.runner.backends.node import NodeChild, Order, Software, look, software

HED = ("-m", "human_edge_detection")


def order(*command: str) -> Order:
    return Order(Work("a_run", Path("a_run"), command))


def test_a_command_of_this_package_is_run_by_the_interpreter_of_the_node_and_ends_with_who_started_it() -> None:
    there = replace(order("/batch/python", *HED, "train", "--resume", "a_run"), interpreter="/batch/python")
    assert there.command == [sys.executable, *HED, "--with_parent", str(os.getpid()), "train", "--resume", "a_run"]
    assert replace(order("/batch/python", "-c", "pass"), interpreter="/batch/python").command[0] == sys.executable
    assert order("/bin/true").command == ["/bin/true"]


def test_a_child_says_what_it_says_into_its_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    child = NodeChild()
    place = child.start(order(sys.executable, "-c", "print('a word'); import sys; sys.exit(3)"))
    assert child.wait(place) == 3
    assert (tmp_path / "a_run" / "cluster" / "output.txt").read_text() == "a word\n"


def test_other_software_on_a_node_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that joined a cluster after the batch had asked all others."""
    monkeypatch.chdir(tmp_path)
    other = replace(order(sys.executable, "-c", "pass"), made_with=Software("99.0", "a" * 40, None))
    with pytest.raises(
        BackendError, match=rf"has {__version__}.*, and this batch 99\.0, commit aaaaaaaaaaaa, torch missing;"
    ):
        NodeChild().start(other)
    assert list(tmp_path.iterdir()) == []


def test_a_node_tells_what_it_has_and_sees(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert look(lock)[1:] == (software(), False, False)
    with hold(lock, "a lock", advice="wait"):
        assert look(lock)[2:] == (True, True)
    assert look(lock)[2:] == (True, False)
