import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.errors import BusyError, DataError
from human_edge_detection.files.data_folder import find_split
from human_edge_detection.files.whole_folder import whole_folder

MAKER = """
import os, signal, sys
from pathlib import Path
from human_edge_detection.files import whole_folder as module

operation, before = sys.argv[1:3]
real = getattr(Path, operation) if operation == "replace" else module.shutil.rmtree
calls = 0

def kill(*arguments, **named):
    global calls
    calls += 1
    if calls == int(before):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **named)

if operation == "replace":
    Path.replace = kill
elif operation == "rmtree":
    module.shutil.rmtree = kill
with module.whole_folder(Path("people"), "data set") as building:
    (building / "new").touch()
    if operation == "fill":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def make(name: str = "new", folder: str = "people") -> None:
    with whole_folder(Path(folder), "data set") as building:
        (building / name).touch()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name != "link")


def test_it_is_made_replaced_and_left_as_it_was_by_errors(folder: Path) -> None:
    make("old")
    make("new")
    assert names(folder) == ["people", "people/new"]
    with pytest.raises(ZeroDivisionError), whole_folder(Path("people"), "data set") as building:
        (building / "newer").touch()
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), whole_folder(Path("above/people"), "data set"):
        raise ZeroDivisionError
    assert names(folder) == ["people", "people/new"]
    with whole_folder(Path("people"), "data set"):
        pass
    assert names(folder) == ["people", "people/new"]


@pytest.mark.parametrize(
    ("operation", "before", "lies_there", "said"),
    [
        ("fill", "0", ["old"], "deleting .*/.people.*tmp, which a command that was killed has left"),
        ("replace", "1", ["old"], "deleting .*/.people.*old, which"),
        ("replace", "2", None, "/people is back: an earlier command was killed when"),
        ("rmtree", "1", ["new"], "deleting .*/.people.*old, which"),
    ],
)
def test_what_a_killed_one_left_is_cleared_up_and_said(
    folder: Path,
    operation: str,
    before: str,
    lies_there: list[str] | None,
    said: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make("old")
    ended = subprocess.run([sys.executable, "-c", MAKER, operation, before], check=False)
    assert ended.returncode == -9
    assert (names(Path("people")) if Path("people").exists() else None) == lies_there
    if lies_there is None:
        with pytest.raises(
            DataError, match=r"people was about to be replaced when .* was killed, and is .*people.*old;"
        ):
            find_split(Path("people"), "train")
    monkeypatch.setattr(logging.getLogger("human_edge_detection"), "propagate", True)
    caplog.set_level("INFO", logger="human_edge_detection")
    with pytest.raises(ZeroDivisionError), whole_folder(Path("people"), "data set"):
        assert names(Path("people")) == (lies_there or ["old"])
        raise ZeroDivisionError
    assert names(folder) == ["people", f"people/{(lies_there or ['old'])[0]}"]
    assert any(re.search(said, line) for line in caplog.messages)


def test_an_interruption_between_the_two_renames_puts_the_former_one_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("old")
    replace, calls = Path.replace, []

    def interrupted(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make("new")
    assert names(folder) == ["people", "people/old"]


def test_one_process_at_a_time_and_what_is_anothers_stays(folder: Path) -> None:
    Path(".people.mine.old").mkdir()
    with (
        whole_folder(Path("people"), "data set") as building,
        pytest.raises(BusyError, match="data set people is in use by process"),
    ):
        (building / "first").touch()
        make("second")
    assert names(folder) == [".people.mine.old", "people", "people/first"]


@pytest.mark.parametrize("target", ["there", "nowhere"])
def test_a_link_stays_and_what_it_leads_to_is_replaced(folder: Path, target: str) -> None:
    Path("there").mkdir()
    Path("link").symlink_to(target)
    make("new", "link")
    assert Path("link").readlink() == Path(target)
    assert [path.name for path in Path(target).iterdir()] == ["new"]
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda: Path("link").symlink_to("link"), "link is a link that leads to itself"),
        (lambda: Path("link").symlink_to("/proc"), "link is the root of a file system"),
    ],
)
def test_what_cannot_be_replaced_is_refused_before_any_work(
    folder: Path, prepare: Callable[[], None], words: str
) -> None:
    prepare()
    with pytest.raises(DataError, match=words):
        make("new", "link")
    assert [path.name for path in folder.iterdir()] == ["link"]
