"""Which of thousands of runs are shown where there is no room for all: some that did not end well, and the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from human_edge_detection.runner.comparison.table import Row

ENDED_WELL: Final = frozenset({"finished"})
STILL_OPEN: Final = frozenset({"running", "interrupted", "skipped", "pruned"})
"""States of runs that go on, or were not meant to end."""
_BAD_SHARE: Final = 5
"""One place of so many is for a run that did not end well."""


def telling_rows(rows: Sequence[Row], most: int) -> list[int]:
    """The numbers of at most ``most`` of ``rows``, ascending: a fifth did not end well, the others score best.

    Where there are fewer of the one kind, there is room for more of the other.
    """
    if len(rows) <= most:
        return list(range(len(rows)))
    bad = [number for number, row in enumerate(rows) if row["status"] not in ENDED_WELL | STILL_OPEN]
    kept = frozenset(bad)
    good = [number for number in range(len(rows)) if number not in kept]
    good.sort(key=lambda number: -main_score(rows[number]))
    room = max(most // _BAD_SHARE, most - len(good))
    return sorted([*bad[:room], *good[: most - len(bad[:room])]])


def main_score(row: Row) -> float:
    """MIoU on the validation images, of a model without roi head person IoU; -1 where there is none."""
    score = row.get("miou")
    score = row.get("full_image_iou") if score is None else score
    return -1.0 if score is None else float(score)
