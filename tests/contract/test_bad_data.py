"""Whatever lies where images and annotations should be: one line that says so, soon, and never a crash.

All cases run in one child process, as OpenCV and pycocotools are C code: a crash leaves the cases from there on without
an answer, a hang ends with the child's time.
"""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageOps
from spoilt_data import (
    ANNOTATIONS,
    BMP,
    CASES,
    HEIGHT,
    IMAGES,
    JPEG,
    PROGRESSIVE,
    WEBP,
    WIDTH,
    WITH_PREVIEW,
    Data,
    chunk,
    encoded,
    oriented,
    picture,
)

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.images.read import image_problem, read_image
from human_edge_detection.errors import DataError

CPU_SECONDS = 5.0
"""For a case that takes milliseconds; other work of the machine does not count."""

CHILD = """
import json, sys, time, traceback
from pathlib import Path
from human_edge_detection.data.annotations.coco import decode_mask, read_annotations
from human_edge_detection.data.annotations.annotation_set import refusal
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.images.read import read_image
from human_edge_detection.data.annotations.scan import scan_images
from human_edge_detection.errors import DataError

def use(folder):
    people = read_annotations(folder / "people.json", folder / "images")
    bad = scan_images(people).bad
    for image in people.images:
        path, size = people.images_dir / image.file_name, (image.height, image.width)
        try:
            read_image(path, size)
            assert image.file_name not in [sample.file_name for sample in bad], "the scan refuses what can be read"
        except DataError as error:
            assert image.file_name in [sample.file_name for sample in bad], f"the scan passes: {error}"
            assert "\\n" not in str(error)
        for person in (*image.persons, *image.crowds):
            decode_mask(person.segmentation, *size)
    if bad:
        raise refusal(people, bad)

for folder in sorted(Path(sys.argv[1]).iterdir()):
    start = time.process_time()
    try:
        use(folder)
        kind, message = "nothing", ""
    except DataError as error:
        kind, message = "DataError", str(error)
    except Exception:
        kind, message = "bug", traceback.format_exc()
    print(json.dumps([folder.name, kind, message, time.process_time() - start]), flush=True)
"""


class Predictor(NamedTuple):
    kind: str
    message: str
    seconds: float


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Predictor]:
    """What each case was answered, by its name; a case without one was not reached."""
    root = tmp_path_factory.mktemp("bad_data")
    folders = {f"{number:03d}": name for number, name in enumerate(["valid", *CASES])}
    for folder, name in folders.items():
        data = Data(root / folder)
        if name in CASES:
            CASES[name].spoil(data)
        data.write()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(root)],
        capture_output=True,
        timeout=300,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    assert child.returncode == 0, f"died at {folders.get(f'{len(lines):03d}')}: {child.stderr[-500:]!r}"
    return {folders[folder]: Predictor(*output) for folder, *output in lines}


def test_the_table_is_long(outputs: dict[str, Predictor]) -> None:
    assert len(IMAGES) >= 35
    assert len(ANNOTATIONS) >= 80
    assert set(outputs) == {"valid", *CASES}


def test_what_is_spoilt_was_valid(outputs: dict[str, Predictor]) -> None:
    assert outputs["valid"].kind == "nothing", outputs["valid"].message


@pytest.mark.parametrize("name", CASES)
def test_bad_data_are_refused_in_one_line_and_soon(outputs: dict[str, Predictor], name: str) -> None:
    kind, message, seconds = outputs[name]
    assert kind == "DataError", message or "accepted"
    assert CASES[name].fragment in message
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
    assert seconds < CPU_SECONDS


def test_an_image_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "a.jpg").write_bytes(JPEG)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"a\.jpg cannot be read \(Permission denied\)"):
        read_image(tmp_path / "a.jpg")


COLORS = np.asarray(picture())
GREY = np.asarray(picture("L"))
GOOD = {
    "JPEG": JPEG,
    "progressive JPEG": PROGRESSIVE,
    "JPEG with a preview": WITH_PREVIEW,
    "JPEG with something after its end": JPEG + b"\xff\xda trailer",
    "JPEG with restarts": encoded(picture(), "JPEG", restart_marker_rows=1),
    "CMYK JPEG": encoded(picture("CMYK"), "JPEG", quality=98),
    "grey JPEG": encoded(picture("L"), "JPEG"),
    "grey PNG": encoded(picture("L"), "PNG"),
    "black-and-white PNG": encoded(picture("1"), "PNG"),
    "palette PNG": encoded(picture("P"), "PNG"),
    "transparent PNG": encoded(picture("RGBA"), "PNG"),
    "grey transparent PNG": encoded(picture("LA"), "PNG"),
    "WebP": WEBP,
    "lossless WebP": encoded(picture(), "WEBP", lossless=True),
    "transparent WebP": encoded(picture("RGBA"), "WEBP", lossless=True),
    "BMP": BMP,
    "grey BMP": encoded(picture("L"), "BMP"),
    **{
        f"{kind} turned {orientation}": encoded(picture(), kind, exif=oriented(orientation))
        for kind in ("JPEG", "PNG", "WEBP")
        for orientation in range(1, 9)
    },
    "unknown orientation": encoded(picture(), "JPEG", exif=oriented(9)),
}


@pytest.mark.parametrize("name", GOOD)
def test_unusual_images_give_the_right_colours(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jpg").write_bytes(GOOD[name])
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg")).convert("RGB")).astype(int)
    read = read_image(tmp_path / "a.jpg", expected.shape[:2])
    assert read.dtype == np.uint8
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).max() <= 2
    assert image_problem(tmp_path / "a.jpg", expected.shape[:2]) is None


def test_16_bit_images_keep_their_brightness(tmp_path: Path) -> None:
    grey = Image.fromarray(GREY.astype(np.uint16) * 257)
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in COLORS)
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    color = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    for content, expected in ((encoded(grey, "PNG"), GREY[..., None]), (color, COLORS)):
        (tmp_path / "a.png").write_bytes(content)
        assert np.abs(read_image(tmp_path / "a.png").astype(int) - expected).max() <= 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_annotations_in_utf_8_are_read_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    data = Data(tmp_path)
    data.first.rename(data.images / "José.jpg")
    data.json["images"][0]["file_name"] = "José.jpg"
    data.content = json.dumps(data.json, ensure_ascii=False).encode(encoding)
    data.write()
    assert read_annotations(data.file, data.images).images[0].file_name == "José.jpg"
