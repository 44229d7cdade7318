from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from human_edge_detection.data.images.unended_jpeg import lacks_end, with_end


def jpeg(**options) -> bytes:
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(cv2.blur(image, (5, 5))).save(file, "JPEG", quality=80, **options)
    return file.getvalue()


def pixels(content: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}])
def test_only_whole_pixels_get_the_end_that_lacks(options):
    content = jpeg(**options)
    assert not lacks_end(content) and with_end(content) is content
    assert lacks_end(content[:-2]) and with_end(content[:-2]) == content
    for lost in range(3, 120):
        mended = with_end(content[:-lost])
        assert mended == content[:-lost] or np.array_equal(pixels(mended), pixels(content)), lost
    assert with_end(content[:-60].ljust(len(content), b"\0")) == content[:-60].ljust(len(content), b"\0")


def test_finding_out_prints_nothing(capfd):
    for lost in (2, 30):
        with_end(jpeg()[:-lost])
    assert capfd.readouterr() == ("", "")


def test_the_end_of_a_preview_is_not_that_of_the_image():
    content = jpeg()
    preview = b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content
    assert lacks_end(content[:2] + preview + content[2:-2])
    assert not lacks_end(content[:2] + preview + content[2:])
    assert not lacks_end(b"\x89PNG\r\n\x1a\n")
