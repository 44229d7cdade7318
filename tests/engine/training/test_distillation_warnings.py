from typing import Any

import pytest

from human_edge_detection.engine.training.distillation_warnings import distillation_warnings

GOOD = {"distill/main": 0.4, "main/ce": 0.9, "gradient_share/distill/main": 0.5, "gradient_share/main/ce": 0.5}


def names(training: dict[str, float], **changes: Any) -> list[str]:
    known: dict[str, Any] = {"alpha": 0.7, "student_score": 0.4, "teacher_score": 0.5, **changes}
    return [name for name, _ in distillation_warnings(training, **known)]


def shares(distilled: float) -> dict[str, float]:
    return GOOD | {"gradient_share/distill/main": distilled, "gradient_share/main/ce": 1.0 - distilled}


def test_nothing_is_said_about_a_good_epoch() -> None:
    assert names(GOOD) == []
    assert names(GOOD, student_score=None, teacher_score=None) == []
    assert names(GOOD | {"confident/main": 0.02, "confident/bg_fg": 0.0}) == []
    assert names(shares(0.011)) == names(shares(0.989)) == []


@pytest.mark.parametrize(
    ("training", "changes", "name"),
    [
        (shares(0.009), {}, "small share"),
        (shares(0.991), {}, "large share"),
        (GOOD, {"alpha": 0.0}, "alpha 0"),
        ({"main/ce": 0.9}, {}, "no term"),
        (GOOD | {"distill/main": 1e-9}, {}, "no difference"),
        (GOOD, {"student_score": 0.51}, "teacher is worse"),
        (GOOD | {"confident/main": 0.009, "confident/bg_fg": 0.002}, {}, "nothing confident"),
    ],
)
def test_what_people_get_wrong_is_said(training: dict[str, float], changes: dict[str, Any], name: str) -> None:
    assert names(training, **changes) == [name]


def test_with_alpha_one_the_truth_is_not_expected_to_have_a_share() -> None:
    assert names(shares(1.0), alpha=1.0) == []


def test_every_warning_says_what_to_change() -> None:
    for training in (shares(0.0), shares(1.0), {}):
        for _, text in distillation_warnings(training, alpha=0.5, student_score=0.6, teacher_score=0.5):
            assert any(word in text for word in ("raise", "lower", "give", "see"))
            assert "\n" not in text
