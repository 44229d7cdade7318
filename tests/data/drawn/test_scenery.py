"""Backgrounds and objects of the sample data."""

import numpy as np
import pytest

from human_edge_detection.data.drawn.canvas import Canvas, point
from human_edge_detection.data.drawn.scenery import draw_background, draw_distractors, draw_seat

SIZE = (40, 60)
HORIZON = 30.0


def drawn(draw, seed=0):
    rng = np.random.default_rng(seed)
    canvas = Canvas(SIZE, rng)
    draw(canvas, rng)
    return canvas


@pytest.mark.parametrize("seed", range(8))
def test_a_background_fills_the_image_and_shows_no_person(seed):
    def draw(canvas, rng):
        canvas.pixels[:] = np.nan
        draw_background(canvas, rng, HORIZON)

    canvas = drawn(draw, seed)
    assert np.isfinite(canvas.pixels).all()
    assert canvas.pixels.std() > 5
    assert not canvas.owners.any()


def test_backgrounds_differ_and_are_the_same_for_the_same_seed():
    one, again, other = (drawn(lambda c, rng: draw_background(c, rng, HORIZON), seed).pixels for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one != other).any()


@pytest.mark.parametrize("seed", range(8))
def test_objects_that_resemble_persons_are_no_persons(seed):
    def draw(canvas, rng):
        canvas.owners[:] = 1
        draw_distractors(canvas, rng, HORIZON)

    canvas = drawn(draw, seed)
    assert set(np.unique(canvas.owners)) == {0, 1}, "an object hides the persons behind it"
    assert canvas.pixels.any()


def test_a_seat_is_where_the_person_sits():
    canvas = drawn(lambda canvas, rng: draw_seat(canvas, rng, point(60, 40), 10.0, 70.0))
    painted = canvas.pixels.any(axis=2)
    assert painted[50, 60]
    assert not painted[35].any()
    assert not painted[75].any()
    assert not painted[:, :45].any()
