"""Soft labels beside images and truth: what a training of one's own is given."""

from pathlib import Path

import numpy as np
import pytest
from soft_label_runs import IMAGES, VIEWS, trainer_of, write

from human_edge_detection.data.dataset import collate
from human_edge_detection.engine.teaching.soft_label_dataset import load_dataset
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive

pytestmark = pytest.mark.usefixtures("small_parts")


def test_every_view_of_every_image_comes_with_truth_and_soft_labels(cached: ExperimentConfig, tmp_path: Path) -> None:
    stored = write(cached, tmp_path)
    dataset = load_dataset(cached, sample_root=tmp_path)
    assert len(dataset) == VIEWS * IMAGES
    trained_on = trainer_of(cached, tmp_path).parts.training_set
    for number in range(len(dataset)):
        sample, (view, index) = dataset[number], divmod(number, IMAGES)
        persons, soft_labels = stored.read(view, index)
        assert sample.soft_labels is not None
        assert len(sample.boxes) == len(sample.roi_masks) == persons
        assert soft_labels.keys() == sample.soft_labels.keys() == dataset.metadata.heads.keys()
        for head, values in soft_labels.items():
            assert np.array_equal(sample.soft_labels[head], values), head
            assert len(dataset.metadata.classes[head]) == values.shape[1]
        assert np.array_equal(sample.image, trained_on[(view, index)].image)
    batch = collate([dataset[0], dataset[1]])
    assert batch.soft_labels is not None
    assert len(batch.soft_labels.logits) == len(batch.rois)
    with pytest.raises(IndexError, match="item 16 of 16"):
        dataset[len(dataset)]


def test_it_is_refused_without_a_folder_and_for_other_views(
    cached: ExperimentConfig, online: ExperimentConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"distillation\.soft_labels is not set; give the folder"):
        load_dataset(online, sample_root=tmp_path)
    write(cached, tmp_path)
    with pytest.raises(ConfigError, match="are of another training: seed is 0 there, 5 here"):
        load_dataset(derive(cached, name="other", training={"seed": 5}), sample_root=tmp_path)
