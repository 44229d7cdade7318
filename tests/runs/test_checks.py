"""What is refused before a run starts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.overrides import NO_OVERRIDES, apply, collect, resolve
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.checks import check_paths, check_same_run, is_finished
from human_edge_detection.runs.dependencies import require_finished
from human_edge_detection.runs.paths import RunPaths

WriteRun = Callable[..., RunPaths]
TEACHER = "quickstart_teacher_b3"
DISTILLED = "quickstart_distilled_b0_from_b3"


def changed(config: ExperimentConfig, *sets: str) -> ExperimentConfig:
    return apply(config, collect(sets=sets))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, r"'baseline' has no data: give --data_root"),
        ({"--data_root": "nowhere"}, r"--data_root \(data\.root\): no such folder: nowhere"),
        (
            {"--data_root": ".", "--encoder_weights": "nowhere"},
            r"--encoder_weights \(model\.encoder_weights\): no such",
        ),
        (
            {"--data_root": ".", "--pretrained_unet": "nowhere"},
            r"--pretrained_unet \(model\.pretrained_unet\): no such",
        ),
        (
            {"--train_ann": "a", "--val_ann": "b", "--train_images": ".", "--val_images": "."},
            r"--train_ann \(data\.train_ann\): no such file: a",
        ),
    ],
)
def test_a_path_that_does_not_exist_is_refused(tmp_path: Path, flags: dict[str, Any], message: str) -> None:
    config, _ = resolve("baseline", collect(flags=flags))
    with pytest.raises(ConfigError, match=message):
        check_paths(config, tmp_path)


def test_a_missing_teacher_lists_the_checkpoints_that_exist(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "other", get_config(TEACHER))
    config, _ = resolve(DISTILLED, collect(flags={"--teacher_checkpoint": str(tmp_path / "no.pth")}))
    with pytest.raises(ConfigError, match=r"--teacher_checkpoint .*no such file.*other/checkpoints/best_model\.pth"):
        check_paths(config, tmp_path)
    taught, _ = resolve(DISTILLED, collect(flags={"--teacher_checkpoint": str(run.best)}))
    check_paths(taught, tmp_path)


def test_a_folder_of_another_config_is_refused_with_the_field(tmp_path: Path, write_run: WriteRun) -> None:
    config = get_config(TEACHER)
    run = write_run(tmp_path / "run", config)
    check_same_run(run, config)
    check_same_run(run, changed(config, "data.num_workers=2"))
    with pytest.raises(ConfigError, match=r"another config: training\.batch_size is 8 there, 4 here"):
        check_same_run(run, changed(config, "training.batch_size=4"))


def test_epochs_may_grow_but_not_shrink_when_resuming(tmp_path: Path, write_run: WriteRun) -> None:
    config = changed(get_config(TEACHER), "training.epochs=5")
    run = write_run(tmp_path / "run", config)
    longer, shorter = changed(config, "training.epochs=9"), changed(config, "training.epochs=4")
    check_same_run(run, longer, epochs_may_grow=True)
    for other, may_grow in ((longer, False), (shorter, True)):
        with pytest.raises(ConfigError, match=r"training\.epochs"):
            check_same_run(run, other, epochs_may_grow=may_grow)


def test_finished_needs_status_result_and_checkpoint(tmp_path: Path, write_run: WriteRun) -> None:
    config = get_config(TEACHER)
    run = write_run(tmp_path / "run", config)
    assert is_finished(run)
    run.best.unlink()
    assert not is_finished(run)
    assert not is_finished(write_run(tmp_path / "other", config, state="interrupted"))
    run.status.write_text("{")
    with pytest.raises(CheckpointError, match="not a valid RunStatus"):
        is_finished(run)


@pytest.mark.parametrize("folder", [TEACHER, f"{TEACHER}/seed_0"])
def test_a_finished_teacher_is_found(tmp_path: Path, write_run: WriteRun, folder: str) -> None:
    run = write_run(tmp_path / folder, get_config(TEACHER))
    config = require_finished(get_config(DISTILLED), NO_OVERRIDES, tmp_path)
    assert config.distillation is not None
    assert config.distillation.teacher_checkpoint == str(run.best)


def test_a_teacher_of_other_settings_is_not_taken(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / TEACHER, get_config(TEACHER))
    overrides = collect(sets=["model.image_size=[64, 64]"])
    config = apply(get_config(DISTILLED), overrides)
    with pytest.raises(ConfigError, match=rf"needs the teacher {TEACHER}.*run_experiments\.py --configs {DISTILLED}"):
        require_finished(config, overrides, tmp_path)
