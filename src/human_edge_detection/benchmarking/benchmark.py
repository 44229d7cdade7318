"""A whole benchmark: which files, in which settings, what each of them scores."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.progress import Progress

from human_edge_detection.benchmarking.artefacts import Artefact, make_artefacts, shown_size
from human_edge_detection.benchmarking.latency import example_boxes, example_image
from human_edge_detection.benchmarking.records import Benchmark, Row, Settings
from human_edge_detection.benchmarking.sources import Source
from human_edge_detection.benchmarking.speed import measure_speed
from human_edge_detection.engine.exported import own_errors
from human_edge_detection.errors import ConfigError
from human_edge_detection.files.data_folder import SplitPaths
from human_edge_detection.limits import allowed_cores
from human_edge_detection.log import shows_progress, terminal
from human_edge_detection.runs.provenance import processor_name
from human_edge_prediction import AdapterError
from human_edge_prediction.models.own import OwnModel

if TYPE_CHECKING:
    from human_edge_detection.data.annotations.annotation_set import AnnotationSet

logger = logging.getLogger(__name__)

Metrics = dict[str, float | None]
_BUSY: Final = 0.5
"""Load of the machine, for each core, above which other programs disturb the times."""
_PACKAGES: Final = (
    "human-edge-detection",
    "human-edge-prediction",
    "onnxruntime",
    "ai-edge-litert",
    "openvino",
    "numpy",
)


def run_benchmark(
    sources: Sequence[Source], reference: Source, settings: Settings, data: SplitPaths | None
) -> Benchmark:
    """Measures every model in every setting.

    Args:
        sources: The models, the reference among them.
        reference: What ratios are of.
        settings: What is varied.
        data: The validation data; None: accuracy is left out.

    Raises:
        ConfigError: A model cannot be used.
        CheckpointError: A file of weights is damaged.
        DataError: The data cannot be used.
    """
    machine = _machine()
    people = None if data is None else _read(data)  # before anything long, as it may be wrong
    notes = _notes_on(machine)
    with tempfile.TemporaryDirectory(prefix="hed_benchmark_") as folder:
        made = [make_artefacts(source, settings.image_sizes, Path(folder)) for source in sources]
        artefacts = [artefact for files in made for artefact in files]
        notes += _notes_on_sizes(artefacts, settings)
        notes += _notes_on_threads(machine, settings)
        with own_errors():
            if people is not None:
                _try_peers(artefacts)
            notes += _notes_on_persons(artefacts)
            speed = measure_speed(artefacts, reference.name, settings)
            scores = {} if people is None else _measure_accuracy(artefacts, people)
    metrics = [
        {"model": one.model, "image_size": list(one.image_size), **scores[one.path]}
        for one in artefacts
        if one.path in scores
    ]
    return Benchmark(
        rows=tuple(_with_scores(row, scores.get(artefact.path, {})) for artefact, row in speed.rows),
        reference=reference.name,
        settings=settings,
        machine=machine,
        data=None if people is None else _describe(people),
        metrics=tuple(metrics),
        notes=(*notes, *speed.notes),
    )


def _notes_on_sizes(artefacts: Sequence[Artefact], settings: Settings) -> list[str]:
    """Which files were measured at another size than was asked for."""
    wanted = settings.image_sizes or ()
    fixed = [one for one in artefacts if wanted and one.image_size not in wanted]
    names = ", ".join(f"{one.model} ({shown_size(one.image_size)})" for one in fixed)
    return [f"measured at the only size that they take: {names}"] if fixed else []


def _notes_on_threads(machine: dict[str, Any], settings: Settings) -> list[str]:
    """Which numbers of threads wait for each other."""
    cores = machine["cores"]
    many = ", ".join(str(threads) for threads in settings.threads if threads > cores)
    return [f"{many} threads on {cores} cores wait for each other: such times are of no use"] if many else []


def _notes_on_persons(artefacts: Sequence[Artefact]) -> list[str]:
    """How many masks are in the time of our models that find the persons themselves."""
    notes = []
    for one in artefacts:
        model = one.open()
        if isinstance(model, OwnModel) and model.finds_persons:
            found = len(model.boxes(example_image(one.image_size)).boxes)
            notes.append(
                f"{one.model} finds the persons itself, {found} on the image that is timed: its time is with "
                f"{found} masks, and more where there are more"
            )
    return notes


def _try_peers(artefacts: Sequence[Artefact]) -> None:
    """Reads the outputs of models of others once, before anything is timed, as their descriptions may be wrong."""
    from human_edge_detection.benchmarking.accuracy import gives_person_map

    for one in artefacts:
        if one.weights == "foreign":
            model, image = one.open(), example_image(one.image_size)
            try:
                if model.takes_rois:
                    model.instances(image, example_boxes(1))
                else:
                    (model.person_map if gives_person_map(model) else model.boxes)(image)
            except AdapterError as error:
                raise ConfigError(f"adapter of {one.model}: {error}") from error


def _read(data: SplitPaths) -> AnnotationSet:
    from human_edge_detection.data.annotations.coco import read_annotations

    return read_annotations(data.annotations, data.images)


def _describe(people: AnnotationSet) -> dict[str, Any]:
    return {
        "annotations": str(people.file),
        "fingerprint": people.fingerprint,
        "images": len(people.images),
        "persons": int(people.images.person_counts.sum()),
    }


def _measure_accuracy(artefacts: Sequence[Artefact], people: AnnotationSet) -> dict[Path, Metrics]:
    """Metrics of each file by its path; random weights are left out."""
    from human_edge_detection.benchmarking.accuracy import person_ious
    from human_edge_detection.engine.evaluation.evaluate_exported import score

    trained = [one for one in artefacts if one.weights != "random"]
    models = [one.open(threads=allowed_cores()) for one in trained]
    images = len(people.images)
    scores: dict[Path, Metrics] = {}
    for artefact, model in zip(trained, models, strict=True):
        scores[artefact.path] = {}
        if isinstance(model, OwnModel) and model.takes_rois:
            what = f"{artefact.model} at {shown_size(artefact.image_size)}"
            with _bar(f"masks of {what}", images) as advance:
                scores[artefact.path] = score(model, people, after_image=advance)
    with _bar(f"person maps of {len(models)} files", images) as advance:
        found = person_ious(models, people, after_image=advance)
    for artefact, iou in zip(trained, found, strict=True):
        scores[artefact.path]["person_iou"] = iou
    return scores


@contextmanager
def _bar(title: str, total: int) -> Iterator[Any]:
    """A progress bar on a terminal, one line elsewhere; gives what is called after each image."""
    logger.info("%s on %d images", title, total)
    with Progress(console=terminal(), transient=True, disable=not shows_progress()) as bars:
        task = bars.add_task(title, total=total)
        yield lambda: bars.advance(task)


def _with_scores(row: Row, metrics: Metrics) -> Row:
    return replace(row, miou=metrics.get("miou"), person_iou=metrics.get("person_iou"), AP=metrics.get("AP"))


def _machine() -> dict[str, Any]:
    """Where the times are of."""
    return {
        "processor": processor_name(),
        "cores": allowed_cores(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _notes_on(machine: dict[str, Any]) -> list[str]:
    if machine["load"] <= _BUSY * machine["cores"]:
        return []
    return [
        f"other programs ran when this began (load {machine['load']} on {machine['cores']} cores): times are longer, "
        "p95 most of all; ratios and processor time suffer least"
    ]
