import struct

import cv2
import numpy as np
import pytest

from human_edge_detection.data.images.read import image_problem, read_image, read_shrunk, resample
from human_edge_detection.errors import DataError
from human_edge_prediction.resampling import resize


@pytest.fixture
def jpeg():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


def _oriented(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF block that says how to turn it."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def test_channels_are_red_green_blue(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 5, 3), (10, 20, 30), np.uint8))
    assert read_image(tmp_path / "a.png")[0, 0].tolist() == [30, 20, 10]


def test_exif_orientation_is_honoured(tmp_path, jpeg):
    (tmp_path / "a.jpg").write_bytes(_oriented(jpeg, 6))
    assert read_image(tmp_path / "a.jpg").shape == (96, 64, 3)


@pytest.mark.parametrize(
    "image",
    [
        np.full((4, 5), 200, np.uint8),
        np.full((4, 5, 4), 200, np.uint8),
        np.full((4, 5, 3), 200 * 257, np.uint16),
        np.full((4, 5), 200 * 257, np.uint16),
    ],
    ids=["grey", "transparent", "16-bit", "16-bit grey"],
)
def test_every_kind_becomes_8_bit_rgb(tmp_path, image):
    cv2.imwrite(str(tmp_path / "a.png"), image)
    read = read_image(tmp_path / "a.png")
    assert read.dtype == np.uint8
    assert read.shape == (4, 5, 3)
    assert np.abs(read.astype(int) - 200).max() <= 1


def test_damaged_images_are_named(tmp_path, jpeg):
    png = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))[1].tobytes()
    # A preview inside the file has an end marker of its own.
    preview = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(jpeg) + 2) + jpeg + jpeg[2:]
    (tmp_path / "whole.jpg").write_bytes(preview)
    assert read_image(tmp_path / "whole.jpg").shape == (64, 96, 3)
    cases = {
        b"": "is empty",
        b"<!DOCTYPE html><html></html>": "is not an image",
        jpeg[: len(jpeg) // 2]: "is cut off",
        preview[: len(jpeg) + len(jpeg) // 2]: "is cut off",
        png[: len(png) // 2]: "is cut off",
    }
    for content, message in cases.items():
        (tmp_path / "bad.jpg").write_bytes(content)
        with pytest.raises(DataError, match=message) as error:
            read_image(tmp_path / "bad.jpg")
        assert str(tmp_path / "bad.jpg") in str(error.value)
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path / "none.jpg")


def test_jpegs_come_smaller_where_that_is_enough(tmp_path, jpeg):
    (tmp_path / "a.jpg").write_bytes(_oriented(jpeg, 6))
    whole = read_image(tmp_path / "a.jpg")
    for most, factor in ((0.2, 1), (1.9, 1), (2.0, 2), (7.9, 4), (100.0, 8)):
        image, shrunk_by = read_shrunk(tmp_path / "a.jpg", (96, 64), most)
        assert shrunk_by == factor
        assert image.shape == (96 // factor, 64 // factor, 3)
        assert np.abs(image[..., ::-1].astype(float) - resize(whole, image.shape[:2])).mean() < 12  # of noise
    cv2.imwrite(str(tmp_path / "a.png"), whole[..., ::-1])
    image, shrunk_by = read_shrunk(tmp_path / "a.png", None, 8.0)
    assert shrunk_by == 1
    np.testing.assert_array_equal(image[..., ::-1], whole)


def test_what_is_read_smaller_is_judged_as_what_is_read_whole(tmp_path, jpeg):
    (tmp_path / "a.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    with pytest.raises(DataError, match="is cut off"):
        read_shrunk(tmp_path / "a.jpg", (64, 96), 8.0)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    with pytest.raises(DataError, match="is 96 x 64"):
        read_shrunk(tmp_path / "a.jpg", (8, 12), 8.0)


def test_resize_averages_where_it_shrinks():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (8, 8))
    np.testing.assert_allclose(resize(stripes, (8, 4)), 0.5)
    np.testing.assert_allclose(resize(stripes, (16, 4)), 0.5)
    assert resize(stripes, (3, 40)).shape == (3, 40)


def test_resample_is_exact_for_fractional_boxes():
    plane = np.zeros((1, 20, 30))
    plane[0, 5:15, 10:20] = 1
    part = resample(plane, np.array([7.5, 5.0, 17.5, 15.0]), (10, 4))[0]
    np.testing.assert_allclose(part, np.tile([0, 1, 1, 1], (10, 1)), atol=1e-6)
    part = resample(plane, np.array([8.75, 5.0, 18.75, 15.0]), (2, 4))[0]
    np.testing.assert_allclose(part, np.tile([0.5, 1, 1, 1], (2, 1)), atol=1e-6)


def test_resample_of_the_whole_is_the_identity_and_growing_interpolates():
    planes = np.random.default_rng(0).random((2, 6, 8)).astype(np.float32)
    np.testing.assert_allclose(resample(planes, np.array([0, 0, 8, 6]), (6, 8)), planes, atol=1e-6)
    grown = resample(planes, np.array([0, 0, 8, 6]), (24, 32))
    expected = [cv2.resize(plane, (32, 24), interpolation=cv2.INTER_LINEAR) for plane in planes]
    np.testing.assert_allclose(grown, expected, atol=1e-5)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
@pytest.mark.parametrize("size", [(120, 4), (4, 120), (1, 1), (7, 7), (8, 8), (1, 300)])
def test_thin_images_are_read_and_pass_the_scan_alike(tmp_path, suffix, size):
    path = tmp_path / f"strip{suffix}"
    cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))
    assert image_problem(path, size) is None
    assert read_image(path, size).shape == (*size, 3)
    image, factor = read_shrunk(path, size, 8.0)
    assert image.shape[:2] == (-(-size[0] // factor), -(-size[1] // factor))
