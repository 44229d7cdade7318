"""16-bit images whose values use fewer bits."""

import cv2
import numpy as np
import pytest

from human_edge_detection.data.images.bit_depth import bits_used


def _encoded(suffix, image):
    return cv2.imencode(suffix, image)[1].tobytes()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("most", "bits"), [(0, 0), (1023, 10), (4095, 12), (16383, 14), (65535, 16)])
def test_the_bits_of_the_largest_value_count(channels, most, bits):
    image = np.zeros((6, 8, channels), np.uint16)
    image[2, 3] = most
    assert bits_used(_encoded(".png", image)) == bits


def test_images_of_8_bits_and_what_cannot_be_read_have_none():
    for suffix in (".png", ".jpg", ".bmp"):
        assert bits_used(_encoded(suffix, np.full((6, 8, 3), 9, np.uint8))) is None
    assert bits_used(b"\x89PNG\r\n\x1a\n" + bytes(16) + bytes([16])) is None
    assert bits_used(b"") is None
