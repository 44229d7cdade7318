"""What is said of a teacher's worth."""

import logging

import pytest

from human_edge_detection.engine.teaching.external.measure import report_metrics


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("person_map", "look at person_class"), ("exported", "train it for longer"), ("maps", "are these probabilities")],
)
def test_a_poor_teacher_is_warned_about_by_what_it_is(kind: str, advice: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        report_metrics("good", {"full_image_iou": 0.41, "miou": None}, kind=kind)
        report_metrics("bad", {"full_image_iou": 0.39, "miou": None}, kind=kind)
    good, bad, warning = caplog.messages
    assert good == "teacher good: IoU of its person map 0.4100 on the validation images"
    assert bad == "teacher bad: IoU of its person map 0.3900 on the validation images"
    assert warning.startswith(f"teacher bad is poor (IoU of its person map 0.3900): {advice}")
