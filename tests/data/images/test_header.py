"""Headers of image files; damaged files are in tests/contract/test_bad_data.py."""

import io

import pytest
from PIL import Image

from human_edge_detection.data.images.header import MAX_PIXELS, ImageHeader, read_header
from human_edge_detection.errors import DataError

ORIENTATION = 0x0112


def encoded(kind, size=(31, 17), orientation=None, **settings):
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    content = io.BytesIO()
    extra = {} if orientation is None else {"exif": exif}
    Image.new("RGB", size, (200, 30, 90)).save(content, kind, **settings, **extra)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_sizes_are_height_then_width(kind):
    assert read_header(encoded(kind)) == ImageHeader(height=17, width=31, orientation=1)


@pytest.mark.parametrize("settings", [{"progressive": True}, {"restart_marker_rows": 1}])
def test_other_kinds_of_jpeg(settings):
    assert read_header(encoded("JPEG", **settings)) == (17, 31, 1)


def test_lossless_webp():
    assert read_header(encoded("WEBP", lossless=True)) == (17, 31, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_are_those_after_the_orientation_is_applied(kind, orientation):
    height, width = (31, 17) if orientation > 4 else (17, 31)
    assert read_header(encoded(kind, orientation=orientation)) == (height, width, orientation)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_file_that_is_cut_off_is_refused_wherever_it_ends(kind):
    content = encoded(kind)
    for length in range(len(content) - 2, 3, -7):
        with pytest.raises(DataError):
            read_header(content[:length])


def test_what_follows_the_end_of_an_image_does_no_harm():
    for kind in ("JPEG", "PNG", "WEBP", "BMP"):
        assert read_header(encoded(kind) + b"more") == (17, 31, 1)


def test_nothing_and_something_else_are_refused():
    with pytest.raises(DataError, match="is empty"):
        read_header(b"")
    with pytest.raises(DataError, match="JPEG, PNG, WebP or BMP"):
        read_header(encoded("GIF"))


def test_a_huge_image_is_refused_without_decoding_it():
    side = int(MAX_PIXELS**0.5) + 1
    frame = b"\xff\xc0\x00\x11\x08" + side.to_bytes(2, "big") * 2 + b"\x03" + bytes(9)
    content = b"\xff\xd8\xff\xe0\x00\x02" + frame + b"\xff\xda\x00\x02" + b"\xff\xd9"
    with pytest.raises(DataError, match="expected 1 to"):
        read_header(content)
