"""Parses the headers of image files and checks that the files are complete, without decoding any pixel.

This comes before decoding, which is what does damage: a few kilobytes can decompress to gigabytes, and OpenCV decodes
half a JPEG to a half grey image without an error. Formats: JPEG (ITU-T T.81), PNG (ISO/IEC 15948), WebP (RFC 9649) and
BMP.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from human_edge_prediction.errors import ImageFileError

MAX_PIXELS = 2**27
"""Largest image, height times width: 400 MB of RGB."""

_MAX_SCANS = 100
"""Most scans of a progressive JPEG; 10 are usual. Each costs a pass over the whole image and few bytes of the file."""
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""A marker of a segment; not fill bytes ``ff``, a stuffed ``ff 00`` or a restart marker among coded pixels."""
_START, _END, _SCAN, _EXIF_SEGMENT = 0xD8, 0xD9, 0xDA, 0xE1
"""JPEG markers: start of image (SOI), end of image (EOI), start of scan (SOS), application segment 1 (APP1)."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG markers of a frame header (SOF), which holds the size; the three left out are no frame headers."""
_TEMPORARY = 0x01
"""JPEG marker (TEM) that, like the start of an image, has no body."""
ORIENTATION_TAG = 0x0112
"""EXIF: number of the orientation's tag."""
_NUMBERS = {3: "H", 4: "I", 5: "II", 6: "b", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I", 16: "Q"}
"""EXIF: types of a number by their code, as `struct` calls them; those that Pillow takes an orientation from. The
standard wants 3, a 16-bit integer; a byte (1) is no number for Pillow, and it turns no such image."""
_INLINE_BYTES = 4
"""EXIF: a longer value lies elsewhere in the block, and its position in its place."""


class ImageHeader(NamedTuple):
    """Size in pixels after the EXIF orientation is applied, and this orientation, 1 (upright) to 8."""

    height: int
    width: int
    orientation: int


def read_header(content: bytes) -> ImageHeader:
    """The header of a complete JPEG, PNG, WebP or BMP file that holds one image.

    Args:
        content: All bytes of the file.

    Raises:
        ImageFileError: The content is something else, cut off, damaged, animated or larger than ``MAX_PIXELS``. The
            message lacks its subject: the caller puts the name of the file before it.
    """
    if not content:
        raise ImageFileError("is empty (0 bytes); download or copy it again")
    parse = next((parser for signature, parser in _PARSERS.items() if content.startswith(signature)), None)
    if parse is None:
        raise ImageFileError(f"is not an image in JPEG, PNG, WebP or BMP (it begins with {content[:12]!r}); convert it")
    try:
        height, width, orientation = parse(content)
    except struct.error:
        raise _cut_off(content) from None
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ImageFileError(f"is {width} x {height}, expected 1 to {MAX_PIXELS:,} pixels in all; shrink it")
    # Orientations above 4 swap rows and columns.
    return ImageHeader(width, height, orientation) if orientation > 4 else ImageHeader(height, width, orientation)


def _cut_off(content: bytes) -> ImageFileError:
    return ImageFileError(f"is cut off after {len(content):,} bytes; download or copy it again")


def _damaged(problem: str) -> ImageFileError:
    return ImageFileError(f"is damaged ({problem}); download or copy it again")


def _animated() -> ImageFileError:
    return ImageFileError(
        "is animated, expected one image; save the frame that is annotated as an image file of its own"
    )


def _jpeg(content: bytes) -> ImageHeader:
    """Reads size and orientation from the segments of a JPEG and counts its scans."""
    size: tuple[int, int] | None = None
    orientation, scans = 1, 0
    for marker, body in _jpeg_segments(content):
        if marker in _FRAMES and size is None:
            height, width = struct.unpack_from(">HH", body, 1)
            size = height, width
        elif marker == _EXIF_SEGMENT and body.startswith(b"Exif\0\0"):
            orientation = _orientation(body[6:])
        scans += marker == _SCAN
    if size is None or not 0 < scans <= _MAX_SCANS:
        raise _damaged(f"a JPEG with {scans} scans")
    return ImageHeader(*size, orientation)


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment up to the end marker.

    A segment is skipped by its length, and with it a preview inside of it. The coded pixels behind a scan header have
    no length: they are searched for the next marker.
    """
    position = 2  # behind the start of the image
    while found := _JPEG_MARKER.search(content, position):
        marker, position = content[found.end() - 1], found.end()
        if marker == _END:
            return
        if marker not in (_TEMPORARY, _START):
            (length,) = struct.unpack_from(">H", content, position)  # of itself and the body
            yield marker, content[position + 2 : position + length]
            position += length
    raise _cut_off(content)


def _png(content: bytes) -> ImageHeader:
    """Reads size and orientation from the chunks of a PNG and compares each chunk's checksum."""
    size, orientation = None, 1
    position, name = 8, b""
    while name != b"IEND":
        # A chunk: length of the body, name, body, CRC-32 of name and body.
        length, name = struct.unpack_from(">I4s", content, position)
        (checksum,) = struct.unpack_from(">I", content, position + 8 + length)
        body = content[position + 8 : position + 8 + length]
        if zlib.crc32(body, zlib.crc32(name)) != checksum:
            raise _damaged(f"a wrong checksum at byte {position}")
        if name == b"IHDR" and size is None:
            width, height = struct.unpack_from(">II", body)
            size = height, width
        elif name == b"eXIf":
            orientation = _orientation(body)
        elif name == b"acTL":
            raise _animated()
        position += 12 + length
    if size is None:
        raise _damaged("a PNG without a header")
    return ImageHeader(*size, orientation)


def _webp(content: bytes) -> ImageHeader:
    """Reads size and orientation from the RIFF chunks of a WebP, lossy (``VP8 ``) or lossless (``VP8L``)."""
    size, orientation = None, 1
    (length,) = struct.unpack_from("<I", content, 4)
    if content[8:12] != b"WEBP":
        raise _damaged("a RIFF file that is not WebP")
    if len(content) < length + 8:
        raise _cut_off(content)
    position = 12
    while position < length + 8:
        name, length_of_body = struct.unpack_from("<4sI", content, position)
        body = content[position + 8 : position + 8 + length_of_body]
        if name == b"ANIM":
            raise _animated()
        if name == b"EXIF":
            orientation = _orientation(body.removeprefix(b"Exif\0\0"))
        elif name == b"VP8 " and size is None:
            width, height = struct.unpack_from("<HH", body, 6)
            size = height & 0x3FFF, width & 0x3FFF
        elif name == b"VP8L" and size is None:
            (bits,) = struct.unpack_from("<I", body, 1)
            size = (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
        position += 8 + length_of_body + length_of_body % 2  # chunks begin at even positions
    if size is None:
        raise _damaged("a WebP without an image")
    return ImageHeader(*size, orientation)


def _bmp(content: bytes) -> ImageHeader:
    """Reads the size of an uncompressed BMP and compares the length of its rows with that of the file."""
    start, header_bytes, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", content, 10)
    if header_bytes < 40 or compression not in (0, 3):
        raise ImageFileError("is a BMP of an unusual kind; convert it to PNG")
    # A row is padded to a multiple of 4 bytes; a negative height says that the top row comes first.
    if len(content) < start + (width * bits + 31) // 32 * 4 * abs(height):
        raise _cut_off(content)
    return ImageHeader(abs(height), width, 1)


def _orientation(tiff: bytes) -> int:
    """The orientation in an EXIF block, which is laid out as a TIFF file; 1 (upright) when there is none.

    The block begins with its byte order and the position of a directory: a count, then entries of 12 bytes each.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", tiff, entry)
            if tag == ORIENTATION_TAG and kind in _NUMBERS and number:
                return _orientation_number(tiff, order, kind, entry + 8, number)
    except struct.error:  # the block ends too early; viewers show such an image as it is stored
        pass
    return 1


def _orientation_number(tiff: bytes, order: str, kind: int, position: int, number: int) -> int:
    """The first of ``number`` values of type ``kind``, which lie or are pointed at at ``position``; 1 when unknown."""
    form = order + _NUMBERS[kind]
    if struct.calcsize(form) * number > _INLINE_BYTES:
        (position,) = struct.unpack_from(order + "I", tiff, position)
    numerator, *denominator = struct.unpack_from(form, tiff, position)
    value = numerator / (denominator[0] or 1) if denominator else numerator
    return int(value) if value in range(1, 9) else 1


_PARSERS: dict[bytes, Callable[[bytes], ImageHeader]] = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"RIFF": _webp,
    b"BM": _bmp,
}
