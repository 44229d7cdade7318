import albumentations as A
import numpy as np
import pytest
from augmentations import only
from hypothesis import given, settings
from hypothesis import strategies as st

from human_edge_detection.data.views.augment import (
    ColorChange,
    draw_view,
    jitter_boxes,
    sample_seed,
)
from human_edge_detection.experiments.schema.data import AugmentationConfig

NOTHING = only()
SIZE = (60, 80)


def draw(augmentation, key=(0, 0, 0), size=SIZE):
    return draw_view(augmentation, size, np.random.default_rng(sample_seed(*key)))


def in_pixels(view, size=SIZE):
    """From pixels to those of a view as large as the image: the linear part, and where the centre goes."""
    matrix = np.diag([size[1], size[0], 1.0]) @ view.matrix
    centre = matrix[:2, :2] @ (np.array(size[::-1]) / 2) + matrix[:2, 2]
    return matrix[:2, :2], centre - np.array(size[::-1]) / 2


def test_equal_keys_give_equal_views():
    one, other = draw(AugmentationConfig(), (3, 1, 4)), draw(AugmentationConfig(), (3, 1, 4))
    np.testing.assert_array_equal(one.matrix, other.matrix)
    assert (one.color, one.blur) == (other.color, other.blur)


@pytest.mark.parametrize("other", [(4, 1, 4), (3, 2, 4), (3, 1, 5)])
def test_seed_epoch_and_index_each_change_it(other):
    one, other = draw(AugmentationConfig(), (3, 1, 4)), draw(AugmentationConfig(), other)
    assert (one.matrix != other.matrix).any()
    assert one.color != other.color


def test_zero_strength_changes_nothing():
    view = draw(NOTHING)
    np.testing.assert_allclose(view.matrix, np.diag([1 / 80, 1 / 60, 1]), atol=1e-15)
    assert view.color is None
    assert view.blur == 0


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.tuples(st.integers(8, 500), st.integers(8, 500)),
    st.tuples(st.floats(0.2, 1.0), st.floats(1.0, 4.0)),
    st.floats(0.0, 1.0),
    st.floats(0.0, 180.0),
    st.floats(0.0, 1.0),
)
def test_what_is_drawn_is_what_the_strengths_allow(seed, size, scale, translate, rotate, color):
    view = draw(
        only(horizontal_flip=0.5, scale=scale, translate=translate, rotate=rotate, color=color, blur=0.5),
        (seed, 0, 0),
        size,
    )
    turn, shift = in_pixels(view, size)
    zoom = np.sqrt(abs(np.linalg.det(turn)))
    assert scale[0] - 1e-9 <= zoom <= scale[1] + 1e-9
    np.testing.assert_allclose(turn @ turn.T, zoom**2 * np.eye(2), atol=1e-9)  # angles and the ratio of sides stay
    turn[:, 0] *= np.sign(np.linalg.det(turn))
    assert abs(np.degrees(np.arctan2(turn[0, 1], turn[0, 0]))) <= rotate + 1e-6
    assert (np.abs(shift) <= translate * np.array(size[::-1]) + 1e-6).all()
    assert view.blur == 0 or 0.3 <= view.blur <= 1.2
    if view.color is None:
        assert color == 0
    else:
        factors = view.color.brightness, view.color.contrast, view.color.saturation
        assert all(1 - color <= factor <= 1 + color for factor in factors)
        assert abs(view.color.hue) <= color / 5


def test_whole_ranges_are_drawn_evenly_and_independently():
    """With one seed for all steps every mirrored picture would be drawn at the lower half of the scales."""
    drawn = [
        draw(
            only(horizontal_flip=0.5, scale=(0.8, 1.2), translate=0.1, rotate=10.0, color=0.2, blur=0.3),
            (0, 0, index),
        )
        for index in range(2000)
    ]
    turns, shifts = zip(*map(in_pixels, drawn), strict=True)
    signs = np.sign([np.linalg.det(turn) for turn in turns])
    numbers = np.array(
        [
            signs,
            [np.sqrt(abs(np.linalg.det(turn))) for turn in turns],
            [np.arctan2(turn[0, 1], sign * turn[0, 0]) for turn, sign in zip(turns, signs, strict=True)],
            *np.transpose(shifts),
            *np.transpose([(v.color.brightness, v.color.contrast, v.color.saturation, v.color.hue) for v in drawn]),
            [view.blur > 0 for view in drawn],
        ]
    )
    assert np.abs(np.corrcoef(numbers) - np.eye(len(numbers))).max() < 0.1
    np.testing.assert_allclose(numbers.mean(axis=1), [0, 1, 0, 0, 0, 1, 1, 1, 0, 0.3], atol=0.3)
    assert abs(numbers[0].mean()) < 0.08 and abs(numbers[-1].mean() - 0.3) < 0.04
    spread = np.array([0.4, np.radians(20), 16, 12, 0.4, 0.4, 0.4, 0.08])
    np.testing.assert_allclose(np.ptp(numbers[1:9], axis=1), spread, rtol=0.02)
    np.testing.assert_allclose(numbers[1:9].std(axis=1), spread / np.sqrt(12), rtol=0.06)


def test_one_strength_more_changes_nothing_else():
    one, other = draw(AugmentationConfig()), draw(AugmentationConfig(color=0.0, blur=1.0))
    np.testing.assert_array_equal(one.matrix, other.matrix)
    assert one.color is not None and other.color is None and other.blur > 0


def test_colours_are_those_of_one_step_after_the_other():
    """In floats: hue and saturation around the brightness of each pixel, contrast around that of the image."""
    image = np.random.default_rng(0).integers(60, 190, (12, 16, 3), np.uint8)
    grey = image @ [0.299, 0.587, 0.114]
    hue, across = ColorChange(1.0, 1.0, 1.0, 0.03), ColorChange(1.0, 1.0, 1.2, 0.0)
    np.testing.assert_allclose(hue.apply(image) @ [0.299, 0.587, 0.114], grey, atol=1)
    expected = grey[..., None] + 1.2 * (image - grey[..., None])
    np.testing.assert_allclose(across.apply(image), expected.clip(0, 255), atol=1)
    expected = 1.1 * (grey.mean() + 0.9 * (expected - grey.mean()))
    np.testing.assert_allclose(ColorChange(1.1, 0.9, 1.2, 0.0).apply(image), expected.clip(0, 255), atol=1)
    np.testing.assert_allclose(ColorChange(1.0, 1.0, 1.0, 0.0).apply(image), image, atol=1)


@pytest.mark.parametrize("hue", [-0.04, 0.04])
def test_colours_change_nearly_as_albumentations_changes_them(hue):
    """Its hue is that of HSV, which changes brightness too; in between it rounds and clips four times."""
    smooth = np.random.default_rng(0).integers(40, 170, (3, 4, 3), np.uint8)
    image = np.kron(smooth, np.ones((8, 8, 1), np.uint8))
    step = A.ColorJitter((1.1, 1.1), (0.9, 0.9), (1.2, 1.2), (hue, hue), p=1.0)
    got = ColorChange(1.1, 0.9, 1.2, hue).apply(image).astype(float)
    expected = step(image=image)["image"].astype(float)
    assert np.abs(got - expected).mean() < 8
    other_way = ColorChange(1.1, 0.9, 1.2, -hue).apply(image)
    assert np.abs(got - expected).mean() < np.abs(other_way - expected).mean() / 2


def test_jittered_boxes_stay_near_and_inside():
    boxes = np.array([[0, 0, 40, 20], [10, 10, 11, 11]] * 50, np.float32)
    jittered = jitter_boxes(boxes, 0.25, (30, 50), np.random.default_rng(0))
    assert (jittered[:, :2] >= 0).all() and (jittered[:, 2:] <= [50, 30]).all()
    assert (jittered[:, 2:] - jittered[:, :2] >= 1).all()
    assert np.abs(jittered[::2] - boxes[::2]).max() <= 10
    assert np.ptp(jittered[::2, 2]) > 10
    np.testing.assert_array_equal(jitter_boxes(boxes, 0.0, (30, 50), np.random.default_rng(0)), boxes)
