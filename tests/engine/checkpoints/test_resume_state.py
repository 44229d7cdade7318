from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from human_edge_detection.engine.checkpoints.resume_state import check_training_state
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive

MakeTrainer = Callable[[ExperimentConfig], Trainer]


@pytest.mark.parametrize("changes", [{}, {"ema": {"decay": 0.9}}, {"epochs": 1}], ids=["plain", "ema", "one epoch"])
@pytest.mark.parametrize("trained", [True, False])
def test_the_state_of_a_run_is_accepted(
    changes: dict[str, object], trained: bool, tiny_config: ExperimentConfig, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    config = derive(tiny_config, name="tiny", training=changes)
    trainer = make_trainer(config)
    if trained:
        trainer.fit()
    save_checkpoint(tmp_path / "a.pth", trainer.checkpoint({}))
    state = read_checkpoint(tmp_path / "a.pth")[0].training
    assert state is not None
    fresh = make_trainer(config)
    check_training_state(state, fresh.state.optimizer, fresh.state.scaler, source="here")


def test_fp16_goes_on_with_a_loss_scale_only(tiny_config: ExperimentConfig, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(tiny_config)
    state = trainer.checkpoint({}).training
    assert state is not None
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    with pytest.raises(CheckpointError, match=r"^here: no loss scale of fp16 in it"):
        check_training_state(state, trainer.state.optimizer, scaler, source="here")
    check_training_state({**state, "scaler": scaler.state_dict()}, trainer.state.optimizer, scaler, source="here")


@pytest.mark.parametrize("precision", ["fp64", None, 16])
def test_a_precision_that_there_is_not_is_refused(
    precision: object, tiny_config: ExperimentConfig, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(tiny_config)
    state = trainer.checkpoint({}).training
    assert state is not None
    with pytest.raises(CheckpointError, match=r"^here: .*\(precision: Input should be 'fp32', 'bf16' or 'fp16'\);"):
        check_training_state(
            {**state, "precision": precision}, trainer.state.optimizer, trainer.state.scaler, source="here"
        )
