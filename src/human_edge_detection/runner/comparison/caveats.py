"""What a reader of a paired comparison has to know: where a method and its control differ in more than distillation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from human_edge_detection.experiments.difference import Difference, compare_fields
from human_edge_detection.runner.comparison.control import (
    data_differences,
    different_teachers,
    shared_with_control,
)
from human_edge_detection.runner.comparison.paired import Note
from human_edge_detection.runner.comparison.runs_by_seed import CountedRun, Method, teacher_of
from human_edge_detection.runs.provenance import read_provenance

_ENVIRONMENT: Final = ("versions", "git", "device", "precision")
_MAX_FIELDS: Final = 4
"""That a note names; it counts the rest."""


def notes_on(methods: Sequence[Method], control: Method | None) -> list[Note]:
    """All that has to be said about comparing each of ``methods`` with ``control``, deviations first."""
    taught = [note for method in methods for note in _notes_on_teacher(method)]
    if control is None:
        alone = "no control: scores and their spread only; --against CONTROL shows differences with intervals"
        return [Note(alone), *taught]
    notes = [note for method in methods for note in _notes_on_pair(method, control)]
    notes += taught
    notes += _notes_on_seeds(methods, control)
    if len(methods) > 1:
        notes.append(
            Note(
                f"each interval is for itself: with {len(methods)} methods, look again with fresh seeds or data at the "
                "one that came out best"
            )
        )
    return notes


def notes_on_split(methods: Sequence[Method], control: Method | None) -> list[Note]:
    """What the images are that all are scored on, and what scores on them are worth."""
    runs = [run for method in (*methods, *([control] if control else [])) for run in method.runs.values()]
    tested = [run.tested for run in runs if run.tested is not None]
    if not tested:
        return [
            Note(
                "scores are of the validation split, on which the best epochs were chosen: they flatter; --split test "
                "compares on images that chose nothing"
            )
        ]
    first = tested[0]
    notes = [
        Note(f"scores are of the test split: {first.images} images, {first.persons} persons of {first.annotations}")
    ]
    for name in ("train", "val"):
        common = max(scores.also_in.get(name, 0) for scores in tested)
        if common:
            text = f"{common} of {first.images} test images are also in {name}: scores on them say little"
            notes.append(Note(text, deviation=True))
    unknown = [run.name for run in runs if run.tested is not None and len(run.tested.also_in) < 2]
    if unknown:
        notes.append(Note(f"whether test images were trained or validated on is not known of {', '.join(unknown)}"))
    measured = dict.fromkeys(f"{scores.device} {scores.precision}" for scores in tested)
    if len(measured) > 1:
        notes.append(Note(f"test scores were measured in different ways: {', '.join(measured)}", deviation=True))
    return notes


def _notes_on_pair(method: Method, control: Method) -> Iterator[Note]:
    pairs = [(method.runs[seed], control.runs[seed]) for seed in sorted(method.runs.keys() & control.runs.keys())]
    kinds: tuple[tuple[Callable[[CountedRun, CountedRun], Difference], str], ...] = (
        (_settings, "differ in more than distillation"),
        (_surroundings, "were trained in different surroundings"),
        (_data_seen, "did not see the same data"),
        (lambda one, two: different_teachers(one.result, two.result), "were taught by different teachers"),
    )
    for differences, problem in kinds:
        found: Difference = {}
        for run, other in pairs:
            found = differences(other, run) | found
        if found:
            yield Note(f"{control.name} and {method.name} {problem}: {_named(found)}", deviation=True)


def _settings(one: CountedRun, other: CountedRun) -> Difference:
    return compare_fields(*(shared_with_control(run.config, run.contents) for run in (one, other)))


def _surroundings(one: CountedRun, other: CountedRun) -> Difference:
    provenances = [read_provenance(run.paths) for run in (one, other)]
    return compare_fields(*({name: found.get(name) for name in _ENVIRONMENT} for found in provenances))


def _data_seen(one: CountedRun, other: CountedRun) -> Difference:
    seen = compare_fields(*({"training images seen": run.result.images} for run in (one, other)))
    return data_differences(one.result, other.result) | seen


def _named(found: Difference) -> str:
    named = [f"{path} {_short(old)} / {_short(new)}" for path, (old, new) in list(found.items())[:_MAX_FIELDS]]
    more = f" and {len(found) - _MAX_FIELDS} more" if len(found) > _MAX_FIELDS else ""
    return "; ".join(named) + more


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _notes_on_teacher(method: Method) -> Iterator[Note]:
    taught = [found for run in method.runs.values() if (found := teacher_of(run)) is not None]
    reasons = dict.fromkeys(found.reason for found in taught if found.reason is not None)
    if reasons:
        known = "mIoU only, as measured before it taught" if taught[0].metrics.get("miou") else "unknown"
        yield Note(f"{method.name}: share of its teacher: {known} ({'; '.join(reasons)})")


def _notes_on_seeds(methods: Sequence[Method], control: Method) -> Iterator[Note]:
    for method in methods:
        common = method.runs.keys() & control.runs.keys()
        for side in (method, control):
            if unpaired := sorted(side.runs.keys() - common):
                other = control if side is method else method
                yield Note(f"seeds {unpaired} of {side.name} have no partner in {other.name} and are left out")
        if len(common) == 1:
            yield Note(
                f"{method.name}: one seed, so the intervals cover the choice of images only; another seed may "
                "turn the result (--seeds 0 1 2)"
            )
        elif len(common) == 2:
            yield Note(f"{method.name}: two seeds tell little about their spread, the intervals are wide; train more")
