import numpy as np
import pytest

from human_edge_detection.data.augment import (
    FILL_COLOR,
    Augmentation,
    apply_transform,
    build_transform,
    jitter_boxes,
    mask_boxes,
    sample_seed,
)

NOTHING = Augmentation(0.0, (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture
def picture():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    masks = np.zeros((2, 60, 80), np.uint8)
    masks[0, 10:30, 20:50] = 1
    masks[1] = 1
    return image, masks


def _apply(augmentation, picture, key=(0, 0, 0)):
    return apply_transform(build_transform(augmentation), *picture, sample_seed(*key))


def test_equal_keys_give_equal_changes_whatever_was_drawn_before(picture):
    transform = build_transform(Augmentation())
    first = apply_transform(transform, *picture, sample_seed(3, 1, 4))
    apply_transform(transform, *picture, sample_seed(3, 1, 5))
    again = apply_transform(transform, *picture, sample_seed(3, 1, 4))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("other", [(4, 1, 4), (3, 2, 4), (3, 1, 5)])
def test_seed_epoch_and_index_each_change_it(picture, other):
    assert (_apply(Augmentation(), picture, (3, 1, 4))[0] != _apply(Augmentation(), picture, other)[0]).any()


def test_zero_strength_changes_nothing(picture):
    image, masks = _apply(NOTHING, picture)
    np.testing.assert_array_equal(image, picture[0])
    np.testing.assert_array_equal(masks, picture[1])


def test_photograph_and_masks_move_together(picture):
    image, masks = picture
    image[:] = 0
    image[10:30, 20:50] = 255
    for index in range(8):
        moved, changed = _apply(
            Augmentation(color=0.0, blur=0.0, translate=0.3, rotate=30), (image, masks), (0, 0, index)
        )
        bright = (moved > 128).all(axis=2)
        assert (bright != changed[0].astype(bool)).sum() < 0.1 * bright.sum()


def test_what_comes_from_outside_is_filled_and_marked(picture):
    image, masks = _apply(Augmentation(0.0, (0.5, 0.5), 0.0, 0.0, 0.0, 0.0, 0.0), picture)
    assert masks[1].sum() == pytest.approx(60 * 80 / 4, rel=0.1)
    assert (image[masks[1] == 0] == FILL_COLOR).all()
    assert image.shape == (60, 80, 3)


def test_steps_do_not_share_their_random_numbers(picture):
    """With one seed for all steps every mirrored picture would be drawn at the lower half of the scales."""
    augmentation = Augmentation(0.5, (0.5, 1.5), 0.0, 0.0, 0.0, 0.0, 0.0)
    image, masks = picture
    masks[0] = 0
    masks[0, 28:32, 38:40] = 1  # left of the middle
    mirrored = {True: [], False: []}
    for index in range(60):
        changed = _apply(augmentation, (image, masks), (0, 0, index))[1][0]
        mirrored[bool(np.nonzero(changed)[1].mean() > 39.5)].append(changed.sum() > 8)
    assert 0.2 < np.mean(mirrored[True]) < 0.8
    assert 0.2 < np.mean(mirrored[False]) < 0.8


def test_jittered_boxes_stay_near_and_inside():
    boxes = np.array([[0, 0, 40, 20], [10, 10, 11, 11]] * 50, np.float32)
    jittered = jitter_boxes(boxes, 0.25, (30, 50), np.random.default_rng(0))
    assert (jittered[:, :2] >= 0).all() and (jittered[:, 2:] <= [50, 30]).all()
    assert (jittered[:, 2:] - jittered[:, :2] >= 1).all()
    assert np.abs(jittered[::2] - boxes[::2]).max() <= 10
    assert np.ptp(jittered[::2, 2]) > 10
    np.testing.assert_array_equal(jitter_boxes(boxes, 0.0, (30, 50), np.random.default_rng(0)), boxes)


def test_mask_boxes_are_tight(picture):
    masks = np.concatenate([picture[1], np.zeros((1, 60, 80), np.uint8)])
    assert mask_boxes(masks).tolist() == [[20, 10, 50, 30], [0, 0, 80, 60], [0, 0, 0, 0]]
