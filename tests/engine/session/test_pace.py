"""Seconds for an update: from the second one of the process on, with all that an epoch has beside its updates."""

from human_edge_detection.engine.session.pace import Pace


def test_the_pace_has_validations_in_it_and_not_the_start_nor_the_end() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])

    def after(seconds: float, step: int, epoch: int) -> float | None:
        now[0] = seconds
        pace.is_at(step, epoch)
        return pace.seconds_per_step

    assert after(0.0, 100, 2) is None
    assert after(50.0, 101, 2) is None  # its workers have started
    assert after(52.0, 102, 2) == 2.0
    assert after(54.0, 103, 2) == 2.0
    assert after(56.0, 103, 2) == 2.0  # it validates
    assert after(60.0, 103, 3) == 5.0
    assert after(1000.0, 103, 3) == 5.0  # what follows the last epoch
