"""Methods against a control: the same images, the same seeds, and how sure one can be of each difference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from human_edge_detection.errors import ConfigError
from human_edge_detection.runner.comparison.cost import Effort, effort_of
from human_edge_detection.runner.comparison.runs_by_seed import CountedRun, Method, Split, teacher_of
from human_edge_detection.runner.comparison.significance import (
    CONFIDENCE,
    RESAMPLES,
    Interval,
    Numbers,
    difference_interval,
    resample_sums,
    sign_test,
)
from human_edge_detection.runner.comparison.slices import (
    ALL,
    COLUMNS,
    CROWDING_GROUPS,
    SLICES,
    Columns,
    Slice,
    columns_of,
    crowding_of,
    group_sums,
    image_scores,
    scores_of,
)
from human_edge_detection.runs.per_image import PerImage

FEWEST_IMAGES: Final = 20
"""Fewer do not tell what others would be like; resampling them gives intervals that are too narrow."""


@dataclass(frozen=True)
class Spread:
    """One score of a method over its seeds; ``sd`` is None with one seed."""

    mean: float
    sd: float | None
    min: float
    max: float


@dataclass(frozen=True)
class Difference:
    """One score of a method against the control's.

    Attributes:
        control: The control's score.
        control_teacher_share: Of the score of the method's teacher, or of its own when the method has none.
        mean: Method minus control, mean over the pairs of runs.
        sd: Over the pairs; None with one.
        low: Lower end of the 95 % interval; None when nothing could be resampled.
        high: Upper end.
        verdict: ``better`` or ``worse`` when the interval does not contain 0, else ``not shown (why)``.
        images: Those that have something to find in the slice.
        wins: Images on which the method scores higher (mean over seeds).
        losses: Lower.
        ties: The same.
        sign_p: Two-sided p value of the sign test over them.
    """

    control: Spread
    control_teacher_share: float | None
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    verdict: str
    images: int
    wins: int
    losses: int
    ties: int
    sign_p: float


@dataclass(frozen=True)
class Line:
    """One metric of one method on one slice of the data."""

    method: str
    slice: str
    metric: str
    score: Spread
    teacher_share: float | None
    """Of its teacher's score, or of that of the control's teacher when it has none. On all data only."""
    difference: Difference | None


@dataclass(frozen=True)
class Note:
    """What the reader of a comparison has to know; ``str`` of it is one line.

    Attributes:
        text: The line, without its level.
        deviation: The sides differ in more than what is compared, so the difference may be due to that.
    """

    text: str
    deviation: bool = False

    def __str__(self) -> str:
        return f"DEVIATION: {self.text}" if self.deviation else self.text


@dataclass(frozen=True)
class Comparison:
    """All that a report holds; ``gains`` are mIoU of each image, control's and method's, mean over seeds.

    ``split`` is what all scores are of, but for those of epochs in ``efforts``, which are always of ``val``.
    """

    control: str | None
    split: Split
    images: int
    resamples: int
    confidence: float
    notes: tuple[Note, ...]
    efforts: tuple[Effort, ...]
    lines: tuple[Line, ...]
    gains: Mapping[str, tuple[Numbers, Numbers]]

    def to_json(self) -> dict[str, Any]:
        """As plain data, without the images' gains."""
        fields = asdict(self) | {"notes": [str(note) for note in self.notes]}
        return {name: value for name, value in fields.items() if name != "gains"}


def compare_methods(
    methods: Sequence[Method], control: Method | None, notes: Sequence[Note], *, resamples: int = RESAMPLES
) -> Comparison:
    """Compares each of ``methods`` with ``control``, on the seeds that both have.

    Args:
        methods: What to judge.
        control: What to judge it against; None: scores only, no differences.
        notes: What the reader of the report has to know.
        resamples: Of the images.

    Raises:
        ConfigError: They were validated on different data, a method has no seed in common with the control, or shares
            a run with it.
    """
    _check_other_runs(methods, control)
    everyone = [*methods, *([control] if control else [])]
    table = _Table(everyone, resamples=resamples if control else 0)
    pairs = [(method, _seeds(method, control)) for method in methods]
    used = tuple(sorted({seed for _, seeds in pairs for seed in seeds}))
    sides = [*pairs, *([(control, used)] if control else [])]
    return Comparison(
        control=control.name if control else None,
        split="val" if table.tested is None else "test",
        images=len(table.crowding),
        resamples=resamples,
        confidence=CONFIDENCE,
        notes=tuple(notes),
        efforts=tuple(effort_of(side, control, seeds) for side, seeds in sides),
        lines=tuple(line for method, seeds in pairs for line in _lines(table, method, control, seeds)),
        gains={method.name: _gains(table, method, control, seeds) for method, seeds in pairs if control},
    )


class _Table:
    """The counts of all runs: as they are, and summed over resampled images."""

    def __init__(self, methods: Sequence[Method], *, resamples: int) -> None:
        runs = [run for method in methods for run in method.runs.values()]
        _check_same_data(runs)
        self.tested = runs[0].tested
        self.crowding = crowding_of(runs[0].counts)
        self._place = {run.paths.root: number for number, run in enumerate(runs)}
        self._columns = [columns_of(run.counts) for run in runs]
        columns = np.hstack(self._columns)
        sums = resample_sums(columns, self.crowding, group_count=CROWDING_GROUPS, resamples=resamples)
        self._resampled = sums.reshape(*sums.shape[:2], len(runs), COLUMNS)

    def columns(self, run: CountedRun) -> Columns:
        """``(images, COLUMNS)``."""
        return self._columns[self._place[run.paths.root]]

    def observed(self, part: Slice, runs: Sequence[CountedRun]) -> dict[str, Numbers]:
        """Metric -> ``(runs,)``."""
        sums = np.stack([group_sums(self.columns(run), self.crowding) for run in runs])
        return scores_of(part, sums)

    def resampled(self, part: Slice, runs: Sequence[CountedRun]) -> dict[str, Numbers]:
        """Metric -> ``(resamples, runs)``."""
        places = [self._place[run.paths.root] for run in runs]
        return scores_of(part, self._resampled[:, :, places].swapaxes(1, 2))

    def of_images(self, part: Slice, runs: Sequence[CountedRun]) -> dict[str, Numbers]:
        """Metric -> ``(images,)``, mean over the runs."""
        each = [image_scores(part, self.columns(run), self.crowding) for run in runs]
        return {name: np.mean([scores[name] for scores in each], axis=0) for name in part.metrics}


def _check_other_runs(methods: Sequence[Method], control: Method | None) -> None:
    own = {run.paths.root.resolve() for run in control.runs.values()} if control is not None else set()
    for method in methods:
        for run in method.runs.values():
            if run.paths.root.resolve() in own:
                raise ConfigError(
                    f"{run.name}: would be compared with itself; leave it out of RUN, or give another --against CONTROL"
                )


def _check_same_data(runs: Sequence[CountedRun]) -> None:
    first = runs[0]
    for run in runs[1:]:
        different = first.scored_on.differences(run.scored_on)
        if different or _data(run.counts) != _data(first.counts):
            kind, what_to_do = "validation", "train both on the same"
            if first.tested is not None:
                kind, what_to_do = "test", "give hed evaluate --split test for both with the same data"
            what = ", ".join(f"{kind} {name}" for name in different) or "images or persons"
            raise ConfigError(
                f"{first.name} and {run.name} were {'validated' if first.tested is None else 'tested'} on different "
                f"data ({what}: fingerprints {_shown(first)} and {_shown(run)}); {what_to_do}"
            )


def _shown(run: CountedRun) -> str:
    return "+".join(one[:12] for one in run.scored_on if one)


def _data(counts: PerImage) -> tuple[object, ...]:
    """What must be equal in two runs so that their images and persons can be paired."""
    records = sorted(zip(counts.images.id, counts.images.persons, strict=True))
    return counts.data_fingerprint, records, sorted(counts.rois.annotation)


def _seeds(method: Method, control: Method | None) -> tuple[int, ...]:
    """The seeds to compare, sorted."""
    if control is None:
        return tuple(sorted(method.runs))
    common = tuple(sorted(method.runs.keys() & control.runs.keys()))
    if not common:
        raise ConfigError(
            f"{method.name} has seeds {sorted(method.runs)} and {control.name} {sorted(control.runs)}: none in common; "
            "train both with the same (--seeds)"
        )
    return common


def _lines(table: _Table, method: Method, control: Method | None, seeds: tuple[int, ...]) -> Iterator[Line]:
    runs = [method.runs[seed] for seed in seeds]
    others = [control.runs[seed] for seed in seeds] if control else []
    for part in SLICES:
        own = table.observed(part, runs)
        differences = _differences(table, part, runs, others) if others else {}
        for name in part.metrics:
            if not np.isfinite(own[name]).all():
                continue  # the model has no such head, or nobody is in this slice
            share = _teacher_share(part, name, own[name], [runs, others])
            yield Line(method.name, part.name, name, _spread(own[name]), share, differences.get(name))


def _differences(
    table: _Table, part: Slice, runs: Sequence[CountedRun], others: Sequence[CountedRun]
) -> dict[str, Difference]:
    first, second = table.observed(part, runs), table.observed(part, others)
    drawn, drawn_others = table.resampled(part, runs), table.resampled(part, others)
    of_images, other_images = table.of_images(part, runs), table.of_images(part, others)
    found = {}
    for name in part.metrics:
        if not np.isfinite(first[name] - second[name]).all():
            continue
        interval = difference_interval(first[name] - second[name], drawn[name] - drawn_others[name])
        signs = sign_test(of_images[name], other_images[name])
        count = signs.wins + signs.losses + signs.ties
        spread = _spread(first[name] - second[name])
        found[name] = Difference(
            control=_spread(second[name]),
            control_teacher_share=_teacher_share(part, name, second[name], [runs, others]),
            mean=spread.mean,
            sd=spread.sd,
            low=_finite(interval.low),
            high=_finite(interval.high),
            verdict=verdict(interval, count),
            images=count,
            wins=signs.wins,
            losses=signs.losses,
            ties=signs.ties,
            sign_p=signs.p,
        )
    return found


def verdict(interval: Interval, images: int) -> str:
    """What may be said of a difference with this interval, measured on so many images."""
    if images < FEWEST_IMAGES:
        return f"not shown ({images} images are too few)"
    if interval.low > 0.0:
        return "better"
    if interval.high < 0.0:
        return "worse"
    return "not shown (interval contains 0)"


def _spread(values: Numbers) -> Spread:
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return Spread(math.fsum(values) / len(values), sd, float(values.min()), float(values.max()))


def _teacher_share(part: Slice, metric: str, own: Numbers, taught: Sequence[Sequence[CountedRun]]) -> float | None:
    """Of the mean score of the teachers of the first of ``taught`` that has teachers with a known score."""
    if part is not ALL:
        return None
    for runs in taught:
        taught_by = [teacher_of(run) for run in runs]
        scores = [score for one in taught_by if one is not None and (score := one.metrics.get(metric))]
        if scores and len(scores) == len(runs):
            return float(own.mean() / np.mean(scores))
    return None


def _gains(table: _Table, method: Method, control: Method | None, seeds: tuple[int, ...]) -> tuple[Numbers, Numbers]:
    assert control is not None
    sides = [[side.runs[seed] for seed in seeds] for side in (control, method)]
    before, after = (table.of_images(ALL, side) for side in sides)
    metric = sides[0][0].config.model.monitored_metric
    return before[metric], after[metric]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
