import base64
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from human_edge_detection.errors import CheckpointError
from human_edge_detection.runner.report.pictures import Pictures, overlay


def encoded(pixels: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()


def test_an_overlay_is_transparent_where_nobody_is_and_tells_persons_apart() -> None:
    persons = np.zeros((20, 30), np.uint8)
    persons[4:16, 2:12] = 1
    persons[4:16, 14:24] = 2
    persons[18:] = 255
    rgba = np.asarray(Image.open(BytesIO(base64.b64decode(overlay(encoded(persons))))).convert("RGBA"))
    assert rgba.shape == (20, 30, 4)
    assert rgba[0, 0, 3] == 0
    assert 0 < rgba[10, 6, 3] < rgba[10, 2, 3] == 255  # filled, with an outline
    assert tuple(rgba[10, 6, :3]) != tuple(rgba[10, 18, :3])
    assert rgba[19, 5, 3] > 0


@pytest.mark.parametrize("content", ["", base64.b64encode(b"no picture").decode()])
def test_what_is_no_map_is_refused(content: str) -> None:
    with pytest.raises(CheckpointError):
        overlay(content)


def test_equal_pictures_are_inside_once_and_the_budget_holds() -> None:
    pictures = Pictures(budget=2000)
    first = pictures.add_all("A" * 400, ["B" * 100])
    assert first == pictures.add_all("A" * 400, ["B" * 100])
    assert (pictures.images, len(pictures.sources), pictures.left_out) == (1, 2, 0)
    assert pictures.add_all("C" * 4000, []) is None
    assert (pictures.images, pictures.left_out) == (1, 1)
    assert pictures.add_all("D" * 400, ["B" * 100]) is not None
