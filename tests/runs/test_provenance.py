"""Every start of a run is on record, and what changed between them is told."""

from typing import Any

from human_edge_detection.runs.provenance import changes_between, processor_name, with_start

MADE_WITH: dict[str, Any] = {
    "command": ["hed", "train"],
    "versions": {"torch": "2.14", "python": "3.11"},
    "git": None,
    "processor": "a",
    "accelerator": None,
    "device": "cpu",
    "threads": 2,
    "teacher_sha256": None,
}


def test_starts_alike_add_a_time_and_others_are_kept_in_their_order() -> None:
    first = with_start({}, MADE_WITH, time="1")
    assert first == {**MADE_WITH, "written": "1", "starts": ["1"], "earlier": []}
    again = with_start(first, MADE_WITH, time="2")
    assert again == {**MADE_WITH, "written": "2", "starts": ["1", "2"], "earlier": []}
    other = {**MADE_WITH, "threads": 4}
    moved = with_start(again, other, time="3")
    assert moved == {**other, "written": "3", "starts": ["3"], "earlier": [{**MADE_WITH, "starts": ["1", "2"]}]}
    back = with_start(moved, MADE_WITH, time="4")
    assert [one["threads"] for one in (*back["earlier"], back)] == [2, 4, 2]


def test_a_record_of_an_older_version_or_edited_by_hand_is_gone_on_with() -> None:
    older = {"command": ["hed"], "versions": {"torch": "2.14"}, "written": "0"}
    assert with_start(older, MADE_WITH, time="1")["earlier"] == [
        {"command": ["hed"], "versions": {"torch": "2.14"}, "starts": ["0"]}
    ]
    edited = {**MADE_WITH, "starts": 7, "earlier": "none"}
    assert with_start(edited, MADE_WITH, time="1") == {**MADE_WITH, "written": "1", "starts": ["1"], "earlier": []}


def test_what_an_exact_resume_needs_is_compared_and_nothing_else() -> None:
    assert not changes_between({}, MADE_WITH)
    assert not changes_between(MADE_WITH, {**MADE_WITH, "command": ["hed", "run"], "teacher_sha256": "other"})
    other = {**MADE_WITH, "versions": {"torch": "2.15", "python": "3.11"}, "threads": 1, "processor": "b"}
    assert changes_between(MADE_WITH, other) == ["torch 2.14 -> 2.15", "processor a -> b", "threads 2 -> 1"]
    assert not changes_between({"versions": {"torch": "2.14"}}, MADE_WITH)
    assert changes_between({"git": "a" * 40}, {**MADE_WITH, "git": "b" * 40}) == [f"git {'a' * 12} -> {'b' * 12}"]


def test_this_processor_has_a_name() -> None:
    assert processor_name()
