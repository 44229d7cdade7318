"""The test split of a run: where it lies, and what the best weights scored on it.

Nothing is trained or chosen on it, so it has no part in the identity of a run and may be added or changed at any time.
So scores on it remember their data and weights, and count for no others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.data_folder import SplitPaths, find_test_split
from human_edge_detection.files.read import file_sha256
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.runs.artifacts import checkpoint_sha256
from human_edge_detection.runs.paths import RunPaths, output_dir_of, sample_data_dir
from human_edge_detection.runs.per_image import MAX_BYTES, PerImage
from human_edge_detection.runs.records import Count, Scores, read_section


class SplitScores(Section):
    """What the best weights of a run scored on a test split; ``test_scores.json``."""

    format_version: Literal[1] = 1
    split: Literal["test"] = "test"
    checkpoint_sha256: str
    """Of the weights."""
    annotations: str
    """The annotation file, as it was given."""
    images_dir: str
    annotations_sha256: str
    """Of that file."""
    data_fingerprint: str
    """Of the annotations that were used of it."""
    images_fingerprint: str
    """Of the bytes of the images."""
    images: Count
    persons: Count
    """Crowd regions not counted."""
    also_in: dict[Literal["train", "val"], Count]
    """How many of the images the run has in another split as well; a split that could not be read is not listed."""
    metrics: Scores
    device: str
    precision: str
    per_image_sha256: str = ""
    """Of ``test_per_image.json``, which was written before."""


def own_test_split(data: DataConfig, sample_root: Path) -> SplitPaths | None:
    """Where the test split of ``data`` lies; None where it has none.

    Args:
        data: Of a run.
        sample_root: Folder of the embedded sample data, drawn already.
    """
    if data.test_ann is not None and data.test_images is not None:
        return SplitPaths(Path(data.test_ann), Path(data.test_images))
    if data.sample is not None:
        return None if data.sample.test_images is None else find_test_split(sample_root)
    return None if data.root is None else find_test_split(Path(data.root))


def how_to_test(run: RunPaths, data: DataConfig) -> str | None:
    """What a test split that is given for ``run``, which has finished without it, takes; None where it has that one.

    Raises:
        CheckpointError: config.json is damaged.
    """
    stored = read_section(ExperimentConfig, run.config)
    if data.test_ann is None or stored is None or stored.data.test_ann == data.test_ann:
        return None
    given = f"--test_ann {data.test_ann} --test_images {data.test_images}"
    return f"{run.root} has finished, and its config keeps its test split: hed evaluate {run.root} --split test {given}"


def write_split_scores(run: RunPaths, scores: SplitScores, counts: PerImage) -> None:
    """Stores both in the folder of ``run``, in place of earlier ones.

    Args:
        run: The run.
        scores: Its ``per_image_sha256`` is filled in here.
        counts: Of each image.

    Raises:
        StorageError: They cannot be written.
    """
    write_atomically(run.test_per_image, counts.model_dump_json().encode())
    sha256 = file_sha256(run.test_per_image) or ""
    write_json(run.test_scores, scores.model_copy(update={"per_image_sha256": sha256}).model_dump(mode="json"))


def split_scores_of(run: RunPaths) -> SplitScores | None:
    """What the best weights of ``run``, as they are now, scored on a test split; None: nothing, or other weights.

    Raises:
        CheckpointError: test_scores.json is damaged.
    """
    return split_scores_of_weights(run, checkpoint_sha256(run.best))


def split_scores_of_weights(run: RunPaths, sha256: str | None) -> SplitScores | None:
    """As :func:`split_scores_of`, for who knows the ``sha256`` of the best weights already."""
    scores = read_section(SplitScores, run.test_scores)
    return scores if scores is not None and scores.checkpoint_sha256 == sha256 else None


def read_split_counts(run: RunPaths, scores: SplitScores) -> PerImage | None:
    """The counts of each image that belong to ``scores``; None where they are missing or others."""
    if file_sha256(run.test_per_image) != scores.per_image_sha256:
        return None
    try:
        return read_section(PerImage, run.test_per_image, max_bytes=MAX_BYTES)
    except CheckpointError:
        return None


def why_untested(run: RunPaths, data: DataConfig) -> str | None:
    """Why ``run`` has no test scores that count now; None when it has.

    Args:
        run: The run.
        data: Of its config. Where that names a test split, scores are of this one, as it is now.

    Raises:
        CheckpointError: test_scores.json is damaged.
    """
    scores = read_section(SplitScores, run.test_scores)
    if scores is None:
        return "it has no test scores"
    if scores.checkpoint_sha256 != checkpoint_sha256(run.best):
        return f"its test scores are of other weights than {run.best.name}"
    own = own_test_split(data, sample_data_dir(output_dir_of(run), data))
    file = Path(scores.annotations) if own is None else own.annotations
    now = file_sha256(file)
    if now is not None and now != scores.annotations_sha256:
        return f"its test scores are of other annotations than {file} is now"
    if read_split_counts(run, scores) is None:
        return f"{run.test_per_image.name} is missing, or not that of its test scores"
    return None
