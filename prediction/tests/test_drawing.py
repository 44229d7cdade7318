import numpy as np
import pytest

from human_edge_prediction import Person
from human_edge_prediction.drawing import COLORS, draw_persons


def person(number: int, x: int, y: int, side: int, score: float = 0.5) -> Person:
    place = (slice(y, y + side), slice(x, x + side))
    box = np.array([x, y, x + side, y + side], np.float32)
    return Person(number, box, score, place, np.ones((side, side), bool))


def test_the_image_is_tinted_where_the_person_is_and_nowhere_else() -> None:
    image = np.full((100, 200, 3), 128, np.uint8)
    drawn = draw_persons(image, [person(0, 100, 40, 40)])
    assert (image == 128).all()
    assert drawn[70, 120].tolist() == [round(0.6 * 128 + 0.4 * value) for value in COLORS[0]]
    assert (drawn[:, :90] == 128).all() and (drawn[:, 150:] == 128).all()


def test_neighbours_have_colours_of_their_own() -> None:
    """Seven at a time, then the ones that are far away again."""
    image = np.zeros((50, 1000, 3), np.uint8)
    drawn = draw_persons(image, [person(number, 100 * number, 20, 20) for number in range(10)])
    tints = [tuple(drawn[35, 100 * number + 10].tolist()) for number in range(10)]
    assert len(set(tints)) == 7
    overlapping = [person(number, 5 * number, 20, 30) for number in range(7)]
    assert len({tuple(draw_persons(image, [*overlapping[:n], overlapping[n]])[-1, 0].tolist()) for n in range(7)}) == 1


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (60, 40), (1500, 1000)])
def test_any_size_of_image_any_number_of_persons(size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    persons = [person(number, 0, 0, min(size)) for number in range(30)]
    drawn = draw_persons(image, persons)
    assert drawn.shape == image.shape
    assert drawn.any()
    assert (draw_persons(image, []) == image).all()


def test_scores_never_lie_above_each_other() -> None:
    """As many as there is room for: of persons in one place, as many labels as there are places."""
    one = draw_persons(np.zeros((300, 300, 3), np.uint8), [person(0, 100, 100, 100, 0.8)])
    many = draw_persons(np.zeros((300, 300, 3), np.uint8), [person(n, 100, 100, 100, 0.8) for n in range(4)])
    outside = np.ones((300, 300), bool)
    outside[95:205, 95:205] = False
    labels = [int((drawn[outside] > 0).any(axis=1).sum()) for drawn in (one, many)]
    assert labels[1] > 1.8 * labels[0] > 0
