"""What a reader of a paired comparison has to know: where a method and its control differ in more than distillation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from human_edge_detection.experiments.difference import Difference, compare_fields
from human_edge_detection.runner.comparison.control import shared_with_control
from human_edge_detection.runner.comparison.paired import Note
from human_edge_detection.runner.comparison.runs_by_seed import CountedRun, Method
from human_edge_detection.runs.provenance import read_provenance

_ENVIRONMENT: Final = ("versions", "git", "device", "precision")
_MAX_FIELDS: Final = 4
"""That a note names; it counts the rest."""


def notes_on(methods: Sequence[Method], control: Method | None) -> list[Note]:
    """All that has to be said about comparing each of ``methods`` with ``control``, deviations first."""
    if control is None:
        return [Note("no control: scores and their spread only; --against CONTROL shows differences with intervals")]
    notes = [note for method in methods for note in _notes_on_pair(method, control)]
    notes += _notes_on_seeds(methods, control)
    if len(methods) > 1:
        notes.append(
            Note(
                f"each interval is for itself: with {len(methods)} methods, look again with fresh seeds or data at the "
                "one that came out best"
            )
        )
    return notes


def _notes_on_pair(method: Method, control: Method) -> Iterator[Note]:
    pairs = [(method.runs[seed], control.runs[seed]) for seed in sorted(method.runs.keys() & control.runs.keys())]
    kinds: tuple[tuple[Callable[[CountedRun], Mapping[str, Any]], str], ...] = (
        (lambda run: shared_with_control(run.config, run.contents), "differ in more than distillation"),
        (_surroundings, "were trained in different surroundings"),
        (_training_data, "did not see the same data"),
    )
    for described, problem in kinds:
        found: Difference = {}
        for run, other in pairs:
            found = compare_fields(described(other), described(run)) | found
        if found:
            yield Note(f"{control.name} and {method.name} {problem}: {_named(found)}", deviation=True)


def _surroundings(run: CountedRun) -> Mapping[str, Any]:
    provenance = read_provenance(run.paths)
    return {name: provenance.get(name) for name in _ENVIRONMENT}


def _training_data(run: CountedRun) -> Mapping[str, Any]:
    return {"training annotations": run.result.training_fingerprint, "training images seen": run.result.images}


def _named(found: Difference) -> str:
    named = [f"{path} {_short(old)} / {_short(new)}" for path, (old, new) in list(found.items())[:_MAX_FIELDS]]
    more = f" and {len(found) - _MAX_FIELDS} more" if len(found) > _MAX_FIELDS else ""
    return "; ".join(named) + more


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


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
