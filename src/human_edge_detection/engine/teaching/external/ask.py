"""Asks a model file about each image once, at the image's own size, and keeps the answers in the user's caches.

They are files as any other framework could have written them, see
:func:`~human_edge_detection.engine.teaching.external.read_answers.read_answers`: a 16 bit map of each image, of each
person where the model is asked about the true boxes, or COCO results of a model that finds persons itself. Each file is
written in one step, so a killed asking goes on after the last one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from human_edge_detection import __version__
from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.columns import AnnotatedImage
from human_edge_detection.data.images.read import read_image
from human_edge_detection.engine.exported import own_errors
from human_edge_detection.engine.progress_lines import ProgressLines
from human_edge_detection.errors import ConfigError, TrainingError
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_detection.files.cache import cache_folder
from human_edge_detection.files.model_files import model_sha256
from human_edge_detection.files.write import make_folder, write_atomically, write_json
from human_edge_detection.runs.model_facts.external_teacher import open_external_teacher
from human_edge_prediction.boxes import fit_boxes
from human_edge_prediction.instances import Instances
from human_edge_prediction.masks.rle import encode
from human_edge_prediction.models.model import Model
from human_edge_prediction.resampling import resize

logger = logging.getLogger(__name__)

_LARGEST: Final = 65_535
"""Of 16 bits; stands for a probability of 1."""
_CATEGORY: Final = 1
"""Of persons, in COCO."""
_COMPLETE: Final = "complete.json"
_RESULTS: Final = "results.json"
_PARTS: Final = "parts"
_MAPS: Final = "maps"


def ask_teacher(config: DistillationConfig, people: AnnotationSet, *, alive: Callable[[], None] = lambda: None) -> Path:
    """What the external teacher of ``config`` says of each image of ``people``; asked only where it is not known yet.

    Args:
        config: Names the model file and says what it is.
        people: The images, and the boxes that a model which takes boxes is asked about.
        alive: Called after each image.

    Returns:
        The file or folder of answers.

    Raises:
        CheckpointError: The model is missing or damaged, or cannot be run.
        ConfigError: It is another one than is said, or there is no folder for caches.
        DataError: An image cannot be read.
        StorageError: The answers cannot be written.
    """
    path = config.external_teacher
    assert path is not None
    folder = _folder(path, config.external, people)
    done = folder / _COMPLETE
    before = json.loads(done.read_bytes()) if done.is_file() else None
    if before is not None:
        answers = folder / str(before["answers"])
        if _files_in(answers) == before.get("files"):
            logger.info(
                "teacher %s: asked about the images of %s before, answers in %s", path.name, people.file, folder
            )
            return answers
        logger.warning(
            "teacher %s: some of its answers are gone from %s; it is asked for these anew", path.name, folder
        )
    model = open_external_teacher(path, config.external)
    make_folder(folder)
    write = _write_results if model.kind == "instances" and not model.takes_rois else _write_maps
    written = write(model, people, folder, alive)
    answered = {"answers": written.name, "files": _files_in(written)}
    write_json(done, {**answered, "model": str(path), "images": len(people.images)})
    logger.info("teacher %s: its answers to %s are in %s", path.name, people.file, written)
    return written


def _files_in(answers: Path) -> int:
    """Caches are cleaned by age, file by file: a map that is gone would stand for a teacher who says nothing."""
    return sum(path.is_file() for path in answers.rglob("*")) if answers.is_dir() else int(answers.is_file())


def _folder(path: Path, description: Mapping[str, Any] | None, people: AnnotationSet) -> Path:
    """Where the answers of this very model to these very images and boxes are kept."""
    caches = cache_folder()
    if caches is None:
        raise ConfigError(f"teacher {path}: no folder to keep its answers in; set XDG_CACHE_HOME to one")
    key = [model_sha256(path), adapter_digest(path, description), people.score_key, __version__]
    return caches / "teacher_answers" / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]


def adapter_digest(path: Path, description: Mapping[str, Any] | None) -> str:
    """Tells what is said of a model file, and the encoder beside it if it has one, from anything else."""
    prompt = (description or {}).get("prompt", {})
    encoder = prompt.get("encoder") if isinstance(prompt, Mapping) else None
    beside = model_sha256(path.parent / encoder) if isinstance(encoder, str) else None
    return hashlib.sha256(json.dumps([description, beside], sort_keys=True).encode()).hexdigest()


def _images(
    model: Model, people: AnnotationSet, is_known: Callable[[int, AnnotatedImage], bool], alive: Callable[[], None]
) -> Iterator[tuple[int, AnnotatedImage, NDArray[np.uint8]]]:
    """Each image whose answers are not known yet, with its index and record."""
    missing = [number for number, record in enumerate(people.images) if not is_known(number, record)]
    progress = ProgressLines(f"teacher {model.path.name}: image", len(people.images), len(people.images) - len(missing))
    for number in missing:
        record = people.images[number]
        yield number, record, read_image(people.images_dir / record.file_name, (record.height, record.width))
        progress.one_done()
        alive()


def _write_maps(model: Model, people: AnnotationSet, folder: Path, alive: Callable[[], None]) -> Path:
    """``<image>.png`` of a model that gives person maps, ``<image>_<annotation id>.png`` of one that takes boxes."""
    folder = folder / _MAPS
    has_people = model.kind != "prompted"

    def files(record: AnnotatedImage) -> tuple[list[Path], Path]:
        name = folder / record.file_name
        persons = [name.with_name(f"{name.name}_{person.id}.png") for person in record.persons]
        return persons if model.takes_rois else [], name.with_name(f"{name.name}.png")

    def is_known(_: int, record: AnnotatedImage) -> bool:
        persons, everyone = files(record)
        return all(file.is_file() for file in (*persons, *([everyone] if has_people else [])))

    for _, record, image in _images(model, people, is_known, alive):
        persons, everyone = files(record)
        if not persons and not has_people:
            continue
        size = (record.height, record.width)
        with own_errors():
            output = model.predict(image, _boxes(record) if persons else None)
        make_folder(everyone.parent)
        for number, file in enumerate(persons):
            assert output.instances is not None
            whole = np.zeros(size, np.float32)
            place, values = output.instances.probability(number, size)
            whole[place] = values
            write_atomically(file, _png(whole, model))
        if has_people:
            assert output.person_map is not None
            write_atomically(everyone, _png(np.asarray(resize(output.person_map, size), np.float32), model))
    make_folder(folder)
    return folder


def _write_results(model: Model, people: AnnotationSet, folder: Path, alive: Callable[[], None]) -> Path:
    """COCO results of all images in one file, made of one for each image."""
    parts = folder / _PARTS
    make_folder(parts)

    def part(number: int) -> Path:
        return parts / f"{number}.json"

    for number, record, image in _images(model, people, lambda number, _: part(number).is_file(), alive):
        with own_errors():
            found = model.instances(image)
        kept = found.of(found.scores >= model.min_score)
        write_json(part(number), list(_results(record, kept)))
    results = [one for number in range(len(people.images)) for one in json.loads(part(number).read_bytes())]
    write_json(folder / _RESULTS, results)
    return folder / _RESULTS


def _results(record: AnnotatedImage, found: Instances) -> Iterator[dict[str, Any]]:
    size = (record.height, record.width)
    for number, score in enumerate(found.scores):
        mask = found.mask(number, size)
        rows, columns = mask.place
        yield {
            "image_id": record.id,
            "category_id": _CATEGORY,
            "segmentation": encode(mask.pixels, (rows.start, columns.start), size),
            "score": float(score),
        }


def _boxes(record: AnnotatedImage) -> NDArray[np.float32]:
    """``(n, 4)``: the true boxes as fractions of the image, as the student is asked about them."""
    boxes = np.array([person.box for person in record.persons], np.float32).reshape(-1, 4)
    extent = np.array([record.width, record.height] * 2, np.float32)
    return np.asarray(fit_boxes(boxes, (record.height, record.width)) / extent, np.float32)


def _png(probability: NDArray[np.float32], model: Model) -> bytes:
    """``(h, w)`` in [0, 1] as a 16 bit grey image.

    Raises:
        TrainingError: There is a value that is no probability.
    """
    if not np.isfinite(probability).all():
        raise TrainingError(f"teacher {model.path}: a probability is not finite; its weights are damaged, give another")
    values = np.rint(np.clip(probability, 0.0, 1.0) * _LARGEST).astype(np.uint16)
    return cv2.imencode(".png", values)[1].tobytes()
