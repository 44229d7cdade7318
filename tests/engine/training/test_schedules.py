from itertools import pairwise

import pytest

from human_edge_detection.engine.training.schedules import Curve, adaptive_alpha, learning_rate_factor, scheduled


def factor(step: int, total: int = 100, warmup: float = 0.1, final: float = 0.01) -> float:
    return learning_rate_factor(step, total, warmup_fraction=warmup, final_fraction=final)


def test_it_rises_linearly_to_one_and_never_starts_at_zero() -> None:
    assert [factor(step) for step in (0, 4, 9)] == pytest.approx([1 / 11, 5 / 11, 10 / 11])
    assert factor(10) == 1.0


def test_a_cosine_follows_down_to_the_final_fraction() -> None:
    assert factor(55) == pytest.approx(0.01 + 0.99 * 0.5)
    assert factor(100) == pytest.approx(0.01)
    assert factor(500) == pytest.approx(0.01), "a longer run than planned stays at the end"
    factors = [factor(step) for step in range(10, 101)]
    assert factors == sorted(factors, reverse=True)


@pytest.mark.parametrize(("warmup", "final"), [(0.0, 0.0), (1.0, 0.5), (0.5, 1.0)])
@pytest.mark.parametrize("total", [1, 2, 7])
def test_every_update_moves(total: int, warmup: float, final: float) -> None:
    assert all(0.0 < factor(step, total, warmup, final) <= 1.0 for step in range(total))


def test_without_warmup_the_first_step_is_full() -> None:
    assert factor(0, warmup=0.0) == 1.0


@pytest.mark.parametrize(
    ("curve", "values"),
    [
        ("constant", [8.0, 8.0, 8.0]),
        ("linear", [8.0, 5.0, 2.0]),
        ("cosine", [8.0, 5.0, 2.0]),
        ("exponential", [8.0, 4.0, 2.0]),
    ],
)
def test_a_value_goes_from_start_to_end(curve: Curve, values: list[float]) -> None:
    assert [scheduled(curve, 8.0, 2.0, epoch=epoch, epochs=3) for epoch in range(3)] == pytest.approx(values)
    assert scheduled(curve, 8.0, 2.0, epoch=9, epochs=3) == pytest.approx(values[-1]), "a run that was made longer"
    assert scheduled(curve, 8.0, 2.0, epoch=0, epochs=1) == 8.0


def test_a_cosine_is_slow_at_both_ends() -> None:
    values = [scheduled("cosine", 0.0, 1.0, epoch=epoch, epochs=11) for epoch in range(11)]
    steps = [after - before for before, after in pairwise(values)]
    assert steps[0] == pytest.approx(steps[-1])
    assert steps[0] < 0.3 * max(steps)


@pytest.mark.parametrize(
    ("student", "alpha"), [(0.0, 0.9), (0.39, 0.9), (0.4, 0.9), (0.45, 0.5), (0.5, 0.1), (0.7, 0.1)]
)
def test_alpha_falls_as_the_student_nears_its_teacher(student: float, alpha: float) -> None:
    assert adaptive_alpha(student, 0.5, low=0.1, high=0.9, from_share=0.8) == pytest.approx(alpha)


def test_a_teacher_that_scores_nothing_is_not_followed() -> None:
    assert adaptive_alpha(0.0, 0.0, low=0.1, high=0.9, from_share=0.8) == 0.1
