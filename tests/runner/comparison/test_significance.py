"""The statistics, on data whose truth is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from human_edge_detection.metrics.scores import mean_iou
from human_edge_detection.runner.comparison.significance import (
    Interval,
    binomial_p,
    difference_interval,
    resample_sums,
    sign_test,
)

Numbers = NDArray[np.float64]
Compare = Callable[[Numbers, Numbers], Interval]
IMAGES, REPEATS, RESAMPLES = 120, 300, 400
SKILLS = (0.80, 0.82)


def confusions(
    rng: np.random.Generator, images: int, seeds: int, skill: float, wobble: float, hard: Numbers
) -> Numbers:
    """``(seeds, images, 9)`` counts of a method with this skill; ``wobble`` is what a seed does to it."""
    right = skill + wobble * rng.normal(size=(seeds, 1)) - hard + rng.normal(0.0, 0.03, (seeds, images))
    right = np.clip(right, 0.05, 0.99)[..., None, None]
    size = 50.0 + 100.0 * hard**2
    shares = np.array([0.6, 0.3, 0.1])[:, None] * size[:, None, None]
    return (shares * (right * np.eye(3) + (1 - right) / 2 * (1 - np.eye(3)))).reshape(seeds, images, 9)


def miou(sums: Numbers) -> Numbers:
    return mean_iou(sums.reshape(*sums.shape[:-1], 3, 3))


def true_difference(seeds_wobble: float) -> float:
    """The mIoU of the two methods on images, and with seeds, without end."""
    rng = np.random.default_rng(99)
    hard = rng.normal(0.0, 0.1, 4_000)
    a, b = (miou(confusions(rng, 4_000, 60, skill, seeds_wobble, hard).sum(1)).mean() for skill in SKILLS)
    return float(b - a)


def interval_of(a: Numbers, b: Numbers) -> Interval:
    """Of the difference in mIoU, from ``(seeds, images, 9)`` counts of both."""
    seeds, images = a.shape[:2]
    columns = np.concatenate([a, b]).swapaxes(0, 1).reshape(images, -1)
    drawn = resample_sums(columns, np.zeros(images, np.intp), resamples=RESAMPLES)[:, 0].reshape(RESAMPLES, 2, seeds, 9)
    return difference_interval(miou(b.sum(1)) - miou(a.sum(1)), miou(drawn[:, 1]) - miou(drawn[:, 0]))


def intervals(
    seeds: int, wobble: float, *, skills: tuple[float, float] = SKILLS, how: Compare | None = None
) -> Numbers:
    """``(REPEATS, 2)`` intervals of repeated experiments."""
    rng = np.random.default_rng(5)
    compare = how or interval_of
    found = []
    for _ in range(REPEATS):
        hard = rng.normal(0.0, 0.1, IMAGES)
        found.append(compare(*(confusions(rng, IMAGES, seeds, skill, wobble, hard) for skill in skills)))
    return np.array(found)


def share_that_holds(found: Numbers, truth: float) -> float:
    return float(((found[:, 0] <= truth) & (truth <= found[:, 1])).mean())


def test_a_95_percent_interval_over_images_holds_the_truth_in_95_percent() -> None:
    assert 0.92 <= share_that_holds(intervals(1, 0.0), true_difference(0.0)) <= 0.98


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_and_one_over_images_and_few_seeds_in_no_less(seeds: int) -> None:
    assert share_that_holds(intervals(seeds, 0.02), true_difference(0.02)) >= 0.92


def seeds_drawn_with_replacement(a: Numbers, b: Numbers) -> Interval:
    observed = miou(b.sum(1)) - miou(a.sum(1))
    drawn = np.random.default_rng(0).integers(0, len(observed), (RESAMPLES, len(observed)))
    low, high = np.quantile(observed[drawn].mean(1), [0.025, 0.975])
    return Interval(float(low), float(high))


def one_seed_taken_for_all(a: Numbers, b: Numbers) -> Interval:
    return interval_of(a[:1], b[:1])


@pytest.mark.parametrize("wrong", [seeds_drawn_with_replacement, one_seed_taken_for_all])
def test_the_same_experiments_find_intervals_that_are_too_narrow(wrong: Compare) -> None:
    """The tests above can fail: what a bootstrap of three seeds, or of images alone, would have said."""
    assert share_that_holds(intervals(3, 0.02, how=wrong), true_difference(0.02)) < 0.85


@pytest.mark.parametrize(("seeds", "wobble"), [(1, 0.0), (3, 0.02)])
def test_without_a_difference_hardly_any_interval_is_above_0(seeds: int, wobble: float) -> None:
    found = intervals(seeds, wobble, skills=(0.8, 0.8))
    assert (found[:, 0] > 0.0).mean() <= 0.05
    assert (found[:, 1] < 0.0).mean() <= 0.05


def one_pair(seeds: int = 1) -> tuple[Numbers, Numbers]:
    rng = np.random.default_rng(3)
    hard = rng.normal(0.0, 0.1, IMAGES)
    a, b = (confusions(rng, IMAGES, seeds, skill, 0.0, hard) for skill in SKILLS)
    return a, b


def test_pairing_images_makes_the_interval_narrow() -> None:
    a, b = one_pair()
    paired = interval_of(a, b)
    # The control's images in another order: each draw takes different ones of both, as if they had no pairs.
    shuffled = interval_of(a[:, np.random.default_rng(1).permutation(IMAGES)], b)
    assert 3 * (paired.high - paired.low) < shuffled.high - shuffled.low
    assert paired.low > 0.0 > shuffled.low


def test_equal_runs_differ_by_nothing() -> None:
    a, _ = one_pair(seeds=3)
    assert interval_of(a, a) == (0.0, 0.0)


def test_a_draw_takes_as_many_images_as_there_are_and_the_same_for_all_columns() -> None:
    columns = np.stack([np.ones(50), np.arange(50.0), np.arange(50.0)], axis=1)
    groups = np.arange(50) % 3
    sums = resample_sums(columns, groups, resamples=700)
    assert sums.shape == (700, 3, 3)
    whole = sums.sum(1)
    assert (whole[:, 0] == 50).all()
    assert (whole[:, 1] == whole[:, 2]).all()
    assert len(np.unique(whole[:, 1])) > 300
    assert whole[:, 1].std() == pytest.approx(np.arange(50).std() * 50**0.5, rel=0.1)
    assert (resample_sums(columns, groups, resamples=700) == sums).all()


def test_many_images_are_drawn_in_parts() -> None:
    sums = resample_sums(np.ones((300_000, 1)), np.zeros(300_000, np.intp), resamples=7)
    assert (sums == 300_000).all()
    assert (
        len(
            {
                tuple(row)
                for row in resample_sums(np.arange(300_000.0)[:, None], np.zeros(300_000, np.intp), resamples=7)[:, 0]
            }
        )
        == 7
    )


def test_resamples_with_nothing_to_count_are_left_out() -> None:
    resampled = np.array([[0.1], [np.nan], [0.3]])
    assert difference_interval(np.array([0.2]), resampled) == pytest.approx((0.105, 0.295))
    assert np.isnan(difference_interval(np.array([0.2]), np.full((3, 1), np.nan))).all()


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 5, 1.0),
        (6, 5, 1.0),
        (8, 0, 2 / 2**8),
        (9, 1, 2 * (1 + 10) / 2**10),
        (1, 9, 2 * (1 + 10) / 2**10),
        (12, 4, 2 * (1 + 16 + 120 + 560 + 1820) / 2**16),
        (530, 470, 2 * sum(math.comb(1000, fewer) for fewer in range(471)) / 2**1000),
    ],
)
def test_exact_values_of_the_sign_test(wins: int, losses: int, p: float) -> None:
    assert binomial_p(wins, losses) == pytest.approx(p, rel=1e-6)


def test_the_sign_test_counts_thousands_of_pairs() -> None:
    assert binomial_p(5_000, 0) == 0.0
    assert 0.0 < binomial_p(2_600, 2_400) < 0.005


def test_ties_are_dropped_and_images_without_a_score_are_no_ties() -> None:
    first = np.array([0.5, 0.5, 0.7, np.nan, 0.2, np.nan])
    second = np.array([0.5, 0.4, 0.6, 0.3, 0.3, np.nan])
    assert sign_test(first, second) == (2, 1, 1, 1.0)
