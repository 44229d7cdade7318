import os
from pathlib import Path

import pytest

from human_edge_prediction.errors import SourceError
from human_edge_prediction.sources.listing import find_sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        *("a/10.jpg", "a/2.JPG", "a/notes.txt", "a/.hidden.jpg", "a/clip.mp4", "a/deep/1.png"),
        *("b/2.jpg", "b/2.png", "empty/x.txt", "odd[1].jpg"),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*given: str, lines: tuple[bytes, ...] = ()) -> list[str]:
    return [source.name for source in find_sources(given, lines).sources]


def test_a_folder_is_the_files_directly_in_it_in_natural_order(folder: Path) -> None:
    found = find_sources(["a"]).sources
    assert [str(source.path) for source in found] == ["a/2.JPG", "a/10.jpg", "a/clip.mp4"]
    assert [source.name for source in found] == ["2", "10", "clip"]
    assert [source.is_video for source in found] == [False, False, True]


def test_a_pattern_reaches_folders_below_and_keeps_them_in_the_names(folder: Path) -> None:
    assert names("a/**") == ["2", "10", "clip", "deep/1"]
    assert names("*/2.*") == ["a/2", "b/2.jpg", "b/2.png"]
    assert names("odd[1].jpg") == ["odd[1]"], "a file of this name comes before the pattern"


def test_names_that_clash_get_folders_or_suffixes(folder: Path) -> None:
    assert names("a/2.JPG", "b/2.jpg") == ["a/2", "b/2"]
    assert names("b") == ["2.jpg", "2.png"]
    assert names("a", "b") == ["a/2", "10", "clip", "b/2.jpg", "b/2.png"]


def test_a_file_that_is_named_twice_is_taken_once(folder: Path) -> None:
    assert names("a/2.JPG", "a", str(folder / "a/10.jpg"), "b/../a/10.jpg") == ["2", "10", "clip"]


def test_a_list_goes_on_after_an_entry_that_cannot_be_used(folder: Path) -> None:
    lines = (b"\xef\xbb\xbfa/10.jpg\r\n", b"\n", b"gone.jpg\n", os.fsencode("b/2.png"), b"empty")
    listing = find_sources(["-"], lines)
    assert [source.name for source in listing.sources] == ["10", "2"]
    assert listing.problems == (
        "gone.jpg: no such file or folder; check the path",
        "empty: no image and no video in this folder of 1 entries",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("gone", "gone: no such file or folder"),
        ("empty", "empty: no image and no video in this folder of 1 entries"),
        (".", r"for those in folders below, give './\*\*'"),
        ("*.png", r"\*.png: nothing matches"),
        ("empty/*", r"empty/\*: none of 1 matches is an image or a video"),
        ("https://example.org/x.jpg", "is an address; download it"),
        ("", "one of the sources is an empty text"),
        ("-", "-: no image and no video"),
        ("x" * 300, "cannot be opened"),
    ],
)
def test_what_is_missing_is_one_line(folder: Path, given: str, message: str) -> None:
    (folder / "odd[1].jpg").unlink()
    with pytest.raises(SourceError, match=message) as error:
        find_sources([given])
    assert "\n" not in str(error.value)
