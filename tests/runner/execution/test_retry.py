"""Runs that are started again after a failure, and those that are not."""

import time
from typing import Any

import pytest
from fake_backends import CHILD_PAUSE

from human_edge_detection.experiments.registry import expand
from human_edge_detection.runner.execution.outcome import Outcome

TEACHER, STUDENT = expand(["quickstart"])[:2]


def outcome_of(end: Any) -> Outcome:
    """Of a batch with one run."""
    outcome: Outcome = end.outcomes[0]
    return outcome


class Waits:
    """Notes how long a batch waited in all, but for its children."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, seconds: float) -> None:
        if seconds > CHILD_PAUSE:
            self.seconds += seconds
        else:
            time.sleep(seconds)


def test_retries_start_a_run_again_in_its_folder_with_growing_pauses(workshop: Any) -> None:
    waits = Waits()
    outcome = outcome_of(workshop.batch(STUDENT, retries=5, pause=waits, **{STUDENT: "third time lucky"}))
    assert outcome == Outcome(STUDENT, "finished", attempts=3)
    assert waits.seconds == pytest.approx(5 + 10)
    assert workshop.trainings(STUDENT) == 3


def test_retries_end_and_the_pause_has_a_limit(workshop: Any) -> None:
    waits = Waits()
    outcome = outcome_of(workshop.batch(STUDENT, retries=8, pause=waits, **{STUDENT: "kill"}))
    assert (outcome.state, outcome.attempts) == ("killed", 9)
    assert "9 attempts" in str(outcome.error)
    assert waits.seconds == pytest.approx(5 + 10 + 20 + 40 + 80 + 160 + 300 + 300)


def test_an_error_of_the_user_is_tried_again_only_after_progress(workshop: Any) -> None:
    outcome = outcome_of(workshop.batch(STUDENT, retries=3, **{STUDENT: "raise"}))
    assert (outcome.state, outcome.attempts) == ("failed", 1)
    outcome = outcome_of(workshop.batch(TEACHER, retries=3, **{TEACHER: "fail further on"}))
    assert (outcome.state, outcome.attempts) == ("failed", 4)


def test_a_run_that_fails_at_the_same_step_in_the_same_way_is_not_tried_for_ever(workshop: Any) -> None:
    outcome = outcome_of(workshop.batch(STUDENT, retries=5, **{STUDENT: "fail the same way"}))
    assert (outcome.state, outcome.attempts) == ("failed", 2)
