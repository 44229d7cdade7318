"""Image files without what they say of people and places: EXIF (GPS, cameras, times, thumbnails), XMP, IPTC, comments.

Pixels are not decoded, so they stay as they are. What is needed to show them right stays too: the orientation, in an
EXIF block that holds nothing else, and colour profiles. What follows the end of an image (a second image, a film) goes.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from human_edge_detection.data.images.header import read_header
from human_edge_prediction.images.header import ORIENTATION_TAG

_SHORT: Final = 3
"""EXIF: type code of a 16-bit integer."""
_JPEG_MARKER: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""A marker of a segment; not fill bytes ``ff``, a stuffed ``ff 00`` or a restart marker among coded pixels."""
_JPEG_END, _JPEG_TEMPORARY, _JPEG_COMMENT = 0xD9, 0x01, 0xFE
_JPEG_APPLICATION: Final = range(0xE0, 0xF0)
"""JPEG: markers of segments for applications, APP0 to APP15."""
_JPEG_KEPT: Final = ((0xE0, b"JFIF\0"), (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe"))
"""JPEG: segments for applications that say how pixels are shown: marker, and how the body begins."""
_PNG_DROPPED: Final = {b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"}
_WEBP_DROPPED: Final = {b"EXIF", b"XMP "}
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04
"""WebP: flags of the extended header (``VP8X``) for chunks that are there."""


def without_personal_data(content: bytes) -> bytes:
    """The image file without metadata but orientation and colour profile; the same bytes where there is none.

    Args:
        content: A complete JPEG, PNG, WebP or BMP file.

    Raises:
        DataError: It is something else, or not whole.
    """
    orientation = read_header(content).orientation
    exif = b"" if orientation == 1 else _exif(orientation)
    if content.startswith(b"\xff\xd8"):
        return b"".join(_jpeg_parts(content, exif))
    if content.startswith(b"\x89PNG"):
        return b"".join(_png_parts(content, exif))
    return _webp(content, exif) if content.startswith(b"RIFF") else content


def _exif(orientation: int) -> bytes:
    """An EXIF block, a TIFF file with one directory of one entry, that holds the orientation alone."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, ORIENTATION_TAG, _SHORT, 1, orientation, 0, 0)


def _jpeg_parts(content: bytes, exif: bytes) -> Iterator[bytes]:
    """The start, the EXIF block, and every kept segment with the coded pixels behind it, up to the end marker."""
    yield content[:2]
    if exif:
        body = b"Exif\0\0" + exif
        yield b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    position = 2
    while found := _JPEG_MARKER.search(content, position):
        yield content[position : found.start()]
        marker, position = content[found.end() - 1], found.end()
        if marker == _JPEG_END:
            yield content[found.start() : position]
            return
        if marker != _JPEG_TEMPORARY:
            (length,) = struct.unpack_from(">H", content, position)
            position += length
        segment = content[found.start() : position]
        if marker in _JPEG_APPLICATION:
            if any(marker == kept and segment[4:].startswith(start) for kept, start in _JPEG_KEPT):
                yield segment
        elif marker != _JPEG_COMMENT:
            yield segment
    yield content[position:]


def _png_parts(content: bytes, exif: bytes) -> Iterator[bytes]:
    """The signature and every kept chunk; the EXIF block before the pixels."""
    yield content[:8]
    position, name = 8, b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", content, position)
        if name == b"IDAT" and exif:
            yield struct.pack(">I4s", len(exif), b"eXIf") + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
            exif = b""
        if name not in _PNG_DROPPED:
            yield content[position : position + 12 + length]
        position += 12 + length


def _webp(content: bytes, exif: bytes) -> bytes:
    """Every kept chunk, with the flags of the extended header put right; the EXIF block at the end."""
    (length,) = struct.unpack_from("<I", content, 4)
    chunks, position = [], 12
    while position < length + 8:
        name, size = struct.unpack_from("<4sI", content, position)
        chunk = content[position : position + 8 + size + size % 2]  # chunks begin at even positions
        if name == b"VP8X":
            flags = chunk[8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if exif else 0)
            chunk = chunk[:8] + bytes([flags]) + chunk[9:]
        if name not in _WEBP_DROPPED:
            chunks.append(chunk)
        position += len(chunk)
    if exif:
        chunks.append(struct.pack("<4sI", b"EXIF", len(exif)) + exif)
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body
