"""Order, names and scope of a batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.cli.arguments.experiment import Parser, run_request
from human_edge_detection.cli.train import add_arguments
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments import registry
from human_edge_detection.experiments.overrides import collect
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.experiments.schema.experiment import derive
from human_edge_detection.runner.execution.plan import BatchRequest, PlannedRun, check_plan, plan, train_command
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.request import resolve_run

WriteRun = Callable[..., RunPaths]
TEACHER, STUDENT, DISTILLED = expand(["quickstart"])
REAL = "rgb_hierarchical_unet_v2_distillation_b0_from_b3"
BIG = "rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r80x60m160x120_disttrans_contdet_baware"


def planned(
    tmp_path: Path, *names: str, sets: tuple[str, ...] = (), flags: dict[str, Any] | None = None, **request: Any
) -> dict[str, PlannedRun]:
    overrides = collect(sets=sets, flags=flags or {})
    runs = plan(BatchRequest(names=names, output_dir=tmp_path, overrides=overrides, **request))
    return {run.name: run for run in runs}


def test_a_teacher_is_added_before_its_student(tmp_path: Path) -> None:
    runs = planned(tmp_path, DISTILLED)
    assert list(runs) == [TEACHER, DISTILLED]
    assert not runs[TEACHER].named
    assert runs[TEACHER].reason == f"the teacher of {DISTILLED}"
    assert runs[DISTILLED].requires == (TEACHER,)


def test_order_comes_from_dependencies_not_from_the_command_line(tmp_path: Path) -> None:
    runs = planned(tmp_path, DISTILLED, STUDENT, TEACHER)
    assert list(runs) == [TEACHER, DISTILLED, STUDENT]
    assert all(run.named for run in runs.values())


def test_dependencies_of_dependencies_come_first(tmp_path: Path) -> None:
    names = list(planned(tmp_path, REAL))
    assert names == ["peopleseg_unet_b3", BIG, REAL]
    without = planned(tmp_path, REAL, sets=("model.pretrained_unet_config=null",))
    assert [run.preset.name for run in without.values()] == [BIG, REAL]


def test_a_finished_teacher_is_used_and_not_planned(tmp_path: Path, write_run: WriteRun) -> None:
    teacher = write_run(tmp_path / TEACHER, get_config(TEACHER))
    runs = planned(tmp_path, DISTILLED)
    assert list(runs) == [DISTILLED]
    assert runs[DISTILLED].checkpoints == {"distillation.teacher_checkpoint": teacher.best}


def test_dependencies_inherit_what_applies_to_them(tmp_path: Path) -> None:
    runs = list(planned(tmp_path, DISTILLED, flags={"--epochs": 2, "--distillation_alpha": 0.3}).values())
    assert [run.config.training.epochs for run in runs] == [2, 2]
    assert runs[0].config.distillation is None


def test_distillation_flags_go_to_the_runs_that_distil(tmp_path: Path) -> None:
    runs = planned(tmp_path, STUDENT, DISTILLED, flags={"--distillation_temperature": 6.0})
    assert STUDENT in runs
    [distilled] = [run for run in runs.values() if run.config.distillation]
    assert distilled.config.distillation is not None
    assert distilled.config.distillation.temperature == 6.0
    with pytest.raises(ConfigError, match="--distillation_temperature"):
        planned(tmp_path, STUDENT, TEACHER, flags={"--distillation_temperature": 6.0})


def test_a_teacher_checkpoint_goes_to_the_distilled_runs_or_else_to_all_named(tmp_path: Path) -> None:
    flags = {"--teacher_checkpoint": "t.pth"}
    mixed = planned(tmp_path, STUDENT, DISTILLED, flags=flags)
    assert [run.config.distillation is not None for run in mixed.values()] == [False, True]
    plain = planned(tmp_path, STUDENT, TEACHER, flags=flags)
    assert all(run.config.distillation is not None for run in plain.values())


def test_a_pretrained_unet_goes_to_the_teacher_that_wants_one(tmp_path: Path) -> None:
    runs = {run.preset.name: run for run in planned(tmp_path, REAL, flags={"--pretrained_unet": "u.pth"}).values()}
    assert list(runs) == [BIG, REAL]
    assert runs[BIG].config.model.pretrained_unet == "u.pth"
    assert runs[REAL].config.model.pretrained_unet is None


def test_each_seed_has_its_folder_and_uses_the_named_teacher_of_its_seed(tmp_path: Path) -> None:
    runs = planned(tmp_path, TEACHER, DISTILLED, seeds=(3, 5))
    assert list(runs) == [f"{name}/seed_{seed}" for name in (TEACHER, DISTILLED) for seed in (3, 5)]
    assert runs[f"{DISTILLED}/seed_5"].requires == (f"{TEACHER}/seed_5",)
    assert runs[f"{DISTILLED}/seed_5"].config.training.seed == 5


def test_an_added_teacher_is_trained_once_with_the_first_seed(tmp_path: Path) -> None:
    runs = planned(tmp_path, DISTILLED, seeds=(3, 5))
    assert list(runs) == [f"{TEACHER}/seed_3", f"{DISTILLED}/seed_3", f"{DISTILLED}/seed_5"]
    assert {run.requires for run in runs.values()} == {(), (f"{TEACHER}/seed_3",)}


def test_finished_runs_are_marked_and_restart_concerns_named_ones_alone(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / TEACHER, get_config(TEACHER))
    write_run(tmp_path / STUDENT, get_config(STUDENT))
    assert [run.finished for run in planned(tmp_path, TEACHER, STUDENT).values()] == [True, True]
    runs = planned(tmp_path, STUDENT, DISTILLED, restart=True)
    assert list(runs) == [STUDENT, DISTILLED]
    assert [(run.finished, run.restart) for run in runs.values()] == [(False, True)] * 2


def test_a_circle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = get_config(STUDENT)
    one = derive(base, name="one", distillation={"teacher_config": "two"})
    two = derive(base, name="two", distillation={"teacher_config": "one"})
    monkeypatch.setitem(registry._registered(), "one", one)
    monkeypatch.setitem(registry._registered(), "two", two)
    with pytest.raises(ConfigError, match="one -> two -> one"):
        planned(tmp_path, "one")


def test_a_folder_of_another_config_is_refused_before_anything_runs(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "mine", get_config(STUDENT), state="interrupted")
    runs = planned(tmp_path, STUDENT, flags={"--epochs": 1}, run_name="mine")
    with pytest.raises(ConfigError, match=r"mine holds a run with another config: training\.epochs"):
        check_plan(tuple(runs.values()))


def test_the_command_of_a_run_resolves_to_its_config(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / TEACHER, get_config(TEACHER))
    sets = ("training.learning_rate=1e-05", "training.ema={decay: 0.5}", "data.augmentation=null", "model.contour={}")
    [run] = planned(
        tmp_path,
        DISTILLED,
        sets=sets,
        seeds=(4,),
        flags={
            "--data_root": str(tmp_path),
            "--teacher_checkpoint": str(tmp_path / TEACHER / "checkpoints" / "best_model.pth"),
        },
    ).values()
    parser = Parser("train", "")
    add_arguments(parser)
    args = parser.parse(train_command(run)[4:])
    request = resolve_run(run_request(args))
    assert request.config == run.full_config
    assert request.paths == run.paths
