import pytest

from human_edge_detection.engine.training.schedules import learning_rate_factor


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
