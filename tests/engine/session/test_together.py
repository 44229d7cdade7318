"""One run in two processes: as one that accumulates, whatever it is taught by, and whoever of the two is killed."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from made_batches import synthetic_batch
from several_ranks import ended, gradients, in_ranks, start_ranks, step, train
from soft_label_runs import write
from torch import Tensor
from trainers import float64_arithmetic, trainer_of
from unlabelled_folders import write_images

import human_edge_detection as hed
from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult
from human_edge_detection.signals import REQUEUE
from human_edge_detection.structures import Batch

pytestmark = pytest.mark.slow
LINEAR = {"dice_weight": 0.0, "target_nontarget": 0.0}
"""Only means over images or rois: Dice is a fraction over a batch, target or not a mean over pixels of persons."""


def same(one: object, other: object) -> bool:
    """Whether two states are equal bit for bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def of(paths: RunPaths) -> dict[str, object]:
    """All that is in a run's last and best checkpoint, but for the time that it took."""
    found: dict[str, object] = {}
    for path in (paths.latest, paths.best):
        checkpoint, _ = read_checkpoint(path)
        training = dict(checkpoint.training or {})
        if training:
            training["progress"] = {**training["progress"], "seconds": 0.0}
        found[path.name] = {"model": dict(checkpoint.model), "training": training, "metrics": dict(checkpoint.metrics)}
    return found


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize(
    "counts",
    [((2, 1), (1, 2)), ((5, 1), (0, 1)), ((2, 1), (0, 0)), ((2, 1), None)],
    ids=["even", "uneven", "nobody on the images of one", "no image for one"],
)
def test_the_gradient_is_that_of_accumulation_over_the_same_batches(
    counts: tuple[tuple[int, int], tuple[int, int] | None],
    tiny_config: ExperimentConfig,
    tmp_path: Path,
) -> None:
    config = derive(tiny_config, name="together", training={"gradient_clip": None})
    batches = [[synthetic_batch(mine)] if mine is not None else [] for mine in counts]
    assert in_ranks(gradients, config.model_dump_json(), batches, tmp_path) == [0, 0]
    together, values = torch.load(tmp_path / "gradients.pt", weights_only=True)
    with float64_arithmetic():
        alone, expected = step(trainer_of(config, tmp_path), [batch for mine in batches for batch in mine])
    assert together.keys() == alone.keys()
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-12)
    assert values == pytest.approx(expected, rel=1e-9)


@pytest.mark.usefixtures("small_networks")
def test_with_means_alone_the_gradient_is_that_of_the_whole_batch(
    tiny_config: ExperimentConfig, tmp_path: Path
) -> None:
    config = derive(tiny_config, name="together", training={"gradient_clip": None}, loss=LINEAR)
    whole = synthetic_batch((3, 1, 0, 2))
    halves = [[whole_part(whole, number)] for number in range(2)]
    assert in_ranks(gradients, config.model_dump_json(), halves, tmp_path) == [0, 0]
    together, values = torch.load(tmp_path / "gradients.pt", weights_only=True)
    with float64_arithmetic():
        alone, expected = step(trainer_of(config, tmp_path), [whole])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-12)
    assert values == pytest.approx(expected, rel=1e-9)


def whole_part(batch: Batch, number: int) -> Batch:
    """Every second image of ``batch`` from ``number`` on, as a process gets them."""
    images = torch.arange(number, len(batch.images), 2)
    mine = (batch.rois[:, 0].long() % 2) == number
    rois = batch.rois[mine].clone()
    rois[:, 0] = rois[:, 0].div(2, rounding_mode="floor")
    ids = tuple(batch.image_ids[image] for image in images)
    return Batch(batch.images[images], rois, batch.roi_masks[mine], batch.person_masks[images], ids, ())


@pytest.fixture
def config(tiny_config: ExperimentConfig, trained_teacher: RunPaths) -> ExperimentConfig:
    """All at once: accumulation, a moving average, stages that thaw, a teacher, and alpha that follows the student."""
    return derive(
        tiny_config,
        name="together",
        model={"detector": {}},
        training={"accumulation_steps": 2, "ema": {"decay": 0.9}, "unfreezing": {"epochs_per_stage": 1}, "epochs": 3},
        distillation={"teacher_checkpoint": str(trained_teacher.best), "adaptive_alpha": {"tuning_share": 0.25}},
    )


def test_either_is_killed_anywhere_and_the_run_ends_in_the_same_bits(config: ExperimentConfig, tmp_path: Path) -> None:
    undisturbed = RunPaths(tmp_path / "undisturbed")
    assert in_ranks(train, config.model_dump_json(), undisturbed.root) == [0, 0]
    expected = of(undisturbed)
    for number in range(2):
        # Before the first step, in steps, in the validation of the first epoch, after it, and near the end.
        for turn in (1, 5, 9, 14, 24):
            paths = RunPaths(tmp_path / f"killed_{number}_{turn}")
            codes = in_ranks(train, config.model_dump_json(), paths.root, (number, turn))
            assert codes == ([-signal.SIGKILL, 1] if number == 0 else [1, -signal.SIGKILL])
            if number:
                error = paths.root.with_name(f"{paths.root.name}.error_0").read_text()
                assert "another process of this run was lost" in error
            assert in_ranks(train, config.model_dump_json(), paths.root) == [0, 0]
            assert same(of(paths), expected), (number, turn)


@pytest.mark.usefixtures("small_networks")
def test_metrics_are_those_of_one_process(config: ExperimentConfig, tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    assert in_ranks(train, config.model_dump_json(), paths.root) == [0, 0]
    result = RunResult.model_validate_json(paths.result.read_text())
    (alone,) = (one.metrics for one in hed.evaluate(paths.best, device="cpu", precision="fp32", num_workers=0))
    assert {name: result.metrics[name] for name in ("miou", "boundary_f1", "full_image_iou")} == {
        name: alone[name] for name in ("miou", "boundary_f1", "full_image_iou")
    }
    assert result.images == 3 * 6  # of 8, 2 are held out for alpha


def test_a_run_goes_on_in_one_process_with_the_same_data(config: ExperimentConfig, tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    in_ranks(train, config.model_dump_json(), paths.root, (1, 20))
    assert in_ranks(train, config.model_dump_json(), paths.root, count=1) == [0]
    result = RunResult.model_validate_json(paths.result.read_text())
    assert (result.epochs, result.images) == (3, 3 * 6)
    assert "processes 2 -> 1" in paths.training_log.read_text()


def test_a_signal_to_one_ends_both_and_the_state_is_saved(config: ExperimentConfig, tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    longer = derive(config, name="longer", training={"epochs": 200})
    processes = start_ranks(train, longer.model_dump_json(), paths.root)
    until = time.monotonic() + 60.0
    while not paths.latest.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert processes[1].pid is not None
    os.kill(processes[1].pid, signal.SIGTERM)
    assert ended(processes) == [REQUEUE, REQUEUE]
    assert '"interrupted"' in paths.status.read_text()


@pytest.mark.usefixtures("small_networks")
def test_stored_soft_labels_and_images_without_labels_are_divided_too(
    tiny_config: ExperimentConfig, trained_teacher: RunPaths, tmp_path: Path
) -> None:
    write_images(tmp_path / "more")
    stored = derive(
        tiny_config,
        name="stored",
        data={"cache_views": 1, "unlabelled": {"images": str(tmp_path / "more"), "boxes": None}},
        distillation={"teacher_checkpoint": str(trained_teacher.best), "soft_labels": str(tmp_path / "labels")},
    )
    write(stored, tmp_path)
    whole, stopped = RunPaths(tmp_path / "whole"), RunPaths(tmp_path / "stopped")
    assert in_ranks(train, stored.model_dump_json(), whole.root) == [0, 0]
    assert in_ranks(train, stored.model_dump_json(), stopped.root, (1, 12)) == [1, -signal.SIGKILL]
    assert in_ranks(train, stored.model_dump_json(), stopped.root) == [0, 0]
    assert same(of(stopped), of(whole))
    alone = RunPaths(tmp_path / "alone")
    assert in_ranks(train, stored.model_dump_json(), alone.root, count=1) == [0]
    together, one = (RunResult.model_validate_json(paths.result.read_text()) for paths in (whole, alone))
    assert (together.images, together.unlabelled) == (one.images, one.unlabelled)


def test_one_that_is_alive_and_says_nothing_is_lost_too(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    first, silent = start_ranks(train, tiny_config.model_dump_json(), paths.root, (1, 5), signal.SIGSTOP, 5.0)
    first.join(60.0)
    silent.kill()
    assert first.exitcode == 1
    assert "another process of this run was lost" in paths.root.with_name("run.error_0").read_text()
