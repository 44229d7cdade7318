"""Figures of the sample data."""

import numpy as np
import pytest

from human_edge_detection.data.drawn.canvas import Canvas, Material, point
from human_edge_detection.data.drawn.figures import (
    POSES,
    draw_figure,
    place,
    random_joints,
    random_looks,
    uniform_looks,
)

HEIGHT = 80.0


def figure(pose, seed=0):
    rng = np.random.default_rng(seed)
    looks = random_looks(rng, HEIGHT)
    return looks, place(random_joints(rng, pose, looks), point(60, 110), HEIGHT)


@pytest.mark.parametrize("pose", POSES)
def test_a_placed_figure_stands_where_it_should_with_its_head_up(pose):
    for seed in range(10):
        _, body = figure(pose, seed)
        lower = max(foot[1] for foot in body.feet)
        assert lower == pytest.approx(110 - 0.02 * HEIGHT)
        assert body.head[1] < body.chest[1] < body.hips[0][1] < lower
        assert lower - body.head[1] < HEIGHT


def test_raised_arms_are_raised():
    for seed in range(10):
        _, body = figure("arms_up", seed)
        assert min(hand[1] for hand in body.hands) < body.shoulders[0][1]


@pytest.mark.parametrize("pose", POSES)
def test_all_of_a_figure_belongs_to_its_person(pose):
    looks, body = figure(pose)
    canvas = Canvas((60, 60), np.random.default_rng(0))
    draw_figure(canvas, body, looks, HEIGHT, owner=3)
    assert set(np.unique(canvas.owners)) == {0, 3}
    for joint in (body.chest, body.head, *body.knees, *body.elbows):
        x, y = joint.round().astype(int)
        assert canvas.owners[y, x] == 3
    assert (canvas.pixels[canvas.owners == 0] == 0).all()


def test_a_headless_figure_has_no_head():
    looks, body = figure("standing")
    canvas = Canvas((60, 60), np.random.default_rng(0))
    draw_figure(canvas, body, looks, HEIGHT, owner=3, headless=True)
    x, y = body.head.round().astype(int)
    assert canvas.owners[y, x] == 0


def test_a_statue_is_of_one_material():
    stone = Material((90.0, 90.0, 90.0))
    looks = uniform_looks(random_looks(np.random.default_rng(0), HEIGHT), stone)
    assert {looks.skin, looks.hair, looks.top, looks.bottom, looks.shoes} == {stone}
    assert not looks.face
