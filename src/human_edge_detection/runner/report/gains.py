"""Each way to train against its control and against its teacher, by the one rule of ``runner/comparison``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from human_edge_detection.errors import HumanEdgeDetectionError
from human_edge_detection.runner.comparison.caveats import notes_on
from human_edge_detection.runner.comparison.paired import Comparison, Difference, Line, compare_methods
from human_edge_detection.runner.comparison.runs_by_seed import CountedRun, Method, counted_run, teacher_of
from human_edge_detection.runner.comparison.slices import ALL
from human_edge_detection.runner.comparison.telling import main_score
from human_edge_detection.runner.report.runs import MOST_DETAILED, Run

MOST_COUNTED: Final = 100
"""Runs of the methods that are compared; of each its weights are hashed, and its counts of each image are read."""
MOST_SEEDS: Final = 20
"""Of a method that are compared, where not all methods are."""


class Against(NamedTuple):
    """A method beside another one.

    Attributes:
        name: Of the other.
        runs: Its runs, by the seed of the method's that it is compared with.
        comparison: None where they cannot be compared.
        problem: Why not.
    """

    name: str | None
    runs: Mapping[int, CountedRun]
    comparison: Comparison | None
    problem: str | None

    @property
    def difference(self) -> Difference | None:
        """Of the main metric on all images."""
        line = None if self.comparison is None else main_line(self.comparison)
        return None if line is None else line.difference


class Share(NamedTuple):
    """Of the teacher's score; the interval is that of the difference to the teacher, over the teacher's score."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Judged:
    """One way to train.

    Attributes:
        name: Of its folder.
        runs: By seed.
        counted: Those of them that have counts for each image, by seed.
        scores: All metrics and slices; None without counts.
        control: Beside the same without a teacher; None when nobody taught.
        teacher: Beside what taught it.
        problem: Why there are no scores.
    """

    name: str
    runs: Mapping[int, Run]
    counted: Mapping[int, CountedRun]
    scores: Comparison | None
    control: Against | None
    teacher: Against | None
    problem: str | None

    @property
    def first(self) -> Run:
        """Of the smallest seed."""
        return self.runs[min(self.runs)]

    @property
    def taught(self) -> bool:
        """Whether it has been distilled."""
        return self.control is not None

    @property
    def share(self) -> Share | None:
        """Of its teacher's main metric; without an interval where only a number of the teacher is known."""
        found = None if self.teacher is None else self.teacher.difference
        if found is not None and found.control.mean > 0:
            whole = found.control.mean
            low, high = (None if end is None else 1 + end / whole for end in (found.low, found.high))
            return Share(1 + found.mean / whole, low, high)
        known = [run.row["teacher_miou_share"] for run in self.runs.values()]
        shares = [float(share) for share in known if share is not None]
        return Share(sum(shares) / len(shares), None, None) if shares else None


def main_line(comparison: Comparison) -> Line | None:
    """The line of the main metric on all images: mIoU, or of a model without roi head person IoU."""
    lines = [line for line in comparison.lines if line.slice == ALL.name]
    return next((line for line in lines if line.metric == "miou"), lines[0] if lines else None)


class Judgement(NamedTuple):
    """The methods that a page has room for, and how many have finished runs."""

    methods: tuple[Judged, ...]
    of: int


def judge(runs: Sequence[Run]) -> Judgement:
    """Every method that has finished runs, in the order of ``runs``; of many those with the best scores."""
    methods: dict[str, dict[int, Run]] = {}
    for run in runs:
        if run.finished and run.record.result is not None:
            methods.setdefault(run.method, {})[run.record.result.seed] = run
    around = _Around(runs)
    return Judgement(tuple(_judge(name, found, around) for name, found in _best(methods).items()), len(methods))


def _best(methods: Mapping[str, dict[int, Run]]) -> dict[str, dict[int, Run]]:
    """Those that are compared, in their order."""
    if len(methods) <= MOST_DETAILED and sum(map(len, methods.values())) <= MOST_COUNTED:
        return dict(methods)
    mean = {name: sum(main_score(run.row) for run in found.values()) / len(found) for name, found in methods.items()}
    chosen: set[str] = set()
    room = MOST_COUNTED
    for name in sorted(methods, key=lambda name: -mean[name])[:MOST_DETAILED]:
        room -= min(len(methods[name]), MOST_SEEDS)
        if chosen and room < 0:
            break
        chosen.add(name)
    return {name: dict(sorted(found.items())[:MOST_SEEDS]) for name, found in methods.items() if name in chosen}


class _Around:
    """All runs of a page, to look up, and their counts, which are read when they are asked for."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.by_name = {run.row["run"]: run for run in runs}
        self._by_weights: dict[str, list[Run]] = {}
        for run in runs:
            if run.finished and run.record.weights is not None:
                self._by_weights.setdefault(run.record.weights, []).append(run)
        self._counts: dict[int, CountedRun | str] = {}

    def counts(self, run: Run) -> CountedRun | str:
        """Those of ``run``, or why it has none."""
        if run.number not in self._counts:
            try:
                self._counts[run.number] = counted_run(run.record)
            except HumanEdgeDetectionError as error:
                self._counts[run.number] = str(error)
        return self._counts[run.number]

    def counted(self, runs: Mapping[int, Run]) -> dict[int, CountedRun]:
        """The counts of those of ``runs`` that have any, by seed."""
        found = {seed: self.counts(run) for seed, run in runs.items()}
        return {seed: counts for seed, counts in found.items() if isinstance(counts, CountedRun)}

    def problem(self, runs: Mapping[int, Run]) -> str | None:
        """Why the first of ``runs`` without counts has none."""
        return next((problem for run in runs.values() if isinstance(problem := self.counts(run), str)), None)

    def with_weights(self, sha256: str) -> Run | None:
        """The first run with these best weights that has counts."""
        found = self._by_weights.get(sha256, ())
        return next((run for run in found if isinstance(self.counts(run), CountedRun)), None)


def _judge(name: str, runs: Mapping[int, Run], around: _Around) -> Judged:
    own, problem = around.counted(runs), around.problem(runs)
    taught = any(run.record.config is not None and run.record.config.distillation is not None for run in runs.values())
    method = Method(name, own)
    scores = None if not own else compare_methods([method], None, ())
    if not taught:
        return Judged(name, runs, own, scores, None, None, problem)
    controls = {
        seed: around.by_name[run.row["control"]] for seed, run in runs.items() if run.row["control"] is not None
    }
    reason = next((run.row["why_no_gain"] for run in runs.values() if run.row["why_no_gain"]), problem)
    control = _against(method, controls, around, reason, with_notes=True)
    teachers, reason = _teachers(own, around)
    teacher = _against(method, teachers, around, reason, with_notes=False)
    return Judged(name, runs, own, scores, control, teacher, problem)


def _teachers(own: Mapping[int, CountedRun], around: _Around) -> tuple[dict[int, Run], str | None]:
    """What taught each seed, told by the sha256 of its weights; else why there is no run of it to compare with."""
    found, reason = {}, None
    for seed, run in own.items():
        taught_by = around.with_weights(run.result.teacher_sha256 or "")
        if taught_by is not None:
            found[seed] = taught_by
        elif (taught := teacher_of(run)) is not None:
            reason = taught.reason or "its run does not lie in this folder, or has no counts for each image"
    return found, reason or "unknown"


def _against(
    method: Method,
    others: Mapping[int, Run],
    around: _Around,
    reason: str | None,
    *,
    with_notes: bool,
) -> Against:
    names = ", ".join(dict.fromkeys(run.method for run in others.values())) or None
    sides = around.counted(others)
    if not sides or not method.runs:
        return Against(names, sides, None, reason or "it has no counts for each image")
    other = Method(names or "", sides)
    try:
        notes = notes_on([method], other) if with_notes else ()
        return Against(names, sides, compare_methods([method], other, notes), None)
    except HumanEdgeDetectionError as error:
        return Against(names, sides, None, str(error))
