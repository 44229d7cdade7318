from typing import Any

import pytest

from human_edge_detection.engine.training.not_finite import not_finite_advice

FLAGS = {"rate": "--learning_rate", "precision": "--precision", "temperature": "--distillation_temperature"}
RUN: dict[str, Any] = {"precision": "bf16", "learning_rate": 1e-3, "temperature": 4.0, "updates": 5}


def order(sources: set[Any], **changes: Any) -> list[str]:
    """What is to be tried, in the order of the message."""
    tried = not_finite_advice(sources, **(RUN | changes)).partition(";")[0]
    return sorted((name for name, flag in FLAGS.items() if flag in tried), key=lambda name: tried.index(FLAGS[name]))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("sources", [{"truth"}, {"truth", "teacher"}, set()], ids=["truth", "both", "neither"])
def test_where_the_student_itself_is_not_finite_it_is_rather_the_learning_rate(
    sources: set[Any], precision: str
) -> None:
    assert order(sources, precision=precision) == ["rate", "precision", "temperature"]


def test_where_only_the_teachers_terms_are_not_finite_it_is_rather_the_teacher() -> None:
    assert order({"teacher"}) == ["temperature", "precision", "rate"]
    assert order({"teacher"}, precision="fp16") == ["precision", "temperature", "rate"]


def test_what_cannot_be_the_cause_is_not_to_be_tried_and_the_message_says_why() -> None:
    assert order({"truth"}, precision="fp32", temperature=None) == ["rate"]
    assert order({"teacher"}, updates=0) == ["temperature", "precision"]
    text = not_finite_advice({"truth"}, precision="fp32", learning_rate=0.1, temperature=None, updates=0)
    assert text == (
        "look at the weights that it starts from; no update was made yet, so it is not the learning rate; "
        "precision is fp32 already"
    )


def test_the_message_says_what_is_set_now() -> None:
    text = not_finite_advice({"truth"}, **RUN)
    assert text == (
        "likeliest cause first: lower --learning_rate (now 0.001), use --precision fp32 (now bf16), "
        "lower --distillation_temperature (now 4)"
    )
    cold = not_finite_advice({"teacher"}, **(RUN | {"temperature": 1e-3}))
    assert cold.startswith("likeliest cause first: raise --distillation_temperature (now 0.001), use --precision fp32")
