"""Image files and numbers as cameras and other tools write them: both commands read them alike, copies keep no secrets.

Kinds and the number of cases tried in each, by ``hed prepare-data`` and by training's reading of what it wrote and of
the files themselves. Beside the modules stand 112 EXIF orientations of every type (`tests/data/images/test_header.py`),
118 places where a JPEG was cut (`test_unended_jpeg.py`), and run folders that were renamed (`tests/exporters`).

==================================  =====
kind                                cases
==================================  =====
sides of a few pixels                   8
16-bit values that use fewer bits       5
metadata about people and places        8
numbers that are not finite             6
==================================  =====
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import whole_files as w
from numpy.typing import NDArray
from PIL import Image, ImageOps

from human_edge_detection.cli.main import main
from human_edge_detection.engine.build import read_split
from human_edge_detection.files.data_folder import SplitPaths, find_split

COUNTS = {
    "sides of a few pixels": 8,
    "16-bit values that use fewer bits": 5,
    "metadata about people and places": 8,
    "numbers that are not finite": 6,
}


def encoded(image: NDArray[Any], suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, image)[1])


def thin(height: int, width: int, suffix: str) -> w.Change:
    """One more image, without persons."""

    def change(files: w.Files) -> None:
        name = f"thin{suffix}"
        files.data["images"].append({"id": 9, "file_name": name, "width": width, "height": height})
        files.images[name] = encoded(np.full((height, width, 3), 9, np.uint8), suffix)

    return change


def bits(used: int, channels: int = 3) -> w.Change:
    def change(files: w.Files) -> None:
        image = w.scene(0)[..., :channels].astype(np.uint16) * 257
        files.images["p0.jpg"] = encoded(image >> (16 - used), ".png")

    return change


def eight_bits(files: w.Files) -> None:
    files.images["p0.jpg"] = encoded(w.scene(0), ".png")


def personal(kind: str, orientation: int = 1, **settings: Any) -> w.Change:
    """A camera's EXIF block with GPS, XMP, and a comment where the format has one; annotated as it is shown."""

    def change(files: w.Files) -> None:
        exif = Image.Exif()
        exif[w.ORIENTATION], exif[0x013B] = orientation, "Jane Doe"
        exif.get_ifd(0x8825)[2] = (52.5, 30.0, 1.0)
        shown = Image.fromarray(w.scene(0))
        stored = {1: shown, 3: shown.rotate(180), 6: shown.rotate(90, expand=True), 8: shown.rotate(270, expand=True)}
        file = io.BytesIO()
        stored[orientation].save(file, kind, exif=exif, xmp=b"<x>Jane Doe</x>", **settings)
        files.images["p0.jpg"] = file.getvalue()

    return change


def number(key: str, value: float, *, of: str = "images") -> w.Change:
    def change(files: w.Files) -> None:
        entry = files.data[of][0] if isinstance(files.data.setdefault(of, {}), list) else files.data[of]
        entry[key] = [{"deep": value}] if key == "nested" else value

    return change


KINDS: Mapping[str, Mapping[str, tuple[w.Change, Any]]] = {
    "sides of a few pixels": {
        f"{suffix} {height} x {width}": (thin(height, width, suffix), 5)
        for suffix in (".png", ".webp", ".bmp", ".jpg")
        for height, width in ((1, 1), (120, 4))
    },
    "16-bit values that use fewer bits": {
        "10": (bits(10), ["bits"]),
        "12, grey": (bits(12, 1), ["bits"]),
        "14": (bits(14), ["bits"]),
        "16": (bits(16), []),
        "8-bit": (eight_bits, []),
    },
    "metadata about people and places": {
        **{f"JPEG turned {number}": (personal("JPEG", number), number) for number in (1, 3, 6, 8)},
        "progressive JPEG": (personal("JPEG", progressive=True), 1),
        "JPEG with a comment": (personal("JPEG", comment=b"Jane Doe"), 1),
        "PNG": (personal("PNG", 6), 6),
        "WebP": (personal("WEBP", 6, quality=95), 6),
    },
    "numbers that are not finite": {
        "area": (number("area", math.nan, of="annotations"), 0),
        "date": (number("date_captured", math.nan), 1),
        "infinite": (number("score", math.inf), 1),
        "minus infinite": (number("score", -math.inf), 1),
        "nested": (number("nested", math.nan), 1),
        "in info": (number("version", math.nan, of="info"), 1),
    },
}


def cases(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", KINDS[kind].values(), ids=list(KINDS[kind]))


def both_ways(tmp_path: Path, change: Callable[[w.Files], object]) -> tuple[Any, Any]:
    """What training reads of the files, and of what ``hed prepare-data`` makes of them."""
    files = w.whole_file()
    change(files)
    file, images = files.write(tmp_path)
    command = ["prepare-data", f"--train_ann={file}", f"--train_images={images}", f"--output={tmp_path}/out"]
    assert main(command) == 0
    return read_split(SplitPaths(file, images), skip=False), read_split(
        find_split(tmp_path / "out", "train"), skip=False
    )


def test_the_table_says_how_many_cases_were_tried() -> None:
    assert {kind: len(cases) for kind, cases in KINDS.items()} == COUNTS


@cases("sides of a few pixels")
def test_what_one_command_reads_the_other_reads(case: tuple[w.Change, int], tmp_path: Path) -> None:
    change, count = case
    for people in both_ways(tmp_path, change):
        assert len(people.images) == count and people.skipped == ()


@cases("16-bit values that use fewer bits")
def test_images_that_are_read_too_dark_are_warned_about(case: tuple[w.Change, list[str]], tmp_path: Path) -> None:
    change, kinds = case
    for people in both_ways(tmp_path, change):
        assert [finding.kind for finding in people.findings] == kinds


@cases("metadata about people and places")
def test_copies_keep_the_orientation_and_no_secret(case: tuple[w.Change, int], tmp_path: Path) -> None:
    change, orientation = case
    given, people = both_ways(tmp_path, change)
    before, after = (one.images_dir / "p0.jpg" for one in (given, people))
    assert b"Jane" in before.read_bytes() and b"Jane" not in after.read_bytes()
    with Image.open(before) as source, Image.open(after) as copy:
        assert dict(copy.getexif()) == ({} if orientation == 1 else {w.ORIENTATION: orientation})
        shown, kept = (np.asarray(ImageOps.exif_transpose(image)) for image in (source, copy))
    np.testing.assert_array_equal(shown, kept)


@cases("numbers that are not finite")
def test_what_is_written_is_json_of_every_reader(
    case: tuple[w.Change, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change, count = case

    def refuse(word: str) -> None:
        raise AssertionError(word)

    both_ways(tmp_path, change)
    for file in (tmp_path / "out").rglob("*.json"):
        json.loads(file.read_text(), parse_constant=refuse)
    assert ("1 numbers are NaN or infinite; written as null" in caplog.text) == bool(count)
