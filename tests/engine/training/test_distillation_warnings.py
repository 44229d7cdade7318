from typing import Any

import pytest

from human_edge_detection.engine.training.distillation_warnings import distillation_warnings

GOOD: dict[str, Any] = {
    "unused": [],
    "soft_terms": [0.4],
    "confident_shares": [],
    "gradient_share": 0.5,
    "alpha": 0.7,
    "student_score": 0.4,
    "teacher_score": 0.5,
}


def names(**changes: Any) -> list[str]:
    return [name for name, _ in distillation_warnings(**(GOOD | changes))]


def test_nothing_is_said_about_a_good_epoch() -> None:
    assert names() == []
    assert names(student_score=None, teacher_score=None, gradient_share=None) == []
    assert names(confident_shares=[0.02, 0.0]) == []
    assert names(gradient_share=0.011) == names(gradient_share=0.989) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"gradient_share": 0.009}, "small share"),
        ({"gradient_share": 0.991}, "large share"),
        ({"unused": ["temperature"]}, "unused"),
        ({"alpha": 0.0}, "alpha 0"),
        ({"soft_terms": [], "gradient_share": None}, "no term"),
        ({"soft_terms": [1e-9]}, "no difference"),
        ({"student_score": 0.51}, "teacher is worse"),
        ({"confident_shares": [0.009, 0.002]}, "nothing confident"),
    ],
)
def test_what_people_get_wrong_is_said(changes: dict[str, Any], name: str) -> None:
    assert names(**changes) == [name]


def test_with_alpha_one_the_truth_is_not_expected_to_have_a_share() -> None:
    assert names(gradient_share=1.0, alpha=1.0) == []


def test_every_warning_says_what_to_change() -> None:
    cases: list[dict[str, Any]] = [
        {"gradient_share": 0.0},
        {"gradient_share": 1.0},
        {"soft_terms": []},
        {"unused": ["main"]},
    ]
    for changes in cases:
        for _, text in distillation_warnings(**(GOOD | changes | {"student_score": 0.6})):
            assert any(word in text for word in ("raise", "lower", "give", "see"))
            assert "\n" not in text
