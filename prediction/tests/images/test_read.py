from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from human_edge_prediction import ImageFileError, read_image
from human_edge_prediction.images.read import check_image

ORIENTED_6 = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
"""A segment of a JPEG whose image is shown turned by a quarter clockwise."""
RGB = (200, 100, 50)


def encoded(image: NDArray[np.integer], kind: str) -> bytes:
    return bytes(cv2.imencode(kind, image)[1])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.full((8, 10, 3), RGB[::-1], np.uint8), RGB),
        (np.full((8, 10), 90, np.uint8), (90, 90, 90)),
        (np.full((8, 10, 4), (*RGB[::-1], 0), np.uint8), RGB),
        (np.full((8, 10, 3), [value * 257 for value in RGB[::-1]], np.uint16), RGB),
    ],
    ids=["RGB", "grey", "alpha", "16 bit"],
)
def test_every_png_becomes_rgb_of_8_bits(tmp_path: Path, image: NDArray[np.integer], expected: tuple[int, ...]) -> None:
    (tmp_path / "a.png").write_bytes(encoded(image, ".png"))
    read = read_image(tmp_path / "a.png")
    assert (read.shape, read.dtype) == ((8, 10, 3), np.dtype(np.uint8))
    assert (read == expected).all()


def test_an_image_is_turned_as_its_exif_data_say(tmp_path: Path) -> None:
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, :8] = 255  # the left, and when it is shown the top
    jpeg = encoded(image, ".jpg")
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + ORIENTED_6 + jpeg[2:])
    shown = read_image(str(tmp_path / "a.jpg"))
    assert shown.shape == (32, 16, 3)
    assert shown[:7].min() > 240 and shown[9:].max() < 15


def test_files_that_are_no_images(tmp_path: Path) -> None:
    jpeg = encoded(np.zeros((64, 64, 3), np.uint8), ".jpg")
    for content, message in [(b"", "is empty"), (b"text", "is not an image in JPEG"), (jpeg[:-20], "is cut off")]:
        (tmp_path / "a.jpg").write_bytes(content)
        with pytest.raises(ImageFileError, match=rf"image .*a\.jpg {message}"):
            read_image(tmp_path / "a.jpg")
    with pytest.raises(ImageFileError, match="no such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageFileError, match="is not a file"):
        read_image(tmp_path)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_arrays_that_are_no_images(image: NDArray[np.generic]) -> None:
    with pytest.raises(ImageFileError, match=r"expected \(H, W, 3\) uint8 RGB, got"):
        check_image(image)
