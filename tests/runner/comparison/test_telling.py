"""Which runs are shown where there is no room for all."""

from typing import Any

from human_edge_detection.runner.comparison.telling import main_score, telling_rows


def row(status: str, miou: float | None = None, **others: Any) -> dict[str, Any]:
    return {"status": status, "miou": miou, **others}


def test_all_are_shown_where_there_is_room() -> None:
    assert telling_rows([row("failed"), row("finished", 0.1)], 2) == [0, 1]


def test_some_that_did_not_end_well_and_the_best_in_their_order() -> None:
    rows = [row("finished", number / 100) for number in range(90)] + [row("failed") for _ in range(10)]
    assert telling_rows(rows, 10) == [*range(82, 90), 90, 91]


def test_room_that_the_one_kind_leaves_is_for_the_other() -> None:
    assert telling_rows([row("failed")] * 20 + [row("finished", 0.5)], 10) == [*range(9), 20]
    assert telling_rows([row("finished", 0.5)] * 20 + [row("running")], 10) == list(range(10))


def test_without_a_roi_head_the_person_iou_counts() -> None:
    assert main_score(row("finished", None, full_image_iou=0.4)) == 0.4
    assert main_score(row("running")) == -1.0
