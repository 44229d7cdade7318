"""Which models nobody beats in two things at once, such as accuracy and latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """A model, what it costs (less is better), and how high it stands in a picture."""

    label: str
    cost: float
    height: float


def pareto_front(points: Sequence[Point], *, smaller_is_better: bool = False) -> list[Point]:
    """The points that no other one beats in both directions, from the cheapest on.

    Args:
        points: In any order.
        smaller_is_better: Whether less height is better.
    """
    front: list[Point] = []
    sign = -1.0 if smaller_is_better else 1.0
    for point in sorted(points, key=lambda one: (one.cost, -sign * one.height)):
        if not front or sign * point.height > sign * front[-1].height:
            front.append(point)
    return front
