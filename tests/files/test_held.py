import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.errors import FolderMovedError
from human_edge_detection.files.held import held
from human_edge_detection.files.write import delete, make_folder, set_aside, write_atomically, write_json


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_folder(Path("runs/a/checkpoints"))
    return Path("runs/a")


def rename(run: Path) -> None:
    run.rename("runs/b")


def rename_above(run: Path) -> None:
    run.parent.rename("older")


def remove(run: Path) -> None:
    shutil.rmtree(run)


def replace(run: Path) -> None:
    rename(run)
    shutil.copytree("runs/b", run)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rename, r"runs/a was renamed to /.*runs/b while .*what was saved is there"),
        (rename_above, r"runs/a was renamed to /.*older/a while"),
        (remove, r"runs/a was deleted while .* starts anew"),
        (replace, r"runs/a was renamed to /.*runs/b while"),
    ],
)
def test_nothing_is_written_below_a_folder_that_is_another_by_now(
    run: Path, tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    with held(run):
        write_json(run / "status.json", {})
        change(run)
        before = sorted(tmp_path.rglob("*"))
        for write in (
            lambda: write_json(run / "status.json", {}),
            lambda: write_atomically((run / "checkpoints/latest.pth").absolute(), b""),
            lambda: make_folder(run),
            lambda: delete(run / "status.json"),
            lambda: set_aside(run / "status.json"),
        ):
            with pytest.raises(FolderMovedError, match=words) as caught:
                write()
            assert "\n" not in str(caught.value)
        write_json(Path("beside.json"), {})
        assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "beside.json"])
    write_json(run / "status.json", {})


def test_a_folder_that_was_put_back_is_written_to_again(run: Path) -> None:
    with held(run):
        rename(run)
        Path("runs/b").rename(run)
        write_json(run / "status.json", {})
    assert (run / "status.json").is_file()
