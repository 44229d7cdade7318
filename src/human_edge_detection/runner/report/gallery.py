"""Validation images that tell most: where a model is best, worst, and where distillation has changed most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from human_edge_detection.errors import CheckpointError, DataError
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.files.data_folder import find_split
from human_edge_detection.runner.comparison.runs_by_seed import CountedRun
from human_edge_detection.runner.comparison.slices import ALL, columns_of, crowding_of, image_scores
from human_edge_detection.runner.report import formats
from human_edge_detection.runner.report.gains import Judged
from human_edge_detection.runner.report.pictures import Pictures, jpeg, overlay
from human_edge_detection.runner.report.private import Private
from human_edge_detection.runs.paths import RunPaths, sample_data_dir
from human_edge_detection.runs.person_maps import MAX_BYTES, ImageMaps, Predictions
from human_edge_detection.runs.records import read_section

_OF_EACH: Final = 3
"""Images that are shown as best, as worst and as most changed."""
_SIDE_PX: Final = 480
"""Longest side of an image in the page."""
_AGAIN: Final = "delete its result.json and give the training command again: it validates once and trains nothing"


class Layer(NamedTuple):
    """Something that can be laid over an image: the truth, or what a model sees.

    Attributes:
        key: Of the layer.
        word: For it, short.
        label: With the name of the model.
    """

    key: str
    word: str
    label: str


class Score(NamedTuple):
    """What a model scores on an image: word for the model, number."""

    word: str
    text: str


class Shot(NamedTuple):
    """One validation image.

    Attributes:
        title: Its file name.
        image: Name of its picture.
        overlays: Key of the layer -> name of its picture.
        scores: What the models score on it.
        change: By distillation, as it is written; None where there is none.
        size: (height, width) of the picture.
    """

    title: str
    image: str
    overlays: Mapping[str, str]
    scores: tuple[Score, ...]
    change: str | None
    size: tuple[int, int]


@dataclass(frozen=True)
class Gallery:
    """The images of one method.

    Attributes:
        name: Of the method.
        metric: What they are sorted by.
        layers: What can be laid over them.
        groups: Title and images.
        problem: Why there are none, or not all.
        images: That were to choose from.
    """

    name: str
    metric: str
    layers: tuple[Layer, ...]
    groups: tuple[tuple[str, tuple[Shot, ...]], ...]
    problem: str | None
    images: int


class _Side(NamedTuple):
    """One model of a gallery."""

    layer: Layer
    scores: Mapping[int, float]
    maps: Mapping[int, ImageMaps]


def make_gallery(judged: Judged, pictures: Pictures, output_dir: Path, hidden: Private) -> Gallery:
    """The gallery of the first seed of ``judged``; its pictures go into ``pictures``."""
    seed = min(judged.counted, default=None)
    if seed is None:
        return _empty(judged.name, hidden(judged.problem or "no finished run"))
    run = judged.counted[seed]
    metric = run.config.model.monitored_metric
    try:
        sides = _sides(judged, seed, metric)
        folder = validation_images(run.config.data, output_dir)
    except (CheckpointError, DataError, OSError) as error:
        return _empty(judged.name, hidden(str(error)))
    own = sides[-1]
    if not own.maps:
        return _empty(judged.name, f"predictions.json is missing, or of other weights; {_AGAIN}")
    chosen = _choose(own, next((side for side in sides if side.layer.key == "control"), None))
    shots, problem = {}, None
    for number in dict.fromkeys(number for _, numbers in chosen for number in numbers):
        try:
            shot = _shot(own.maps[number], sides, folder, pictures)
        except (CheckpointError, DataError, OSError) as error:
            problem = hidden(str(error))
            continue
        if shot is None:
            problem = "not all fit into the page (--max_megabytes)"
        else:
            shots[number] = shot
    groups = tuple((title, tuple(shots[one] for one in numbers if one in shots)) for title, numbers in chosen)
    layers = (Layer("truth", "truth", "ground truth"), *(side.layer for side in sides if side.maps))
    return Gallery(judged.name, metric, layers, tuple(group for group in groups if group[1]), problem, len(own.maps))


def validation_images(data: DataConfig, output_dir: Path) -> Path:
    """The folder of the validation images.

    Raises:
        DataError: It is not there any more.
    """
    if data.sample is not None:
        return find_split(sample_data_dir(output_dir, data), "val").images
    return Path(data.val_images) if data.val_images is not None else find_split(Path(data.root or ""), "val").images


def _empty(name: str, problem: str) -> Gallery:
    return Gallery(name, "", (), (), problem, 0)


def _sides(judged: Judged, seed: int, metric: str) -> list[_Side]:
    """Teacher and control, where there are any with maps of the same images, and the run itself, which is last."""
    run = judged.counted[seed]
    data = run.counts.data_fingerprint
    sides = []
    for against, key, word in ((judged.teacher, "teacher", "teacher"), (judged.control, "control", "undistilled")):
        if against is not None and seed in against.runs:
            layer = Layer(key, word, f"{word} ({against.name})")
            sides.append(_side(against.runs[seed], layer, metric, data))
    word = "distilled" if judged.taught else "model"
    return [*sides, _side(run, Layer("own", word, f"{word} ({judged.name})"), metric, data)]


def _side(run: CountedRun, layer: Layer, metric: str, data_fingerprint: str) -> _Side:
    counts = run.counts
    values = image_scores(ALL, columns_of(counts), crowding_of(counts))[metric]
    scores = {number: float(value) for number, value in zip(sorted(counts.images.id), values, strict=True)}
    return _Side(layer, scores, _maps(run.paths, counts.checkpoint_sha256, data_fingerprint))


def _maps(paths: RunPaths, checkpoint_sha256: str, data_fingerprint: str) -> dict[int, ImageMaps]:
    found = read_section(Predictions, paths.predictions, max_bytes=MAX_BYTES)
    if found is None or (found.checkpoint_sha256, found.data_fingerprint) != (checkpoint_sha256, data_fingerprint):
        return {}
    return {image.id: image for image in found.images}


def _choose(own: _Side, control: _Side | None) -> list[tuple[str, list[int]]]:
    """Title -> ids of images, the most telling first."""
    scored = [number for number in own.maps if np.isfinite(own.scores.get(number, np.nan))]
    ranked = sorted(scored, key=lambda number: own.scores[number])
    count = min(_OF_EACH, len(ranked) // 2 or len(ranked))
    chosen = [("Worst", ranked[:count]), ("Best", ranked[::-1][:count])]
    if control is None or not control.maps:
        return chosen
    gains = {
        number: own.scores[number] - control.scores[number]
        for number in scored
        if number in control.maps and np.isfinite(control.scores.get(number, np.nan))
    }
    changed = sorted((number for number in gains if gains[number]), key=lambda number: -abs(gains[number]))
    better = [number for number in changed if gains[number] > 0][:_OF_EACH]
    worse = [number for number in changed if gains[number] < 0][:_OF_EACH]
    return [("Most improved by distillation", better), ("Most worsened by distillation", worse), *chosen]


def _shot(maps: ImageMaps, sides: Sequence[_Side], folder: Path, pictures: Pictures) -> Shot | None:
    """None when its pictures do not fit any more."""
    from human_edge_detection.data.images.read import read_image  # OpenCV is heavy
    from human_edge_prediction.resampling import resize

    image = read_image(folder / maps.file_name)
    factor = min(1.0, _SIDE_PX / max(image.shape[:2]))
    size = (max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor)))
    layers = dict(_overlays(maps, sides))
    names = pictures.add_all(jpeg(resize(image, size)), list(layers.values()))
    if names is None:
        return None
    known = {side.layer: score for side in sides if np.isfinite(score := side.scores.get(maps.id, np.nan))}
    by_key = {layer.key: score for layer, score in known.items()}
    gain = by_key["own"] - by_key["control"] if {"own", "control"} <= by_key.keys() else 0.0
    change = formats.signed(gain) if gain else None
    scores = tuple(Score(layer.word, formats.score(score)) for layer, score in known.items())
    return Shot(maps.file_name, names[0], dict(zip(layers, names[1:], strict=True)), scores, change, size)


def _overlays(maps: ImageMaps, sides: Sequence[_Side]) -> Iterator[tuple[str, str]]:
    yield "truth", overlay(maps.truth)
    for side in sides:
        if maps.id in side.maps:
            yield side.layer.key, overlay(side.maps[maps.id].prediction)
