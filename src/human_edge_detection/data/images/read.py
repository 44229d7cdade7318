"""Reads image files, and resamples boxes of images."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection.data.images.bit_depth import bits_used
from human_edge_detection.data.images.header import read_header
from human_edge_detection.data.images.unended_jpeg import lacks_end, with_end
from human_edge_detection.errors import DataError
from human_edge_detection.files.read import read_regular_file
from human_edge_prediction.images.header import ImageHeader
from human_edge_prediction.images.read import oriented

_MAX_BYTES = 2**29
"""Largest image file."""
_DIGEST_BYTES = 12
"""Enough that no two of a billion files are equal by chance."""
_JPEG = b"\xff\xd8"
_DECODE_MODES = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""OpenCV's decoding mode for each factor by which width and height are divided."""
_MIN_SIDE_PX = 8
"""Below this OpenCV makes no image at all at an eighth of the size, of formats other than JPEG."""


def read_image(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Reads an image file as ``(H, W, 3)`` uint8 RGB, oriented as its EXIF data says.

    Grey, CMYK, 16-bit and transparent images become 8-bit RGB.

    Args:
        path: A JPEG, PNG, WebP or BMP file.
        size: (height, width) that its annotation says; another size is refused before anything is decoded.

    Raises:
        DataError: The file is missing, empty, cut off, damaged, not an image, too large or of another size.
    """
    return np.asarray(cv2.cvtColor(read_shrunk(path, size, 1)[0], cv2.COLOR_BGR2RGB), np.uint8)


def read_shrunk(path: Path, size: tuple[int, int] | None, most: float) -> tuple[NDArray[np.uint8], int]:
    """:func:`read_image` as BGR, as OpenCV decodes it, and with fewer pixels where that saves time.

    Args:
        path: A JPEG, PNG, WebP or BMP file.
        size: (height, width) that its annotation says.
        most: Largest factor that width and height may be divided by.

    Returns:
        ``(ceil(H / factor), ceil(W / factor), 3)`` uint8 BGR, and the factor: 1, or for a JPEG 2, 4 or 8, at which its
        8 x 8 blocks can be decoded directly. A pixel is about the mean of ``factor x factor`` pixels; those of the last
        row and column may reach beyond the image.

    Raises:
        DataError: The file is missing, empty, cut off, damaged, not an image, too large or of another size.
    """
    try:
        content, header = _read_whole(path, size)
        # Only JPEG: of other formats OpenCV would decode every pixel and then drop most of them.
        factor = max(f for f in _DECODE_MODES if f <= max(most, 1)) if content.startswith(_JPEG) else 1
        return _decode(content, header, _DECODE_MODES[factor]), factor
    except DataError as error:
        raise DataError(f"image {path} {error}") from None


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file, oriented as its EXIF data says; nothing is decoded.

    Raises:
        DataError: The file is missing, empty, cut off, damaged, not an image or too large.
    """
    try:
        _, header = _read_whole(path, None)
    except DataError as error:
        raise DataError(f"image {path} {error}") from None
    return header.height, header.width


class ImageFacts(NamedTuple):
    """What a data set is judged by, of one image file.

    Attributes:
        digest: Of its bytes: equal for equal files.
        height: Of the pixels as they are stored.
        width: Of the pixels as they are stored.
        orientation: EXIF orientation, 1 (upright) to 8.
        is_ended: False for a JPEG without its end marker.
        bits_used: Of a 16-bit image, see :func:`~human_edge_detection.data.images.bit_depth.bits_used`; else None.
    """

    digest: str
    height: int
    width: int
    orientation: int
    is_ended: bool
    bits_used: int | None


def image_facts(path: Path) -> ImageFacts | None:
    """The facts of an image file, without decoding it unless it has 16 bits; None where it cannot be read."""
    try:
        content = read_regular_file(path, max_bytes=_MAX_BYTES)
        height, width, orientation = read_header(with_end(content))
    except (OSError, DataError):
        return None
    if orientation > 4:
        height, width = width, height
    digest = hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()
    return ImageFacts(digest, height, width, orientation, not lacks_end(content), bits_used(content))


def decode_grey(content: bytes) -> NDArray[np.uint8]:
    """Decodes an image file in memory as ``(H, W)`` uint8 grey levels, as it is stored.

    Raises:
        DataError: It is damaged, not an image or too large; the message lacks its subject.
    """
    read_header(content)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise DataError("cannot be decoded; write it anew")
    return np.asarray(image, np.uint8)


def image_problem(path: Path, size: tuple[int, int]) -> str | None:
    """Why :func:`read_image` would refuse an image file, or None; decodes it at an eighth of its size, for speed.

    Args:
        path: A JPEG, PNG, WebP or BMP file.
        size: (height, width) that its annotation says.
    """
    try:
        content, header = _read_whole(path, size)
        is_thin = min(header.height, header.width) < _MIN_SIDE_PX
        _decode(content, header, cv2.IMREAD_COLOR if is_thin else cv2.IMREAD_REDUCED_COLOR_8)
    except DataError as error:
        return str(error)
    return None


def read_image_file(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        DataError: It cannot be read; the message lacks its subject.
    """
    try:
        return read_regular_file(path, max_bytes=_MAX_BYTES)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}); put the file there") from None


def _read_whole(path: Path, size: tuple[int, int] | None) -> tuple[bytes, ImageHeader]:
    """The bytes of a complete image file and its header; refuses a size other than ``size`` (height, width)."""
    content = with_end(read_image_file(path))
    header = read_header(content)
    if size is not None and (header.height, header.width) != size:
        raise DataError(
            f"is {header.width} x {header.height} (width x height, turned as its EXIF data says), but its annotation "
            f"says {size[1]} x {size[0]}; annotate the image as it is"
        )
    return content, header


def _decode(content: bytes, header: ImageHeader, mode: int) -> NDArray[np.uint8]:
    """The pixels of a checked file, ``(H, W, 3)`` uint8 BGR, in the EXIF orientation of ``header``."""
    try:
        # OpenCV is told to ignore the orientation: which formats it applies it to depends on its version.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DataError(f"cannot be decoded ({error.err}); replace the file") from None
    if image is None:
        raise DataError("cannot be decoded; replace the file")
    return oriented(image, header.orientation).astype(np.uint8, copy=False)


def resample(planes: NDArray[Any], box: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Crops ``planes`` to ``box`` and resamples the crop to ``size``; exact also for boxes at fractions of a pixel.

    Separable filtering: each output value is the mean over a window around its position. The window is one output pixel
    wide along an axis that shrinks (area averaging) and one source pixel wide along one that grows, which is bilinear
    interpolation.

    Args:
        planes: ``(C, H, W)``.
        box: x1, y1, x2, y2 in pixels, inside the planes.
        size: (height, width) of the output.

    Returns:
        ``(C, height, width)`` float32.
    """
    window = resampling_window(box, (planes.shape[1], planes.shape[2]), size)
    return window.resample(planes[:, window.rows, window.columns])


class ResamplingWindow(NamedTuple):
    """What of an image is looked at, k rows and l columns, and weights ``(height, k)`` and ``(width, l)`` of it."""

    rows: slice
    columns: slice
    row_weights: NDArray[np.float32]
    column_weights: NDArray[np.float32]

    def resample(self, part: NDArray[Any]) -> NDArray[np.float32]:
        """``part``, ``(C, k, l)`` of the window, as ``(C, height, width)``."""
        resampled = self.row_weights @ part.astype(np.float32) @ self.column_weights.T
        return resampled.astype(np.float32, copy=False)


def resampling_window(box: NDArray[Any], full_size: tuple[int, int], size: tuple[int, int]) -> ResamplingWindow:
    """How :func:`resample` makes ``size`` (height, width) of ``box`` in an image of ``full_size`` (height, width)."""
    rows, row_weights = _window_weights(box[1], box[3], full_size[0], size[0])
    columns, column_weights = _window_weights(box[0], box[2], full_size[1], size[1])
    return ResamplingWindow(rows, columns, row_weights, column_weights)


def _window_weights(start: float, end: float, length: int, count: int) -> tuple[slice, NDArray[np.float32]]:
    """The weights of one axis for :func:`resample`.

    Args:
        start: First position of the box, in pixels.
        end: Last position of the box.
        length: Number of source pixels.
        count: Number of output pixels.

    Returns:
        The k source pixels that any window overlaps, and ``(count, k)`` weights; each row adds up to 1.
    """
    # 1. Centres of the output pixels, and half the width of their windows, in source pixels.
    step = (end - start) / count
    centres = start + (np.arange(count) + 0.5) * step
    half = max(step, 1.0) / 2
    # 2. The source pixels that the windows overlap.
    first, last = max(int(np.floor(centres[0] - half)), 0), min(int(np.ceil(centres[-1] + half)), length)
    pixels = np.arange(first, last)
    # 3. The length of the overlap of each window with each pixel, 0 for none, as a share of the window.
    covered = np.minimum(centres[:, None] + half, pixels + 1) - np.maximum(centres[:, None] - half, pixels)
    weights = np.clip(covered, 0.0, None)
    return slice(first, last), (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
