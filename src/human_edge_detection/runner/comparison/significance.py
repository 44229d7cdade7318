"""Whether a difference between runs is more than chance: paired bootstrap over images and seeds, sign test.

Two things are left to chance when methods are compared: which images are validated on, and which seed a run was
trained with. Images are resampled (Efron, "Bootstrap methods: another look at the jackknife", Ann. Statist. 1979),
the same ones for every run, so what makes an image hard for all of them cancels out.

Seeds cannot be resampled that way: there are two to five of them, and so small a sample drawn with replacement shows
too little of the spread (measured on simulated runs that differ by their seeds above all: 79 % of the 95 % intervals
hold the truth with three seeds, 68 % with two). The error of the mean over seeds is drawn instead from Student's t with
seeds - 1 degrees of freedom, times the standard error of the pairwise differences. What a seed does to single
images is counted in both parts, so an interval of few seeds is rather too wide than too narrow. With one seed it
covers the images only.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

RESAMPLES: Final = 2000
CONFIDENCE: Final = 0.95
_SEED: Final = 0
_CHUNK: Final = 1 << 20
"""Weights held at once, numbers."""


class Interval(NamedTuple):
    """What the true value lies in with 95 % confidence."""

    low: float
    high: float


class SignTest(NamedTuple):
    """Pairs in which the first is greater, in which it is smaller, equal ones, and the two-sided p value."""

    wins: int
    losses: int
    ties: int
    p: float


def resample_sums(
    columns: Numbers, groups: NDArray[np.intp], *, group_count: int | None = None, resamples: int = RESAMPLES
) -> Numbers:
    """Sums over images drawn with replacement, the same draws for every column and at every call.

    Args:
        columns: ``(images, K)`` what adds up, of all runs side by side.
        groups: ``(images,)`` a number from 0 for the group of each image, such as how crowded it is.
        group_count: G, of which some may have no image; None: up to the last one that has.
        resamples: R, how often to draw as many images as there are.

    Returns:
        ``(R, G, K)``, one sum for each group; over all images it is their sum.
    """
    count = int(groups.max(initial=0)) + 1 if group_count is None else group_count
    images, members = len(columns), [np.flatnonzero(groups == group) for group in range(count)]
    sums = np.empty((resamples, len(members), columns.shape[1]))
    rng = np.random.default_rng(_SEED)
    step = max(1, _CHUNK // max(images, 1))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, images, (rows, images)) + images * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)
        for group, chosen in enumerate(members):
            sums[start : start + rows, group] = weights[:, chosen] @ columns[chosen]
    return sums


def difference_interval(observed: Numbers, resampled: Numbers) -> Interval:
    """The interval of the mean difference between two methods.

    Args:
        observed: ``(S,)`` the difference of each pair of runs with the same seed.
        resampled: ``(R, S)`` the same on resampled images; rows with NaN (nothing to count) are left out.

    Returns:
        The interval; NaN when nothing could be resampled.
    """
    seeds = len(observed)
    means = resampled.mean(axis=1)
    if seeds > 1:
        error = observed.std(ddof=1) / math.sqrt(seeds)
        means = means + error * np.random.default_rng((_SEED, seeds)).standard_t(seeds - 1, len(means))
    means = means[np.isfinite(means)]
    if not len(means):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def sign_test(first: Numbers, second: Numbers) -> SignTest:
    """The exact sign test of paired values; ties are dropped, pairs with NaN left out.

    Dixon & Mood, "The statistical sign test", JASA 1946.
    """
    wins, losses = int((first > second).sum()), int((first < second).sum())
    ties = int((first == second).sum())
    return SignTest(wins, losses, ties, binomial_p(wins, losses))


def binomial_p(wins: int, losses: int) -> float:
    """How probable it is that a fair coin falls at least as unevenly, to either side."""
    count, fewer = wins + losses, min(wins, losses)
    ways = total = 1
    for drawn in range(fewer):
        ways = ways * (count - drawn) // (drawn + 1)
        total += ways
    return min(1.0, total / (1 << count) * 2)
