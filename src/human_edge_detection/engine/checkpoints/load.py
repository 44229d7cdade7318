"""A trained model as its checkpoint describes it, and the data to judge it on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.advanced.weights.fit import load_fitted
from human_edge_detection.data.annotations.coco import AnnotationSet, read_annotations
from human_edge_detection.engine.build import build_model, read_split, split_paths
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.data_folder import SplitPaths
from human_edge_detection.runs.paths import output_dir_of, run_paths_of_checkpoint, sample_data_dir

Split = Literal["train", "val"]


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


def _own_split(data: DataConfig, file: Path, split: Split) -> SplitPaths:
    run = run_paths_of_checkpoint(file)
    sample_root = sample_data_dir(output_dir_of(run), data)
    if data.sample is not None and not (run.config.is_file() or sample_root.is_dir()):
        # Outside its run folder, a checkpoint does not tell where sample data may be drawn again.
        raise DataError(f"the sample data it was trained on are not at {sample_root}")
    train, val = split_paths(data, sample_root)
    return train if split == "train" else val
