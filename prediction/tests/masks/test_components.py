import numpy as np

from human_edge_prediction.masks.components import connected_persons

SIZE = (80, 120)


def test_each_connected_part_is_a_person_the_largest_first() -> None:
    people = np.zeros((40, 60), np.float32)
    people[5:15, 5:10] = 0.8
    people[10:30, 30:50] = 0.9
    people[0, 59] = 1.0  # noise
    found = connected_persons(people, SIZE)
    assert (found.boxes * [120, 80, 120, 80]).round().tolist() == [[60, 20, 100, 60], [10, 10, 20, 30]]
    assert 0.8 < found.scores[0] < 0.9 and 0.7 < found.scores[1] < 0.8
    _, pixels, _ = found.mask(0, SIZE)
    assert pixels.mean() > 0.98  # but for round corners


def test_an_edge_is_that_of_the_enlarged_map() -> None:
    people = np.tile(np.array([1.0, 0.75, 0.25, 0.0], np.float32), (4, 1))
    found = connected_persons(people, (4, 400))
    assert (found.boxes * [400, 4, 400, 4]).tolist() == [[0, 0, 200, 4]]


def test_nobody() -> None:
    assert [len(part) for part in connected_persons(np.zeros((4, 6), np.float32), SIZE)] == [0, 0, 0, 0]
