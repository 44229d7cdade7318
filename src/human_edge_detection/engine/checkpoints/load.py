"""A trained model as its checkpoint describes it, and the data to judge it on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.advanced.weights.fit import load_fitted
from human_edge_detection.data.annotations.coco import AnnotationSet, read_annotations
from human_edge_detection.engine.build import (
    HeldOut,
    build_model,
    make_sample,
    read_split,
    read_test_split,
    split_paths,
)
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.data_folder import SplitPaths, find_split
from human_edge_detection.runs.model_facts.split_scores import own_test_split
from human_edge_detection.runs.paths import output_dir_of, run_paths_of_checkpoint, sample_data_dir, scan_cache
from human_edge_detection.runs.records import read_section

Split = Literal["train", "val", "test"]


class TrainedModel(NamedTuple):
    """A loaded checkpoint.

    Attributes:
        model: On the CPU, float32, in evaluation mode.
        checkpoint: What the file holds.
        path: The file.
        sha256: Of the file.
    """

    model: RgbPersonSegmenter
    checkpoint: Checkpoint
    path: Path
    sha256: str


def load_trained(path: Path) -> TrainedModel:
    """The model stored at ``path``, built from the config in it.

    Raises:
        CheckpointError: Missing, damaged, or of another architecture than its config says.
    """
    checkpoint, sha256 = read_checkpoint(path)
    model = build_model(checkpoint.config.model)
    load_fitted(
        model,
        checkpoint.model,
        source=f"checkpoint {path}",
        network=f"a whole {checkpoint.config.name}",
        encoder=checkpoint.config.model.encoder,
    )
    return TrainedModel(model.eval(), checkpoint, path, sha256)


def read_annotations_for(trained: TrainedModel, split: Split, given: SplitPaths | None) -> AnnotationSet:
    """The annotations to judge ``trained`` on; see :func:`read_annotations_of`."""
    return read_annotations_of(trained.checkpoint.config, trained.path, split, given)


def read_annotations_of(
    config: ExperimentConfig | None, file: Path, split: Split, given: SplitPaths | None
) -> AnnotationSet:
    """The annotations to judge a model on.

    Args:
        config: Its own; None: other data are given.
        file: Its checkpoint, or what was exported from it.
        split: Which of its own data.
        given: Other data; None: those of its own config.

    Raises:
        DataError: The data cannot be used; for its own data it says how to give others.
    """
    if split == "test":
        return read_held_out(config, file, given).people
    if given is not None:
        return read_annotations(given.annotations, given.images)
    assert config is not None
    try:
        own = _own_split(config.data, file, split)
        most = config.data.max_train_images if split == "train" else None
        return read_split(own, skip=config.data.on_bad_sample == "skip", most=most, seed=config.training.seed)
    except DataError as error:
        raise DataError(
            f"{file} names its data, and they cannot be used: {error}; "
            f"or give other data: --data_root DIR, or --{split}_ann FILE and --{split}_images DIR"
        ) from error


def read_held_out(config: ExperimentConfig | None, file: Path, given: SplitPaths | None) -> HeldOut:
    """A test split to judge a model on, and what of it the model has seen.

    Args:
        config: Its own; None: unknown, and other data are given.
        file: Its checkpoint, or what was exported from it. Where that lies in a run folder, the test split is that of
            its ``config.json``, as it may have come after the weights.
        given: Other data; None: its own test split.

    Raises:
        DataError: It has none, or one that cannot be used; says how to give another.
        CheckpointError: ``config.json`` is damaged.
    """
    run = run_paths_of_checkpoint(file)
    if file.resolve().parent == run.checkpoints:
        config = read_section(ExperimentConfig, run.config) or config
    if config is None:
        assert given is not None
        return HeldOut(read_annotations(given.annotations, given.images), {})
    data = config.data
    try:
        sample_root = _drawn(data, file)
        paths = given or _own_test_split(data, sample_root)
        return read_test_split(paths, data, sample_root, seed=config.training.seed, scan_cache=scan_cache(data))
    except DataError as error:
        if given is not None:
            raise
        raise DataError(
            f"{file}: no test split to score it on: {error}; give one: --test_ann FILE and --test_images DIR, or "
            "--data_root DIR of a folder that has one"
        ) from error


def _own_test_split(data: DataConfig, sample_root: Path) -> SplitPaths:
    own = own_test_split(data, sample_root)
    if own is not None:
        return own
    if data.root is not None:
        return find_split(Path(data.root), "test")  # says what was tried
    raise DataError("its config names none (data.test_ann and data.test_images)")


def _drawn(data: DataConfig, file: Path) -> Path:
    """Where the sample data of ``data`` lie, or would; drawn, where it has any."""
    run = run_paths_of_checkpoint(file)
    sample_root = sample_data_dir(output_dir_of(run), data)
    if data.sample is None:
        return sample_root
    if not (run.config.is_file() or sample_root.is_dir()):
        # Outside its run folder, a checkpoint does not tell where sample data may be drawn again.
        raise DataError(f"the sample data it was trained on are not at {sample_root}")
    return make_sample(data.sample, sample_root)


def _own_split(data: DataConfig, file: Path, split: Split) -> SplitPaths:
    train, val = split_paths(data, _drawn(data, file))
    return train if split == "train" else val
