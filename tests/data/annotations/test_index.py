"""An index is believed only when it is whole and of the very annotations; without one everything works as well."""

import errno
import json
import logging
import os
import pickle
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.data.annotations import coco, index
from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of indexes, which are made for files of any size."""
    monkeypatch.setattr(coco, "_MIN_INDEXED_BYTES", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "human-edge-detection" / "annotations"


@pytest.fixture
def packings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The annotation files that were not opened with an index."""
    files: list[Path] = []
    pack = coco._pack

    def count(file: Path, content: dict[str, Any]) -> Any:
        files.append(file)
        return pack(file, content)

    monkeypatch.setattr(coco, "_pack", count)
    return files


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_a_file_is_read_once_and_opened_from_then_on(write_coco, cache: Path, packings: list[Path]) -> None:
    first = read_annotations(*write_coco())
    assert only(cache).name == f"{first.sha256}.index"
    assert read_annotations(first.file, first.images_dir) == first
    assert len(packings) == 1


def test_small_files_are_read_again(write_coco, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[1]))
    read_annotations(*write_coco())
    assert not cache.exists()


def test_a_changed_file_is_read_even_if_its_size_and_time_are_the_same(write_coco, packings: list[Path]) -> None:
    before = read_annotations(*write_coco())
    status = before.file.stat()
    before.file.write_bytes(before.file.read_bytes().replace(b"[4, 4, 14, 4,", b"[4, 4, 15, 4,"))
    os.utime(before.file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert before.file.stat().st_size == status.st_size
    after = read_annotations(before.file, before.images_dir)
    assert after.sha256 != before.sha256
    assert after.images[0].persons[0].segmentation == [[4, 4, 15, 4, 14, 14, 4, 14]]
    assert len(packings) == 2


def test_equal_files_share_an_index(write_coco, tmp_path: Path, packings: list[Path]) -> None:
    first = read_annotations(*write_coco())
    copy = tmp_path / "copy.json"
    copy.write_bytes(first.file.read_bytes())
    assert read_annotations(copy, first.images_dir).images == first.images
    assert len(packings) == 1


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.999])
def test_a_changed_bit_is_noticed_and_the_index_made_again(
    write_coco, cache: Path, packings: list[Path], share: float, caplog: pytest.LogCaptureFixture
) -> None:
    first = read_annotations(*write_coco())
    path = only(cache)
    good = path.read_bytes()
    path.unlink()  # what is mapped stays as it was
    path.write_bytes(flip(good, int(share * len(good))))
    with caplog.at_level(logging.INFO):
        assert read_annotations(first.file, first.images_dir) == first
    assert "cannot be used" in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert len(packings) == 2
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    "damage", ["empty", "cut off", "longer", "other version", "a folder", "a pipe", "zeros", "of others"]
)
def test_what_is_no_index_is_not_used(write_coco, cache: Path, packings: list[Path], damage: str) -> None:
    first = read_annotations(*write_coco())
    path = only(cache)
    content = path.read_bytes()
    path.unlink()
    if damage == "of others":
        other = first.file.with_name("other.json")
        other.write_bytes(first.file.read_bytes().replace(b"[4, 4, 14, 4,", b"[4, 4, 15, 4,"))
        read_annotations(other, first.images_dir)
        content = only(cache).read_bytes()
    if damage == "a folder":
        path.mkdir()
    elif damage == "a pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(
            {
                "empty": b"",
                "cut off": content[:-1],
                "longer": content + b"\0",
                "other version": re.sub(rb"people \d{4}", b"people 0000", content, count=1),
                "zeros": content[:32] + bytes(len(content) - 32),
                "of others": content,
            }[damage]
        )
    assert read_annotations(first.file, first.images_dir) == first
    assert packings == ([first.file, other, first.file] if damage == "of others" else [first.file] * 2)


@pytest.mark.parametrize("problem", ["a file in the way", "read-only", "full disk", "no home"])
def test_without_a_place_for_it_reading_goes_on(
    write_coco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, problem: str
) -> None:
    def fail(number: int) -> Callable[..., int]:
        def write(*arguments: object, **options: object) -> int:
            raise OSError(number, os.strerror(number))

        return write

    def nobody() -> Path:
        raise RuntimeError("no home")

    if problem == "a file in the way":
        (tmp_path / "cache").touch()
    elif problem == "read-only":
        monkeypatch.setattr(os, "makedirs", fail(errno.EROFS))
    elif problem == "full disk":
        monkeypatch.setattr(os, "write", fail(errno.ENOSPC))
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", nobody)
    paths = write_coco()
    with caplog.at_level(logging.WARNING):
        people = [read_annotations(*paths) for _ in range(2)]
    assert people[0] == people[1] == pickle.loads(pickle.dumps(people[1]))
    assert caplog.text.count("will be read again next time") == (0 if problem == "no home" else 2)
    assert not list(tmp_path.rglob("*.tmp"))


def test_many_at_once_read_the_same(write_coco, cache: Path) -> None:
    paths = write_coco()
    with ThreadPoolExecutor(8) as pool:
        people = list(pool.map(lambda _: read_annotations(*paths), range(16)))
    assert all(one == people[0] for one in people)
    assert len(list(cache.iterdir())) == 1


def test_what_is_said_of_the_annotations_is_said_each_time(write_coco, caplog, packings: list[Path]) -> None:
    def edit(data: dict[str, Any]) -> None:
        data["annotations"][0]["bbox"] = [30, 20, 5, 5]
        data["annotations"].append({**data["annotations"][1], "id": 11, "bbox": [4, 4, 0, 10]})
        data["annotations"].append({**data["annotations"][1], "id": 12, "segmentation": None})
        data["annotations"].append({**data["annotations"][1], "id": 13, "segmentation": None, "bbox": None})
        data["images"][1]["exhaustive"] = False

    paths, said = write_coco(edit), []
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            read_annotations(*paths)
        said.append([record.getMessage() for record in caplog.records if "read in" not in record.getMessage()])
    assert len(said[0]) == 4
    assert said[0] == said[1]
    assert len(packings) == 1


def test_malformed_annotations_are_refused_and_skipped_from_an_index_too(write_coco, packings: list[Path]) -> None:
    def edit(data: dict[str, Any]) -> None:
        data["annotations"][3].update(id=9, category_id=4, segmentation="none")

    paths, errors = write_coco(edit), []
    for _ in range(2):
        with pytest.raises(DataError) as error:
            read_annotations(*paths)
        errors.append(str(error.value))
    assert "'b.png' (annotation 9 of image 8: segmentation is a str" in errors[0]
    assert errors[0] == errors[1]
    people = read_annotations(*paths, skip_bad=True)
    assert people.images.file_names == ["a.png"]
    assert [sample.file_name for sample in people.skipped] == ["b.png"]
    assert len(packings) == 1


def test_images_that_vanish_are_missed(write_coco) -> None:
    people = read_annotations(*write_coco())
    (people.images_dir / "a.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images are not in .*images \(first: 'a\.png'\)"):
        read_annotations(people.file, people.images_dir)


def test_a_copy_is_the_same_even_when_its_index_is_gone(write_coco, cache: Path) -> None:
    people = read_annotations(*write_coco())
    pickled, path = pickle.dumps(people), only(cache)
    assert len(pickled) < 1000
    other = people.file.with_name("other.json")
    other.write_bytes(people.file.read_bytes().replace(b"[4, 4, 14, 4,", b"[4, 4, 15, 4,"))
    other_index = cache / f"{read_annotations(other, people.images_dir).sha256}.index"
    for instead in (None, b"something else", other_index.read_bytes()):
        path.unlink()
        if instead is not None:
            path.write_bytes(instead)
        assert pickle.loads(pickle.dumps(people)) == people
        with pytest.raises(DataError, match="was lost while it was in use"):
            pickle.loads(pickled)
        read_annotations(people.file, people.images_dir)
        assert pickle.loads(pickled) == people


def test_what_nobody_uses_is_deleted_when_another_index_is_written(write_coco, cache: Path, tmp_path: Path) -> None:
    def others() -> AnnotationSet:
        copy = tmp_path / "copy.json"
        copy.write_bytes(copy.read_bytes() + b"\n" if copy.exists() else people.file.read_bytes() + b"\n")
        return read_annotations(copy, people.images_dir)

    people = read_annotations(*write_coco())
    kept, leftover = only(cache), cache / ".half.tmp"
    leftover.touch()
    for path in (kept, leftover):
        os.utime(path, (0, time.time() - index._MAX_UNUSED_SECONDS - 60))
    read_annotations(people.file, people.images_dir)  # which is a use
    others()
    assert kept.exists()
    assert not leftover.exists()
    os.utime(kept, (0, time.time() - index._MAX_UNUSED_SECONDS - 60))
    others()
    assert not kept.exists()
    assert len(list(cache.iterdir())) == 2


def test_outlines_in_percent_are_refused_in_one_line_also_where_the_finding_goes_into_an_index(tmp_path: Path) -> None:
    outline = [10.0, 10.0, 99.0, 10.0, 99.0, 99.0, 10.0, 99.0]
    images = [{"id": n, "file_name": f"{n}.png", "height": 480, "width": 640} for n in range(30)]
    persons = [{"id": n, "image_id": n, "category_id": 1, "iscrowd": 0, "segmentation": [outline]} for n in range(30)]
    content = {"images": images, "annotations": persons, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    for image in images:
        (tmp_path / str(image["file_name"])).touch()
    with pytest.raises(DataError, match=r"they look like percent of the image's sides, not pixels"):
        read_annotations(tmp_path / "a.json", tmp_path)
