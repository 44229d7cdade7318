import numpy as np
import pytest
from plain_views import plain_view

from human_edge_detection.data.dataset import Scene
from human_edge_detection.data.drawn.data_set import write_drawn_data
from human_edge_detection.data.images.read import read_image
from human_edge_detection.data.views.augment import FILL_COLOR, draw_view
from human_edge_detection.data.views.warp import inverse, scaling, strides, transform, translation, warp
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_prediction.resampling import resize


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A drawn image of 480 x 640, with edges and texture."""
    root = write_drawn_data(tmp_path_factory.mktemp("large") / "a", train_images=4, val_images=2, image_size=(480, 640))
    return read_image(min((root / "images" / "train").iterdir()))


def decibels(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))


def test_matrices_map_points():
    matrix = scaling(2, 3) @ translation(10, 20)
    points = np.array([[1.0, 2.0], [0.0, -5.0]])
    np.testing.assert_allclose(transform(points, matrix), [[22, 66], [20, 45]])
    np.testing.assert_allclose(transform(transform(points, matrix), inverse(matrix)), points)
    assert strides(matrix) == pytest.approx((1 / 2, 1 / 3))
    quarter = np.array([[0.0, 4.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert strides(quarter) == pytest.approx((1 / 2, 1 / 4))


def test_the_identity_at_the_same_size_is_exact(picture):
    np.testing.assert_array_equal(warp(picture, np.eye(3), picture.shape[:2], (0, 0, 0)), picture)
    np.testing.assert_array_equal(warp(picture[..., 0], np.eye(3), picture.shape[:2], (0,)), picture[..., 0])


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (192, 160), (256, 256), (300, 500)])
def test_the_identity_shrinks_as_exact_areas_do(picture, size):
    matrix = scaling(size[1] / 640, size[0] / 480)
    assert decibels(warp(picture, matrix, size, FILL_COLOR), resize(picture, size)) > 40


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (256, 256), (300, 500)])
@pytest.mark.parametrize("seed", range(4))
def test_random_views_are_as_warped_at_full_size(picture, size, seed):
    view = draw_view(AugmentationConfig(), (480, 640), np.random.default_rng(seed))
    slow = plain_view(Scene(picture, (), np.zeros((480, 640), np.uint8)), view, 2)
    got = warp(picture, scaling(size[1], size[0]) @ view.matrix, size, FILL_COLOR)
    expected = resize(slow.image, size)
    assert decibels(got, expected) > 33
    assert abs(got.astype(float).mean() - expected.mean()) < 0.3


@pytest.mark.parametrize("seed", range(4))
def test_colours_are_warped_as_each_alone_would_be(picture, seed):
    """Three channels take another way than one."""
    matrix = scaling(256, 256) @ draw_view(AugmentationConfig(), (480, 640), np.random.default_rng(seed)).matrix
    together = warp(picture, matrix, (256, 256), FILL_COLOR)
    alone = [warp(picture[..., channel], matrix, (256, 256), (FILL_COLOR[channel],)) for channel in range(3)]
    assert together.flags.c_contiguous
    assert np.abs(together.astype(int) - np.stack(alone, axis=-1)).max() <= 1  # of rounding


def test_half_a_pixel_would_be_seen(picture):
    """The bounds above are tight enough to notice a view that is shifted by half a pixel."""
    matrix = scaling(256 / 640, 256 / 480)
    for x, y in ((0.5, 0), (0, -0.5)):
        shifted = warp(picture, translation(x, y) @ matrix, (256, 256), FILL_COLOR)
        assert decibels(shifted, resize(picture, (256, 256))) < 33


def test_only_what_is_seen_is_worked_on_and_nothing_of_it_is_lost(picture):
    """A view of a small part has the detail of that part, whatever the image's size."""
    part = picture[200:264, 300:396]
    matrix = translation(-300, -200)
    np.testing.assert_array_equal(warp(picture, matrix, (64, 96), FILL_COLOR), part)
    mean = warp(picture, scaling(0.5, 0.5) @ matrix, (32, 48), FILL_COLOR)
    assert decibels(mean, resize(part, (32, 48))) > 40


def test_what_lies_outside_is_filled(picture):
    warped = warp(picture, translation(10, 20) @ scaling(0.5, 0.5), (300, 400), FILL_COLOR)
    assert (warped[:19] == FILL_COLOR).all() and (warped[:, :9] == FILL_COLOR).all()
    assert (warped[261:] == FILL_COLOR).all() and (warped[:, 331:] == FILL_COLOR).all()
    assert decibels(warped[21:259, 11:329], resize(picture, (240, 320))[1:-1, 1:-1]) > 40
    assert (warp(picture, translation(9000, 0), (30, 40), FILL_COLOR) == FILL_COLOR).all()
    assert (warp(picture[..., 0], translation(9000, 0), (30, 40), (7,)) == 7).all()
