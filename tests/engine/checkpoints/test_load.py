from pathlib import Path

import pytest

from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.engine.checkpoints.load import load_trained, read_annotations_for, read_held_out
from human_edge_detection.errors import CheckpointError, DataError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.data_folder import find_split
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.paths import RunPaths, sample_data_dir

SAMPLE = {"train_images": 4, "val_images": 2, "image_size": [64, 96]}


def save(path: Path, config: ExperimentConfig) -> Path:
    save_checkpoint(path, Checkpoint(config, build_model(config.model).state_dict(), 1, {}, "data"))
    return path


def test_weights_of_another_model_are_refused(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    other = derive(tiny_config, name="other", model={"head": "plain"})
    path = tmp_path / "mixed.pth"
    save_checkpoint(path, Checkpoint(tiny_config, build_model(other.model).state_dict(), 1, {}, "data"))
    with pytest.raises(CheckpointError, match="not a whole tiny"):
        load_trained(path)


def test_own_data_or_those_given(tiny_config: ExperimentConfig, tiny_coco: Path, tmp_path: Path) -> None:
    trained = load_trained(save(tmp_path / "a.pth", tiny_config))
    assert not trained.model.training
    assert len(read_annotations_for(trained, "val", None).images) == 4
    assert len(read_annotations_for(trained, "train", None).images) == 8
    assert len(read_annotations_for(trained, "val", find_split(tiny_coco, "train")).images) == 8
    part = load_trained(save(tmp_path / "b.pth", derive(tiny_config, name="part", data={"max_train_images": 3})))
    assert [len(read_annotations_for(part, split, None).images) for split in ("train", "val")] == [3, 4]


@pytest.mark.parametrize("name", ["sampled", "sampled/seed_1"])
def test_sample_data_lie_beside_the_output_folder(tiny_config: ExperimentConfig, tmp_path: Path, name: str) -> None:
    config = derive(tiny_config, name="sampled", data={"root": None, "sample": SAMPLE})
    run = RunPaths(tmp_path / "experiments" / name)
    trained = load_trained(save(run.best, config))
    with pytest.raises(DataError, match="give other data: --data_root"):
        read_annotations_for(trained, "val", None)
    assert not (tmp_path / "sample_data").exists(), "nothing is drawn for a checkpoint outside a run folder"
    write_json(run.config, {})
    people = read_annotations_for(trained, "val", None)
    assert len(people.images) == 2
    assert sample_data_dir(tmp_path / "experiments", trained.checkpoint.config.data) in people.file.parents


def test_the_test_split_is_that_of_the_run_as_it_is_now(
    tiny_config: ExperimentConfig, tested_coco: Path, tmp_path: Path
) -> None:
    """It may have come after the weights, whose own config does not name it."""
    run = RunPaths(tmp_path / "experiments" / "tiny")
    save(run.best, tiny_config)
    with pytest.raises(DataError, match=r"best_model.pth: no test split to score it on: .*no test annotations; tried"):
        read_held_out(tiny_config, run.best, None)
    four = {
        f"{split}_{kind}": str(path)
        for split in ("train", "val")
        for kind, path in zip(("ann", "images"), find_split(tested_coco, split), strict=True)
    }
    elsewhere = derive(tiny_config, name="tiny", data={"root": None, **four})
    with pytest.raises(DataError, match=r"its config names none \(data.test_ann and .*give one: --test_ann FILE"):
        read_held_out(elsewhere, run.best, None)
    given = read_held_out(elsewhere, run.best, find_split(tested_coco, "test"))
    annotations, images = map(str, find_split(tested_coco, "test"))
    now = derive(elsewhere, name="tiny", data={"test_ann": annotations, "test_images": images})
    write_json(run.config, now.model_dump(mode="json"))
    own = read_held_out(elsewhere, run.best, None)
    assert own.also_in == given.also_in == {"train": 0, "val": 0}
    assert own.people.file == Path(annotations)
    assert len(read_annotations_for(load_trained(run.best), "test", None).images) == 4
