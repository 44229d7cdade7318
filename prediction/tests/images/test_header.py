"""Headers of image files; damaged files are in tests/contract/test_bad_data.py."""

import io
import struct

import pytest
from PIL import Image, ImageOps

from human_edge_prediction import ImageFileError
from human_edge_prediction.images.header import MAX_PIXELS, ImageHeader, read_header

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
        with pytest.raises(ImageFileError):
            read_header(content[:length])


def test_what_follows_the_end_of_an_image_does_no_harm():
    for kind in ("JPEG", "PNG", "WEBP", "BMP"):
        assert read_header(encoded(kind) + b"more") == (17, 31, 1)


def test_nothing_and_something_else_are_refused():
    with pytest.raises(ImageFileError, match="is empty"):
        read_header(b"")
    with pytest.raises(ImageFileError, match="JPEG, PNG, WebP or BMP"):
        read_header(encoded("GIF"))


def test_a_huge_image_is_refused_without_decoding_it():
    side = int(MAX_PIXELS**0.5) + 1
    frame = b"\xff\xc0\x00\x11\x08" + side.to_bytes(2, "big") * 2 + b"\x03" + bytes(9)
    content = b"\xff\xd8\xff\xe0\x00\x02" + frame + b"\xff\xda\x00\x02" + b"\xff\xd9"
    with pytest.raises(ImageFileError, match="expected 1 to"):
        read_header(content)


def exif_block(order, kind, value):
    """An EXIF block with one entry, whose value lies behind it where it takes more than four bytes."""
    form = {3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I", 16: "Q"}
    form |= {1: "B", 2: "B"}
    numbers = (value, 1) if len(form[kind]) == 2 else (value,)
    packed = struct.pack(order + form[kind], *numbers)
    inline = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(order + "I", 26)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IHHHI", 8, 1, ORIENTATION, kind, 1)
    return b"Exif\0\0" + head + inline + struct.pack(order + "I", 0) + (packed if len(packed) > 4 else b"")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [*range(1, 14), 16])
@pytest.mark.parametrize("value", [0, 3, 6, 9])
def test_an_orientation_of_any_type_is_read_as_pillow_reads_it(order, kind, value):
    body = exif_block(order, kind, value)
    content = encoded("JPEG")
    content = content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:]
    with Image.open(io.BytesIO(content)) as image:
        turned = ImageOps.exif_transpose(image)
        orientation = image.getexif().get(ORIENTATION, 1)
    header = read_header(content)
    assert (header.width, header.height) == turned.size
    if orientation in range(1, 9):
        assert header.orientation == orientation
    else:
        assert header.orientation == 1


def test_an_orientation_whose_value_lies_outside_of_the_block_is_none():
    body = exif_block("<", 12, 6)[:-4]
    content = encoded("JPEG")
    content = content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:]
    assert read_header(content).orientation == 1
