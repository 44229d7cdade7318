import json
import logging
import os
from dataclasses import replace

import cv2
import numpy as np
import pytest

from human_edge_detection.data.annotations import scan
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.annotations.scan import scan_images
from human_edge_detection.data.images.read import image_problem


@pytest.fixture
def looked_at(monkeypatch) -> list[str]:
    """Names of the images that were read, in any order."""
    names: list[str] = []
    look = image_problem

    def count(path, size):
        names.append(path.name)
        return look(path, size)

    monkeypatch.setattr(scan, "image_problem", count)
    return names


@pytest.fixture
def people(write_coco):
    return read_annotations(*write_coco())


def test_bad_images_are_found_in_the_order_of_the_file(people):
    assert scan_images(people).bad == ()
    for name in ("b.png", "a.png"):
        path = people.images_dir / name
        path.write_bytes(path.read_bytes()[:-20])
    found = scan_images(people).bad
    assert [sample.file_name for sample in found] == ["a.png", "b.png"]
    assert all(sample.problem.startswith("is cut off after") for sample in found)


def test_good_images_are_read_once_and_bad_ones_again(people, tmp_path, looked_at):
    cache = tmp_path / "scan.json"
    (people.images_dir / "b.png").write_bytes(b"")
    assert len(scan_images(people, cache=cache).bad) == 1
    assert sorted(looked_at) == ["a.png", "b.png"]
    looked_at.clear()
    assert len(scan_images(people, cache=cache).bad) == 1
    assert looked_at == ["b.png"]


def test_a_scan_of_some_images_keeps_what_is_known_of_the_others(people, tmp_path, looked_at):
    cache = tmp_path / "scan.json"
    scan_images(people, cache=cache)
    (people.images_dir / "b.png").write_bytes(b"")
    scan_images(replace(people, images=people.images.select([1])), cache=cache)
    looked_at.clear()
    assert [sample.file_name for sample in scan_images(people, cache=cache).bad] == ["b.png"]
    assert looked_at == ["b.png"]


def test_a_changed_image_is_read_again(people, tmp_path, looked_at):
    cache = tmp_path / "scan.json"
    scan_images(people, cache=cache)
    path = people.images_dir / "b.png"
    content, before = bytearray(path.read_bytes()), path.stat()
    content[-20] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    looked_at.clear()
    assert [sample.file_name for sample in scan_images(people, cache=cache).bad] == ["b.png"]
    assert looked_at == ["b.png"]


def test_the_fingerprint_is_of_the_bytes_and_a_kept_modification_time_hides_nothing(people, tmp_path):
    cache = tmp_path / "scan.json"
    names = people.images.file_names
    before = scan_images(people, cache=cache).fingerprint(names)
    assert scan_images(people, cache=cache).fingerprint(names) == before == scan_images(people).fingerprint(names)
    path = people.images_dir / "b.png"
    content, status = path.read_bytes(), path.stat()
    noise = cv2.imencode(".png", np.full((30, 40, 3), 255, np.uint8))[1].tobytes()
    path.write_bytes(noise.ljust(len(content), b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == len(content)
    assert scan_images(people, cache=cache).fingerprint(names) != before
    path.write_bytes(content)
    assert scan_images(people, cache=cache).fingerprint(names) == before


def test_other_annotations_or_another_folder_make_the_cache_void(people, tmp_path, looked_at):
    cache = tmp_path / "scan.json"
    scan_images(people, cache=cache)
    looked_at.clear()
    people.file.write_text(people.file.read_text() + "\n")
    scan_images(read_annotations(people.file, people.images_dir), cache=cache)
    assert len(looked_at) == 2
    people.images_dir.rename(tmp_path / "moved")
    scan_images(read_annotations(people.file, tmp_path / "moved"), cache=cache)
    assert len(looked_at) == 4


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "\xff", "wrong key", "good of a list", "good of numbers"])
def test_a_damaged_cache_is_not_trusted(people, tmp_path, looked_at, content):
    cache = tmp_path / "scan.json"
    scan_images(people, cache=cache)
    if content == "wrong key":
        content = json.dumps(json.loads(cache.read_text()) | {"version": -1})
    elif content == "good of a list":
        content = json.dumps(json.loads(cache.read_text()) | {"good": ["a.png", "b.png"]})
    elif content == "good of numbers":
        content = json.dumps(json.loads(cache.read_text()) | {"good": {"a.png": 1, "b.png": True}})
    cache.write_text(content, encoding="latin-1")
    looked_at.clear()
    assert scan_images(people, cache=cache).bad == ()
    assert len(looked_at) == 2


def test_a_cache_that_cannot_be_written_or_read_costs_only_time(people, tmp_path, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        assert scan_images(people, cache=tmp_path / "file" / "scan.json").bad == ()
    assert "will be checked again next time" in caplog.text
    os.mkfifo(tmp_path / "pipe")
    assert scan_images(people, cache=tmp_path / "pipe").bad == ()


def test_the_bits_of_16_bit_images_are_known_also_from_the_cache(people, tmp_path):
    cv2.imwrite(str(people.images_dir / "a.png"), np.full((30, 40, 3), 4095, np.uint16))
    for _ in range(2):
        facts = scan_images(people, cache=tmp_path / "scan.json").facts
        assert {facts.bits_used for facts in facts.values()} >= {12}
