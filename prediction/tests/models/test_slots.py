"""A static model asked about any number of images and rois."""

import numpy as np
import pytest
from numpy.typing import NDArray

from human_edge_prediction import ArgumentError
from human_edge_prediction.adapter import Array
from human_edge_prediction.models.slots import run_in_slots

WHOLE = [0, 0, 0, 1, 1]


class Static:
    """Its masks are a roi's x1 plus the image's value, its person map is that value; remembers what it was asked."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.asked: list[list[list[float]]] = []

    def __call__(self, images: NDArray[np.float32], rois: NDArray[np.float32]) -> dict[str, Array]:
        assert images.shape == (1, 3, 2, 2)
        assert rois.shape == (self.slots, 5) and rois.dtype == np.float32
        self.asked.append(rois.tolist())
        masks = rois[:, 1, None, None, None] + images[0, 0, 0, 0] + np.zeros((1, 3, 4, 4), np.float32)
        return {"masks": masks, "binary_masks": images[:, :1]}


def images_of(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)[:, None, None, None] + np.zeros((1, 3, 2, 2), np.float32)


def rois_of(*rows: tuple[int, float]) -> NDArray[np.float32]:
    return np.array([[image, x1, 0.25, 0.75, 0.5] for image, x1 in rows], np.float32).reshape(-1, 5)


def test_rois_are_answered_in_their_order_whatever_image_they_are_of() -> None:
    rois = rois_of((1, 0.5), (0, 0.125), (1, 0.25), (0, 0.0), (1, 0.75))
    model = Static(slots=2)
    outputs = run_in_slots(model, images_of(10, 20), rois, 2)
    assert outputs["masks"].shape == (5, 3, 4, 4)
    assert outputs["masks"][:, 0, 0, 0].tolist() == [20.5, 10.125, 20.25, 10.0, 20.75]
    assert outputs["binary_masks"][:, 0, 0, 0].tolist() == [10, 20]
    assert len(model.asked) == 3
    assert all(roi[0] == 0 for asked in model.asked for roi in asked), "there is one image"
    assert model.asked[-1][1] == WHOLE, "a slot that is not used"


def test_an_image_without_rois_has_its_person_map() -> None:
    model = Static(slots=4)
    outputs = run_in_slots(model, images_of(1, 2, 3), rois_of((2, 0.5)), 4)
    assert outputs["masks"][:, 0, 0, 0].tolist() == [3.5]
    assert outputs["binary_masks"][:, 0, 0, 0].tolist() == [1, 2, 3]
    assert model.asked[0] == [WHOLE] * 4
    nobody = run_in_slots(model, images_of(1), rois_of(), 4)
    assert nobody["masks"].shape == (0, 3, 4, 4)


def test_a_model_of_one_image_may_take_any_number_of_rois_or_have_no_head_for_them() -> None:
    counts = []

    def run(images: NDArray[np.float32], rois: NDArray[np.float32]) -> dict[str, Array]:
        counts.append(len(rois))
        return {"binary_masks": images[:, :1]}

    outputs = run_in_slots(run, images_of(1, 2), rois_of((1, 0.5), (1, 0.25)), None)
    assert list(outputs) == ["binary_masks"] and counts == [0, 2]


@pytest.mark.parametrize("image", [2, -1, 0.5])
def test_a_roi_of_no_image_is_refused(image: float) -> None:
    rois = np.array([[image, 0, 0, 1, 1]], np.float32)
    with pytest.raises(ArgumentError, match="index of an image, 0 to 1"):
        run_in_slots(Static(slots=2), images_of(1, 2), rois, 2)
