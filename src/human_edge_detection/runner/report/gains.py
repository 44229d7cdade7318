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
from human_edge_detection.runner.report.runs import Run

MOST_COMPARED: Final = 40
"""Methods that are compared; each takes a tenth of a second for a thousand images."""


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


def judge(runs: Sequence[Run]) -> list[Judged]:
    """Every method that has finished runs, in the order of ``runs``."""
    counted, problems = _count(runs)
    methods: dict[str, dict[int, Run]] = {}
    for run in runs:
        if run.finished and run.record.result is not None:
            methods.setdefault(run.method, {})[run.record.result.seed] = run
    by_name = {run.row["run"]: run for run in runs}
    by_weights = {run.counts.checkpoint_sha256: runs[number] for number, run in reversed(counted.items())}
    return [
        _judge(name, of_method, counted, problems, by_name, by_weights)
        for name, of_method in list(methods.items())[:MOST_COMPARED]
    ]


def _count(runs: Sequence[Run]) -> tuple[dict[int, CountedRun], dict[int, str]]:
    """By number of the run: its counts, or why it has none."""
    counted, problems = {}, {}
    for run in runs:
        if run.finished:
            try:
                counted[run.number] = counted_run(run.record)
            except HumanEdgeDetectionError as error:
                problems[run.number] = str(error)
    return counted, problems


def _judge(
    name: str,
    runs: Mapping[int, Run],
    counted: Mapping[int, CountedRun],
    problems: Mapping[int, str],
    by_name: Mapping[str, Run],
    by_weights: Mapping[str, Run],
) -> Judged:
    own = {seed: counted[run.number] for seed, run in runs.items() if run.number in counted}
    problem = next((problems[run.number] for run in runs.values() if run.number in problems), None)
    taught = any(run.record.config is not None and run.record.config.distillation is not None for run in runs.values())
    method = Method(name, own)
    scores = None if not own else compare_methods([method], None, ())
    if not taught:
        return Judged(name, runs, own, scores, None, None, problem)
    controls = {seed: by_name[run.row["control"]] for seed, run in runs.items() if run.row["control"] is not None}
    reason = next((run.row["why_no_gain"] for run in runs.values() if run.row["why_no_gain"]), problem)
    control = _against(method, controls, counted, reason, with_notes=True)
    teachers, reason = _teachers(own, by_weights)
    teacher = _against(method, teachers, counted, reason, with_notes=False)
    return Judged(name, runs, own, scores, control, teacher, problem)


def _teachers(own: Mapping[int, CountedRun], by_weights: Mapping[str, Run]) -> tuple[dict[int, Run], str | None]:
    """What taught each seed, told by the sha256 of its weights; else why there is no run of it to compare with."""
    found, reason = {}, None
    for seed, run in own.items():
        taught_by = by_weights.get(run.result.teacher_sha256 or "")
        if taught_by is not None:
            found[seed] = taught_by
        elif (taught := teacher_of(run)) is not None:
            reason = taught.reason or "its run does not lie in this folder, or has no counts for each image"
    return found, reason or "unknown"


def _against(
    method: Method,
    others: Mapping[int, Run],
    counted: Mapping[int, CountedRun],
    reason: str | None,
    *,
    with_notes: bool,
) -> Against:
    names = ", ".join(dict.fromkeys(run.method for run in others.values())) or None
    sides = {seed: counted[run.number] for seed, run in others.items() if run.number in counted}
    if not sides or not method.runs:
        return Against(names, sides, None, reason or "it has no counts for each image")
    other = Method(names or "", sides)
    try:
        notes = notes_on([method], other) if with_notes else ()
        return Against(names, sides, compare_methods([method], other, notes), None)
    except HumanEdgeDetectionError as error:
        return Against(names, sides, None, str(error))
