"""``data.on_bad_sample``: a bad image stops a run before its first step, or is left out and listed."""

import shutil
from pathlib import Path

import pytest

from human_edge_detection.engine.build import build_training_set, read_splits
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import DataConfig, SampleDataConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig


@pytest.fixture
def root(tiny_coco: Path, tmp_path: Path) -> Path:
    """The tiny data set with half a picture in either split."""
    root = tmp_path / "data"
    shutil.copytree(tiny_coco, root)
    for path in (root / "images" / "train" / "000004.png", root / "images" / "val" / "000002.png"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return root


def test_bad_images_stop_a_run_before_its_first_step(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_splits(DataConfig(root=str(root)), tmp_path, seed=0)
    assert "instances_train.json: 1 of 8 images cannot be used: '000004.png' (is cut off after" in str(error.value)
    assert str(error.value).endswith("train without them: --set data.on_bad_sample=skip")


def test_bad_images_are_left_out_and_listed(root: Path, tmp_path: Path, tiny_config: ExperimentConfig) -> None:
    config = DataConfig(root=str(root), on_bad_sample="skip")
    cache = tmp_path / "cache" / "scan.json"
    splits = read_splits(config, tmp_path, scan_cache=cache, seed=0)
    assert [sample.file_name for sample in splits.train.skipped] == ["000004.png"]
    assert [sample.file_name for sample in splits.val.skipped] == ["000002.png"]
    assert sorted(path.name for path in cache.parent.iterdir()) == ["scan_train.json", "scan_val.json"]
    samples = build_training_set(tiny_config, splits.train)
    assert len(samples) == 7
    for index in range(7):
        samples[0, index]
    assert read_splits(config, tmp_path, scan_cache=cache, seed=0) == splits


def test_scores_on_what_is_left_are_not_taken_for_scores_on_all(tiny_coco: Path, root: Path, tmp_path: Path) -> None:
    whole = read_splits(DataConfig(root=str(tiny_coco), on_bad_sample="skip"), tmp_path, seed=0)
    rest = read_splits(DataConfig(root=str(root), on_bad_sample="skip"), tmp_path, seed=0)
    assert whole == read_splits(DataConfig(root=str(tiny_coco)), tmp_path, seed=0)
    assert whole.val.fingerprint != rest.val.fingerprint


def test_sample_data_are_fingerprinted_as_others_are(tmp_path: Path) -> None:
    config = DataConfig(sample=SampleDataConfig(train_images=4, val_images=2, image_size=(64, 64)))
    before = read_splits(config, tmp_path / "sample", seed=0)
    shutil.copy(*sorted((tmp_path / "sample" / "images" / "train").iterdir())[:2])
    after = read_splits(config, tmp_path / "sample", seed=0)
    assert before.train.images_fingerprint != after.train.images_fingerprint
    assert before.val.images_fingerprint == after.val.images_fingerprint
    assert before.train.fingerprint == after.train.fingerprint
