"""The canvas that sample data are drawn on."""

import numpy as np
import pytest

from human_edge_detection.data.drawn.canvas import (
    SUPERSAMPLING,
    Canvas,
    Material,
    ellipse,
    limb,
    noise,
    point,
    rectangle,
)

SIZE = (20, 30)
RED = Material((200.0, 0.0, 0.0), roughness=0.0, roundness=0.0)


def canvas():
    return Canvas(SIZE, np.random.default_rng(0))


def paint(on, shape, owner=0, look=RED):
    on.fill_polygon(shape, (point(0, 0), point(0, 1)), 10.0, look, owner)


def test_later_shapes_hide_earlier_ones_and_their_owners():
    drawn = canvas()
    paint(drawn, rectangle(4, 4, 20, 20), owner=1)
    paint(drawn, rectangle(12, 4, 30, 20), owner=2)
    paint(drawn, rectangle(16, 4, 18, 20))
    row = drawn.owners[10]
    assert (row[6], row[14], row[17], row[25], row[50]) == (1, 2, 0, 2, 0)


def test_only_the_shape_is_painted():
    drawn = canvas()
    paint(drawn, rectangle(4, 4, 20, 20), owner=1)
    assert (drawn.pixels[drawn.owners == 1][:, 0] > 0).all()
    assert (drawn.pixels[drawn.owners == 0] == 0).all()


@pytest.mark.parametrize("shift", [(-100, 0), (100, 0), (0, -100), (0, 100)])
def test_shapes_outside_are_clipped_away(shift):
    drawn = canvas()
    paint(drawn, rectangle(4, 4, 20, 20) + shift, owner=1)
    assert not drawn.owners.any()
    paint(drawn, rectangle(-1000, -1000, 1000, 1000), owner=2)
    assert (drawn.owners == 2).all()


@pytest.mark.parametrize("pattern", ["stripes", "hoops", "checks", "dots"])
def test_patterns_have_both_colours(pattern):
    drawn = canvas()
    paint(drawn, rectangle(0, 0, 60, 40), look=Material((200.0, 0.0, 0.0), (0.0, 0.0, 200.0), pattern, 8.0, 0.0, 0.0))
    red, blue = drawn.pixels[..., 0], drawn.pixels[..., 2]
    assert (red > 10 * blue).any()
    assert (blue > red).any()


def test_a_shadow_is_darkest_at_its_centre():
    drawn = canvas()
    drawn.pixels[:] = 100.0
    drawn.darken(point(30, 20), (8.0, 4.0), 0.5)
    assert 45 < drawn.pixels[20, 30, 0] < 60
    assert drawn.pixels[20, 30, 0] < drawn.pixels[20, 36, 0] < 100
    assert (drawn.pixels[0] == 100).all()


def test_the_finished_image_has_the_wanted_size():
    drawn = canvas()
    assert drawn.pixels.shape == (SIZE[0] * SUPERSAMPLING, SIZE[1] * SUPERSAMPLING, 3)
    finished = drawn.render(np.random.default_rng(1))
    assert finished.shape == (*SIZE, 3)
    assert finished.dtype == np.uint8


def test_noise_is_smooth_and_the_same_for_the_same_seed():
    one, again = (noise((40, 60), np.random.default_rng(3), (2, 4)) for _ in range(2))
    assert (one == again).all()
    assert np.abs(np.diff(one, axis=1)).max() < 0.5 < np.ptp(one)


def test_polygons_of_shapes():
    circle = ellipse(point(5, 7), (2.0, 2.0), angle=0.3)
    assert np.allclose(np.hypot(*(circle - (5, 7)).T), 2.0)
    body = limb(point(0, 0), point(10, 0), 2.0, 1.0)
    assert np.allclose([body[:, 0].min(), body[:, 0].max()], [-2, 11], atol=0.1)
