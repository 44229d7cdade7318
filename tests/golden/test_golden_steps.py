"""Twenty seeded steps of a distilled run, against recorded losses: what changed the arithmetic without meaning to?

A change that means to (another loss, another augmentation, another order of the data) records them anew:

    HED_RECORD_GOLDEN=1 uv run pytest tests/golden/test_golden_steps.py

and the difference of ``tests/golden/distilled_steps.json`` goes into the same commit, with the reason.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.data.loader import training_batches
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.engine.device import seed_everything
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive

pytestmark = pytest.mark.usefixtures("small_networks")

FILE = Path(__file__).parents[1] / "golden" / "distilled_steps.json"
STEPS = 20
TOLERANCE = 1e-3
"""Relative, for each loss of each step; other convolution kernels move them by 2e-5."""


@pytest.fixture
def golden_config(tiny_config: ExperimentConfig, tmp_path: Path) -> ExperimentConfig:
    """Every part of the loss is on. The teacher is a random network; it only has to be the same one each time."""
    parts = derive(
        tiny_config,
        name="golden",
        model={"contour": {"loss_weight": 0.5}, "distance": {"loss_weight": 0.5}},
        loss={"boundary": {"weight": 2.0}, "class_weights": [1.0, 1.5, 2.0]},
        training={"epochs": 5, "learning_rate": 1e-4},
    )
    seed_everything(1)
    teacher = derive(parts, name="golden_teacher", model={"encoder": "resnet18", "mask_size": [48, 32]})
    path = tmp_path / "teacher.pth"
    save_checkpoint(path, Checkpoint(teacher, build_model(teacher.model).state_dict(), 0, {}, ""))
    return derive(parts, name="golden", distillation={"teacher_checkpoint": str(path)})


def twenty_steps(trainer: Trainer) -> list[dict[str, float]]:
    # Adam divides by the size of the gradient: where that is next to nothing, rounding alone would decide the step, and
    # after a few steps no two processors would agree. A larger epsilon keeps such weights where they are.
    for group in trainer.state.optimizer.param_groups:
        group["eps"] = 1e-3
    stream = training_batches(
        trainer.parts.training_set, batch_size=2, seed=0, start_epoch=0, start_batch=0, epochs=5, num_workers=0
    )
    steps = [trainer.train_step([batch]) for _, batch in zip(range(STEPS), stream, strict=True)]
    # The norm of the gradient jumps where a pixel crosses the kink of a ReLU; the losses do not.
    return [{name: value for name, value in step.items() if name != "gradient_norm"} for step in steps]


def test_twenty_steps_are_as_recorded(
    golden_config: ExperimentConfig, make_trainer: Callable[[ExperimentConfig], Trainer]
) -> None:
    steps = twenty_steps(make_trainer(golden_config))
    if os.environ.get("HED_RECORD_GOLDEN"):
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(steps, indent=1) + "\n", encoding="utf-8")
        pytest.skip(f"recorded {FILE.name}")
    recorded = json.loads(FILE.read_text(encoding="utf-8"))
    assert len(recorded) == STEPS
    for number, (step, expected) in enumerate(zip(steps, recorded, strict=True), start=1):
        assert step == pytest.approx(expected, rel=TOLERANCE), f"step {number}"
