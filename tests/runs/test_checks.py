"""What is refused before a run starts."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import write_weights

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.overrides import apply, collect, resolve
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.checks import (
    check_data_paths,
    check_shares,
    check_tracker,
    check_weight_paths,
    is_finished,
)
from human_edge_detection.runs.paths import RunPaths

WriteRun = Callable[..., RunPaths]
TEACHER = "quickstart_teacher_b3"
DISTILLED = "quickstart_distilled_b0_from_b3"


def changed(config: ExperimentConfig, *sets: str) -> ExperimentConfig:
    return apply(config, collect(sets=sets))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
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
        check_data_paths(config)
        check_weight_paths(config, tmp_path)


def test_a_missing_teacher_lists_the_checkpoints_that_exist(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "other", get_config(TEACHER))
    config, _ = resolve(DISTILLED, collect(flags={"--teacher_checkpoint": str(tmp_path / "no.pth")}))
    with pytest.raises(ConfigError, match=r"--teacher_checkpoint .*no such file.*other/checkpoints/best_model\.pth"):
        check_weight_paths(config, tmp_path)
    taught, _ = resolve(DISTILLED, collect(flags={"--teacher_checkpoint": str(run.best)}))
    check_weight_paths(taught, tmp_path)


def test_answers_given_as_a_checkpoint_are_told_where_to_go(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text("[]")
    for flag, told in {"--teacher_checkpoint": True, "--init_from": False}.items():
        config, _ = resolve(DISTILLED, collect(flags={flag: str(results)}))
        with pytest.raises(ConfigError, match="a record and no weights") as raised:
            check_weight_paths(config, tmp_path)
        assert str(raised.value).endswith("; answers of another model teach by hed soft-labels --from") is told


def test_finished_needs_status_result_and_checkpoint(tmp_path: Path, write_run: WriteRun) -> None:
    config = get_config(TEACHER)
    run = write_run(tmp_path / "run", config)
    assert is_finished(run)
    run.best.unlink()
    assert not is_finished(run)
    assert not is_finished(write_run(tmp_path / "other", config, state="interrupted"))
    run.status.write_text("{")
    with pytest.raises(CheckpointError, match=r"status\.json: not what this tool writes there"):
        is_finished(run)


@pytest.mark.parametrize("content", [b"", b"garbage", b"weight\0"])
def test_a_run_with_a_damaged_best_checkpoint_is_not_finished(
    content: bytes, tmp_path: Path, write_run: WriteRun
) -> None:
    run = write_run(tmp_path / "run", get_config(TEACHER))
    write_weights(run.best, "weights")
    assert is_finished(run)
    run.best.write_bytes(content)
    assert not is_finished(run)


def test_a_run_whose_config_has_more_epochs_than_it_trained_is_not_finished(
    tmp_path: Path, write_run: WriteRun
) -> None:
    config = get_config(TEACHER)
    run = write_run(tmp_path / "run", config)
    write_json(run.config, changed(config, "training.epochs=50").model_dump(mode="json"))
    assert not is_finished(run)


def test_a_process_without_an_image_is_refused() -> None:
    config = changed(get_config(DISTILLED), "training.batch_size=2")
    check_shares(config, 2)
    with pytest.raises(ConfigError, match=r"--batch_size 2 is that of all 3 processes, .* give --batch_size 3 or more"):
        check_shares(config, 3)


def test_a_tracker_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = changed(get_config(TEACHER), "training.tracker=wandb")
    (tmp_path / "wandb").mkdir()  # where it writes, which is no package
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(ConfigError, match=r"--tracker wandb: wandb is not installed; .* leave --tracker out"):
        check_tracker(config)
    (tmp_path / "wandb" / "__init__.py").touch()
    importlib.invalidate_caches()
    check_tracker(config)
    check_tracker(get_config(TEACHER))
