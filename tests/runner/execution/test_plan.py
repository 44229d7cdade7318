"""Order, names and scope of a batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments import registry
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.experiments.schema.experiment import derive
from human_edge_detection.files.write import write_json
from human_edge_detection.runner.execution.dry_run import describe_plan, shown_command
from human_edge_detection.runner.execution.plan import PlannedRun, check_plan, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.retry import train_command
from human_edge_detection.runs.lookup.reservation import reserve
from human_edge_detection.runs.paths import RunPaths, summary_path

WriteRun = Callable[..., RunPaths]
TEACHER, STUDENT, DISTILLED = expand(["quickstart"])[:3]
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


def test_dependencies_of_dependencies_come_first(tmp_path: Path, tiny_coco: Path) -> None:
    data = {"--data_root": str(tiny_coco)}
    names = list(planned(tmp_path, REAL, flags=data))
    assert names == ["peopleseg_unet_b3", BIG, REAL]
    without = planned(tmp_path, REAL, sets=("model.pretrained_unet_config=null",), flags=data)
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


def test_a_pretrained_unet_goes_to_the_teacher_that_wants_one(tmp_path: Path, tiny_coco: Path) -> None:
    flags = {"--pretrained_unet": "u.pth", "--data_root": str(tiny_coco)}
    runs = {run.preset.name: run for run in planned(tmp_path, REAL, flags=flags).values()}
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
    assert [(run.finished, run.restart) for run in runs.values()] == [(False, True), (False, False)]


def test_a_test_split_makes_no_other_run_and_must_be_there_for_a_new_one(tmp_path: Path, write_run: WriteRun) -> None:
    gone = {"--test_ann": "gone.json", "--test_images": "gone"}
    new = planned(tmp_path, STUDENT, flags=gone)
    with pytest.raises(ConfigError, match=r"--test_images \(data.test_images\): no such folder: gone"):
        check_plan([*new.values()])
    finished = write_run(tmp_path / STUDENT, get_config(STUDENT))
    again = planned(tmp_path, STUDENT, flags=gone)
    assert again[STUDENT].finished
    check_plan([*again.values()])
    (note,) = (note for note in again[STUDENT].notes if "--split test" in note)
    assert note.endswith(f"hed evaluate {finished.root} --split test --test_ann gone.json --test_images gone")


def test_a_circle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = get_config(STUDENT)
    one = derive(base, name="one", distillation={"teacher_config": "two"})
    two = derive(base, name="two", distillation={"teacher_config": "one"})
    monkeypatch.setitem(registry._registered(), "one", one)
    monkeypatch.setitem(registry._registered(), "two", two)
    with pytest.raises(ConfigError, match="one -> two -> one"):
        planned(tmp_path, "one")


def test_a_finished_plain_teacher_on_the_same_data_is_used_and_its_differences_are_named(
    tmp_path: Path, write_run: WriteRun
) -> None:
    """A student's --epochs does not retrain its teacher."""
    teacher = write_run(tmp_path / TEACHER, get_config(TEACHER))
    (run,) = planned(tmp_path, DISTILLED, flags={"--epochs": 9}).values()
    assert run.checkpoints == {"distillation.teacher_checkpoint": teacher.best}
    assert f"{teacher.root} as it is (training.epochs is 8 there, 9 here)" in run.notes[-1]
    other_data = planned(tmp_path, DISTILLED, sets=("data.sample.seed=1",))
    assert [other.named for other in other_data.values()] == [False, True]


def test_a_teacher_that_grows_makes_its_student_another_run(tmp_path: Path, write_run: WriteRun) -> None:
    for run in planned(tmp_path, TEACHER, DISTILLED).values():
        reserve(run.paths, run.full_config, run.contents)
        write_run(run.paths.root, run.full_config)
        done(run.paths, 6)
    again = planned(tmp_path, TEACHER, DISTILLED)
    assert [run.finished for run in again.values()] == [True, True]
    teacher, student = planned(tmp_path, TEACHER, DISTILLED, flags={"--epochs": 9}).values()
    assert (teacher.name, teacher.kind, teacher.config.training.segments) == (TEACHER, "grows", (6, 9))
    assert student.name.startswith(f"{DISTILLED}+")
    assert student.requires == (TEACHER,)
    assert "best_model of a run of 8 epochs" in student.notes[-1]
    assert "of 9 epochs" in student.notes[-1]


def test_a_student_alone_grows_with_its_teacher_as_it_is(tmp_path: Path, write_run: WriteRun) -> None:
    for run in planned(tmp_path, DISTILLED).values():
        reserve(run.paths, run.full_config, run.contents)
        write_run(run.paths.root, run.full_config)
        done(run.paths, 6)
    (student,) = planned(tmp_path, DISTILLED, flags={"--epochs": 9}).values()
    assert (student.name, student.kind, student.requires) == (DISTILLED, "grows", ())


def test_a_run_that_stopped_early_does_not_grow_and_says_why(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / STUDENT, get_config(STUDENT), early_stopped=True, epochs=4)
    (run,) = planned(tmp_path, STUDENT, flags={"--epochs": 9}).values()
    assert (run.name, run.finished, run.config.training.epochs) == (STUDENT, True, 6)
    assert "stopped early after epoch 4, so it does not grow to 9 epochs" in run.notes[-1]
    (anew,) = planned(tmp_path, STUDENT, flags={"--epochs": 9}, restart=True).values()
    assert (anew.name, anew.restart, anew.config.training.epochs) == (STUDENT, True, 9)


def test_restart_acts_on_the_very_run_and_on_no_other(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / STUDENT, get_config(STUDENT))
    (run,) = planned(tmp_path, STUDENT, flags={"--batch_size": 2}, restart=True).values()
    assert not run.restart
    assert run.name.startswith(f"{STUDENT}+")


def test_restart_is_refused_for_the_folder_of_its_own_teacher_and_through_a_link(
    tmp_path: Path, write_run: WriteRun
) -> None:
    own = write_run(tmp_path / "runs" / STUDENT, get_config(STUDENT))
    runs = planned(
        tmp_path / "runs", STUDENT, flags={"--teacher_checkpoint": str(own.best)}, restart=True, run_name="mine"
    )
    check_plan(tuple(runs.values()))
    taught = apply(get_config(STUDENT), collect(flags={"--teacher_checkpoint": str(own.best)}))
    write_run(own.root, taught)
    runs = planned(tmp_path / "runs", STUDENT, flags={"--teacher_checkpoint": str(own.best)}, restart=True)
    with pytest.raises(ConfigError, match=r"--restart would delete .* this very run needs"):
        check_plan(tuple(runs.values()))
    elsewhere = write_run(tmp_path / "elsewhere", get_config(TEACHER))
    (tmp_path / "runs" / TEACHER).symlink_to(elsewhere.root)
    with pytest.raises(ConfigError, match="is a link to"):
        check_plan(tuple(planned(tmp_path / "runs", TEACHER, restart=True).values()))


def test_a_checkpoint_that_a_run_of_this_plan_will_write_makes_it_a_dependency(tmp_path: Path) -> None:
    coming = RunPaths(tmp_path / TEACHER).epoch_checkpoint(2)
    flags = {"--teacher_checkpoint": str(coming), "--epochs": 4}
    teacher, student = planned(tmp_path, TEACHER, DISTILLED, flags=flags).values()
    assert student.requires == (teacher.name,)
    check_plan((teacher, student))
    with pytest.raises(ConfigError, match="never writes that checkpoint"):
        planned(tmp_path, TEACHER, DISTILLED, flags=flags | {"--epochs": 1})
    with pytest.raises(ConfigError, match=r"--teacher_checkpoint .*no such file"):
        check_plan(tuple(planned(tmp_path, DISTILLED, flags=flags).values()))


def test_as_it_is_means_the_plain_folders_with_all_their_seeds_and_settings(
    tmp_path: Path, write_run: WriteRun
) -> None:
    changed = apply(get_config(STUDENT), collect(sets=["training.batch_size=3"]))
    for seed in (0, 1):
        write_run(tmp_path / STUDENT / f"seed_{seed}", apply(changed, collect(sets=[f"training.seed={seed}"])))
    runs = planned(tmp_path, STUDENT, as_it_is=True)
    assert list(runs) == [f"{STUDENT}/seed_0", f"{STUDENT}/seed_1"]
    assert {run.config.training.batch_size for run in runs.values()} == {3}
    assert all(run.finished for run in runs.values())


def test_the_command_of_a_run_leaves_everything_to_its_folder(tmp_path: Path) -> None:
    (run,) = planned(tmp_path, STUDENT, sets=("training.learning_rate=1e-05",)).values()
    assert train_command(run)[4:] == ["--output_dir", str(tmp_path), "--resume", str(run.paths.root)]
    assert train_command(run, export_onnx=True) == [*train_command(run), "--export_onnx"]
    assert "--set training.learning_rate=1e-05" in " ".join(shown_command(run))
    assert describe_plan([run])[-1].startswith("   hed train ")
    assert describe_plan([run], processes=2)[-1].startswith("   torchrun --nproc_per_node=2 --no-python hed train ")


def test_a_config_file_is_an_experiment_of_its_own_changes(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"base: {STUDENT}\nname: mine\ntraining: {{batch_size: 3}}\n")
    runs = planned(tmp_path, "mine", STUDENT, flags={"--epochs": 2}, files={"mine": collect(config_file=file)})
    assert list(runs) == ["mine", STUDENT]
    assert [run.config.training.batch_size for run in runs.values()] == [3, 8]
    assert {run.config.training.epochs for run in runs.values()} == {2}


def done(paths: RunPaths, epochs: int) -> None:
    """Says that a run has completed so many epochs."""
    paths.latest.touch()
    fields = {"experiment": STUDENT, "sha256": "", "epoch": epochs, "metrics": {}, "data_fingerprint": "", "step": 9}
    write_json(summary_path(paths.latest), fields)
