from itertools import pairwise

import pytest

from human_edge_detection.runner.report.charts import FOREST_WIDTH, forest, ticks


@pytest.mark.parametrize("values", [[0.41, 0.486], [0.0, 14.8], [0.5, 0.5], [0.0, 0.0], [-3.0, 1e6]])
def test_ticks_enclose_the_values_evenly(values: list[float]) -> None:
    found = ticks(values)
    assert found[0] <= min(values) <= max(values) <= found[-1]
    assert 2 <= len(found) <= 8
    steps = {round(after - before, 9) for before, after in pairwise(found)}
    assert len(steps) == 1


def test_intervals_have_one_axis_with_zero_in_the_middle() -> None:
    first, none, second = forest([(-0.01, 0.02, 0.05), None, (0.01, 0.02, 0.03)])
    assert none is None
    assert first is not None
    assert second is not None
    assert first.zero == second.zero == FOREST_WIDTH / 2
    assert first.middle == second.middle
    assert 0 < first.low < first.zero < second.low < second.high < first.high < FOREST_WIDTH


def test_nothing_to_show_takes_no_division() -> None:
    assert forest([]) == []
    assert forest([(0.0, 0.0, 0.0)])[0] is not None
