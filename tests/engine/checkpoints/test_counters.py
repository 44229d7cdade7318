import io

import torch

from human_edge_detection.engine.checkpoints.counters import TrainingProgress


def test_a_mean_is_over_the_steps_that_had_the_value() -> None:
    progress = TrainingProgress()
    assert progress.means() == {}
    progress.add({"total": 1.0})
    progress.add({"total": 3.0, "sometimes": 1.0})
    assert progress.means() == {"total": 2.0, "sometimes": 1.0}


def test_closing_an_epoch_starts_the_next_one() -> None:
    progress = TrainingProgress(batch=4, step=4, gradient_shares={"gradient_share/main/ce": 1.0})
    progress.add({"total": 1.0})
    assert progress.finish_epoch({"epoch": 1}, 0.5)
    assert (progress.epoch, progress.batch, progress.step) == (1, 0, 4)
    assert (progress.means(), progress.gradient_shares, progress.history) == ({}, {}, [{"epoch": 1}])


def test_the_first_of_equal_scores_is_the_best() -> None:
    progress = TrainingProgress()
    assert [progress.finish_epoch({}, score) for score in (0.2, 0.5, 0.5, 0.4)] == [True, True, False, False]
    assert (progress.best_epoch, progress.best_score) == (2, 0.5)


def test_patience_counts_epochs_without_a_gain_above_the_least() -> None:
    progress = TrainingProgress(scores=[0.1, 0.5, 0.505, 0.509])
    assert progress.epochs_without_gain(0.0) == 0
    assert progress.epochs_without_gain(0.01) == 2
    # Small gains add up: they are measured from the last score that counted as a gain.
    progress.scores.append(0.52)
    assert progress.epochs_without_gain(0.01) == 0
    assert TrainingProgress().epochs_without_gain(0.0) == 0


def test_it_survives_a_checkpoint() -> None:
    progress = TrainingProgress(epoch=2, batch=3, step=11, seconds=1.5, images=40)
    progress.add({"total": 0.1})
    progress.finish_epoch({"epoch": 3, "val/miou": None, "train/total": 0.1}, 0.3)
    buffer = io.BytesIO()
    torch.save(progress.to_state(), buffer)
    buffer.seek(0)
    assert TrainingProgress.from_state(torch.load(buffer, weights_only=True)) == progress
