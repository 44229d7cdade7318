"""What a picture file says of itself, and whether the file is whole; no pixel is decoded.

Decoding comes after this, because it is what hurts: a few kilobytes can unpack to gigabytes, and OpenCV decodes half a
JPEG to half a grey picture without an error.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from human_edge_detection.errors import DataError

MAX_PIXELS = 2**27
"""Largest picture, height times width: 400 MB of RGB."""

_MAX_SCANS = 100
"""Scans of a progressive JPEG. Usual are 10; each costs a pass over the whole picture and a few bytes of the file."""
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""What is no marker: a filler ``ff``, a stuffed ``ff 00`` and a restart inside the pixels."""
_START, _END, _SCAN, _EXIF_SEGMENT = 0xD8, 0xD9, 0xDA, 0xE1
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_ORIENTATION_TAG, _SHORT = 0x0112, 3


class PictureHeader(NamedTuple):
    """Size as the picture is to be seen, that is turned, and the EXIF orientation (1 to 8) that turns it."""

    height: int
    width: int
    orientation: int


def read_header(content: bytes) -> PictureHeader:
    """The header of a whole JPEG, PNG, WebP or BMP file with one picture in it.

    Raises:
        DataError: The content is something else, cut off, damaged, animated or larger than ``MAX_PIXELS``; the message
            says so, the caller puts the file before it.
    """
    if not content:
        raise DataError("is empty (0 bytes); download or copy it again")
    parse = next((parser for signature, parser in _PARSERS.items() if content.startswith(signature)), None)
    if parse is None:
        raise DataError(f"is not a picture in JPEG, PNG, WebP or BMP (it begins with {content[:12]!r}); convert it")
    try:
        height, width, orientation = parse(content)
    except struct.error:
        raise _cut_off(content) from None
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise DataError(f"is {width} x {height}, expected 1 to {MAX_PIXELS:,} pixels in all; shrink it")
    return PictureHeader(width, height, orientation) if orientation > 4 else PictureHeader(height, width, orientation)


def _cut_off(content: bytes) -> DataError:
    return DataError(f"is cut off after {len(content):,} bytes; download or copy it again")


def _damaged(problem: str) -> DataError:
    return DataError(f"is damaged ({problem}); download or copy it again")


def _animated() -> DataError:
    return DataError("is animated, expected one picture; save the frame that is annotated as a picture of its own")


def _jpeg(content: bytes) -> PictureHeader:
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
    return PictureHeader(*size, orientation)


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment up to the end marker; a preview inside a segment is skipped with it."""
    position = 2
    while found := _JPEG_MARKER.search(content, position):
        marker, position = content[found.end() - 1], found.end()
        if marker == _END:
            return
        if marker not in (0x01, _START):
            (length,) = struct.unpack_from(">H", content, position)
            yield marker, content[position + 2 : position + length]
            position += length
    raise _cut_off(content)


def _png(content: bytes) -> PictureHeader:
    size, orientation = None, 1
    position, name = 8, b""
    while name != b"IEND":
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
    return PictureHeader(*size, orientation)


def _webp(content: bytes) -> PictureHeader:
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
        position += 8 + length_of_body + length_of_body % 2
    if size is None:
        raise _damaged("a WebP without a picture")
    return PictureHeader(*size, orientation)


def _bmp(content: bytes) -> PictureHeader:
    start, header_bytes, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", content, 10)
    if header_bytes < 40 or compression not in (0, 3):
        raise DataError("is a BMP of an unusual kind; convert it to PNG")
    if len(content) < start + (width * bits + 31) // 32 * 4 * abs(height):
        raise _cut_off(content)
    return PictureHeader(abs(height), width, 1)


def _orientation(tiff: bytes) -> int:
    """The orientation that an EXIF block gives; 1, which is upright, where it gives none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for number in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * number)
            if tag == _ORIENTATION_TAG and kind == _SHORT:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # the block ends too early; viewers take such a picture as it is
        pass
    return 1


_PARSERS: dict[bytes, Callable[[bytes], PictureHeader]] = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"RIFF": _webp,
    b"BM": _bmp,
}
