"""Temperature and alpha change as the config says, and a resumed run has the same."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.engine.teaching.distillation_schedule import Curve, adaptive_alpha, scheduled, strength_in
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult
from human_edge_detection.selfcheck.bitwise import first_difference

Train = Callable[..., RunResult]


class Killed(BaseException):
    """In place of kill -9."""


def values(paths: RunPaths, name: str) -> list[float]:
    return [json.loads(line)[name] for line in paths.metrics.read_text().splitlines()]


def run_of(config: ExperimentConfig, train: Train, root: Path, **distillation: Any) -> RunPaths:
    paths = RunPaths(root / "run")
    train(derive(config, name="scheduled", distillation=distillation, training={"epochs": 3}), paths)
    return paths


def test_schedules_are_followed_and_logged(distilled_config: ExperimentConfig, train: Train, tmp_path: Path) -> None:
    schedules = {
        "temperature_schedule": {"curve": "exponential", "end": 1.0},
        "alpha_schedule": {"curve": "linear", "end": 0.1},
    }
    paths = run_of(distilled_config, train, tmp_path, **schedules)
    assert values(paths, "temperature") == pytest.approx([4.0, 2.0, 1.0])
    assert values(paths, "alpha") == pytest.approx([0.7, 0.4, 0.1])


def test_alpha_changes_what_is_learnt(distilled_config: ExperimentConfig, train: Train, tmp_path: Path) -> None:
    """With alpha at 0 the terms of the truth have the whole gradient."""
    paths = run_of(distilled_config, train, tmp_path, alpha_schedule={"end": 0.0})
    shares = values(paths, "train/gradient_share/distill/main")
    assert shares[0] > shares[1] > shares[2] == 0.0


def test_adaptive_alpha_follows_scores_on_held_out_images(
    distilled_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    rule = {"low": 0.2, "high": 0.8, "from_share": 0.0, "tuning_share": 0.3}
    paths = run_of(distilled_config, train, tmp_path, adaptive_alpha=rule)
    alphas, own, teacher = (values(paths, name) for name in ("alpha", "tuning/miou", "tuning/teacher_miou"))
    assert alphas[0] == 0.8
    for alpha, score, taught in zip(alphas[1:], own, teacher, strict=False):
        assert alpha == pytest.approx(0.8 - 0.6 * min(score / taught, 1.0))
    assert own != values(paths, "val/miou")
    assert read_checkpoint(paths.latest)[0].training["progress"]["images"] == 3 * 6  # type: ignore[index]


def test_a_resumed_run_has_the_same_alpha(distilled_config: ExperimentConfig, train: Train, tmp_path: Path) -> None:
    config = derive(
        distilled_config, name="resumed", distillation={"adaptive_alpha": {"from_share": 0.0}}, training={"epochs": 3}
    )
    straight, paths = RunPaths(tmp_path / "straight"), RunPaths(tmp_path / "run")
    train(config, straight)
    step = Trainer.train_step

    def killing(self: Trainer, group: Any) -> dict[str, float]:
        if self.progress.epoch == 2:
            raise Killed
        return step(self, group)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Trainer, "train_step", killing)
        train(config, paths)
    train(config, paths)
    assert first_difference(straight, paths) is None


def test_without_schedules_nothing_changes() -> None:
    config = DistillationConfig(teacher_config="t")
    assert {strength_in(config, [{}] * epoch, epochs=5) for epoch in range(5)} == {(4.0, 0.7)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha_schedule": {}, "adaptive_alpha": {}}, "distillation.adaptive_alpha: alpha_schedule sets alpha too"),
        ({"alpha_schedule": {"curve": "exponential", "end": 0.0}}, "an exponential cannot begin or end at 0"),
        ({"adaptive_alpha": {"low": 0.9, "high": 0.1}}, "distillation.adaptive_alpha.low: above high"),
        ({"temperature_schedule": {"curve": "step"}}, "distillation.temperature_schedule.curve"),
    ],
)
def test_what_does_not_go_together_is_refused(
    changes: dict[str, Any], words: str, distilled_config: ExperimentConfig
) -> None:
    with pytest.raises(ConfigError, match=words):
        derive(distilled_config, name="refused", distillation=changes)


@pytest.mark.parametrize(
    ("curve", "values"),
    [
        ("constant", [8.0, 8.0, 8.0]),
        ("linear", [8.0, 5.0, 2.0]),
        ("cosine", [8.0, 5.0, 2.0]),
        ("exponential", [8.0, 4.0, 2.0]),
    ],
)
def test_a_value_goes_from_start_to_end(curve: Curve, values: list[float]) -> None:
    assert [scheduled(curve, 8.0, 2.0, epoch=epoch, epochs=3) for epoch in range(3)] == pytest.approx(values)
    assert scheduled(curve, 8.0, 2.0, epoch=9, epochs=3) == pytest.approx(values[-1]), "a run that was made longer"
    assert scheduled(curve, 8.0, 2.0, epoch=0, epochs=1) == 8.0


def test_a_cosine_is_slow_at_both_ends() -> None:
    values = [scheduled("cosine", 0.0, 1.0, epoch=epoch, epochs=11) for epoch in range(11)]
    steps = [after - before for before, after in pairwise(values)]
    assert steps[0] == pytest.approx(steps[-1])
    assert steps[0] < 0.3 * max(steps)


@pytest.mark.parametrize(
    ("student", "alpha"), [(0.0, 0.9), (0.39, 0.9), (0.4, 0.9), (0.45, 0.5), (0.5, 0.1), (0.7, 0.1)]
)
def test_alpha_falls_as_the_student_nears_its_teacher(student: float, alpha: float) -> None:
    assert adaptive_alpha(student, 0.5, low=0.1, high=0.9, from_share=0.8) == pytest.approx(alpha)


def test_a_teacher_that_scores_nothing_is_not_followed() -> None:
    assert adaptive_alpha(0.0, 0.0, low=0.1, high=0.9, from_share=0.8) == 0.1
