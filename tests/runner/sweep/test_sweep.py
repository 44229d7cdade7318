"""Grids: which runs they are, what their dependencies are, and what is said about them."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.config_file import config_file_text, read_config_file
from human_edge_detection.experiments.overrides import collect, resolve
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runner.execution.plan import PlannedRun, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.sweep.search_space import parse_axes
from human_edge_detection.runner.sweep.sweep import Sweep, best, grid_entries, grid_rows, make_sweep, write_best
from human_edge_detection.runner.sweep.sweep_report import report_grid, show_sweep
from human_edge_detection.runs.lookup import placement
from human_edge_detection.runs.lookup.reservation import reserve
from human_edge_detection.runs.paths import RunPaths

TEACHER, STUDENT, DISTILLED = expand(["quickstart"])[:3]
TEMPERATURE, ALPHA = "distillation.temperature", "distillation.alpha"


def sweep_of(
    output_dir: Path,
    *sweeps: str,
    names: tuple[str, ...] = (DISTILLED,),
    sets: tuple[str, ...] = (),
    trials: int | None = None,
    tuning: bool = False,
    **request: Any,
) -> Sweep:
    overrides = collect(sets=sets)
    asked = BatchRequest(names=names, output_dir=output_dir, overrides=overrides, **request)
    return make_sweep(asked, parse_axes(sweeps, overrides, searched=trials is not None), trials=trials, tuning=tuning)


def named(runs: tuple[PlannedRun, ...], experiment: str = DISTILLED) -> list[PlannedRun]:
    return [run for run in runs if run.named and run.preset.name == experiment]


def test_every_combination_is_a_run_of_its_own_and_none_takes_the_plain_folder(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, f"{TEMPERATURE}=1,4", f"{ALPHA}=0.3,0.7")
    runs = plan(sweep.competing)
    assert [list(sweep.values(run.config).values()) for run in named(runs)] == [[1, 0.3], [1, 0.7], [4, 0.3], [4, 0.7]]
    by_set = plan(BatchRequest(names=(DISTILLED,), output_dir=tmp_path, overrides=collect(sets=[f"{TEMPERATURE}=1"])))
    assert by_set[-1].name == DISTILLED
    names = [run.name for run in named(runs)]
    assert len(set(names)) == 4
    assert all(name.startswith(f"{DISTILLED}+") for name in names)  # the plain folder is for what a user names


def test_seeds_multiply_and_equal_configs_are_one_run(tmp_path: Path) -> None:
    runs = plan(sweep_of(tmp_path, f"{TEMPERATURE}=1,2,2.0", seeds=(0, 1)).competing)
    assert [run.name.split("/")[1] for run in named(runs)] == ["seed_0", "seed_1"] * 2


def test_an_added_teacher_is_the_same_for_all_and_not_swept(tmp_path: Path) -> None:
    runs = plan(sweep_of(tmp_path, "training.learning_rate=1e-3,5e-4", sets=("training.epochs=3",)).competing)
    (teacher,) = [run for run in runs if not run.named]
    assert teacher.config.training.learning_rate == get_config(TEACHER).training.learning_rate
    assert teacher.config.training.epochs == 3
    assert [run.requires for run in named(runs)] == [(teacher.name,)] * 2


def test_a_named_teacher_is_swept_too_and_teaches_the_student_with_its_values(tmp_path: Path) -> None:
    runs = plan(sweep_of(tmp_path, "training.epochs=2,3", names=(TEACHER, DISTILLED)).competing)
    configs = {run.name: run.config for run in runs}
    students = named(runs)
    assert [run.config.training.epochs for run in students] == [2, 3]
    assert [configs[run.requires[0]].training.epochs for run in students] == [2, 3]


def test_a_swept_distillation_field_leaves_the_control_alone(tmp_path: Path) -> None:
    runs = plan(sweep_of(tmp_path, f"{TEMPERATURE}=1,2", names=(STUDENT, DISTILLED)).competing)
    assert [run.name for run in named(runs, STUDENT)] == [STUDENT]
    assert len(named(runs)) == 2


@pytest.mark.parametrize("sweep", [f"{TEMPERATURE}=2,-1", "training.precision=fp32,fp64", "training.epochs=1,two"])
def test_a_wrong_value_anywhere_is_refused(tmp_path: Path, sweep: str) -> None:
    for trials in (None, 2):
        with pytest.raises(ConfigError, match=sweep.partition("=")[0]):
            sweep_of(tmp_path, sweep, trials=trials)


def test_too_many_runs_are_refused(tmp_path: Path) -> None:
    many = ",".join(map(str, range(5001)))
    with pytest.raises(ConfigError, match="makes 10002 runs, expected at most 10000"):
        sweep_of(tmp_path, f"training.seed={many}", names=(STUDENT, DISTILLED))
    with pytest.raises(ConfigError, match="makes 12000 runs"):
        sweep_of(tmp_path, f"{ALPHA}=0.1..0.9", trials=4000, seeds=(0, 1, 2))


def scores(runs: list[PlannedRun], values: list[float | None]) -> list[dict[str, Any]]:
    return [
        {"run": run.name, "status": "failed" if value is None else "finished", "miou": value, "error": None}
        for run, value in zip(runs, values, strict=True)
    ]


def test_seeds_are_taken_together_and_a_combination_with_a_missing_seed_has_no_score(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, f"{TEMPERATURE}=1,2,4", seeds=(0, 1))
    runs = plan(sweep.competing)
    rows = grid_rows(sweep, runs, scores(named(runs), [0.4, 0.6, 0.9, None, 0.6, 0.6]))
    entries = grid_entries(sweep, rows)
    assert [entry.score for entry in entries] == [pytest.approx(0.5), None, pytest.approx(0.6)]
    assert entries[0].spread == pytest.approx(0.2 / 2**0.5)
    assert entries[1].status == "finished, failed"
    chosen = best(entries)
    assert chosen is not None and chosen.values == {TEMPERATURE: 4.0}


def test_the_files_say_which_values_a_run_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = sweep_of(tmp_path, "model.image_size=[96,96],[64,64]", f"{ALPHA}=0.3")
    runs = plan(sweep.competing)
    report = report_grid(sweep, runs, scores(named(runs), [0.4, 0.6]))
    content = json.loads((sweep.folder / "sweep.json").read_text())
    assert [(row["model.image_size"], row[ALPHA], row["score"]) for row in content["rows"]] == [
        ([96, 96], 0.3, 0.4),
        ([64, 64], 0.3, 0.6),
    ]
    with (sweep.folder / "sweep.csv").open(newline="") as file:
        assert [row["model.image_size"] for row in csv.DictReader(file)] == ["[96, 96]", "[64, 64]"]
    show_sweep(report)
    shown = capsys.readouterr().out
    assert shown.index("[64, 64]") < shown.index("[96, 96]", shown.index("score"))  # best first
    assert "the validation data" in shown and "--tuning_split" in shown
    assert not list(sweep.folder.glob("*.yaml"))  # chosen on the data that are reported: no advice


def test_the_best_config_is_on_the_original_data_and_resolves_to_the_run_with_these_values(tmp_path: Path) -> None:
    sweep = sweep_of(
        tmp_path,
        f"{TEMPERATURE}=1,2",
        "loss.boundary=null,{width: 3}",
        sets=("training.epochs=3", "model.encoder_weights='1e3'"),
        seeds=(5, 6),
        tuning=True,
    )
    file = write_best(sweep, DISTILLED, {TEMPERATURE: 2, "loss.boundary": {"width": 3}})
    config, preset = resolve(None, collect(config_file=file))
    assert preset.name == DISTILLED
    assert config == derive(
        preset,
        name=preset.name,
        description=preset.description,
        distillation={"temperature": 2.0},
        loss={"boundary": {"width": 3}},
        training={"epochs": 3},
        model={"encoder_weights": "1e3"},
    )


def test_a_config_file_reads_back_as_what_was_written(tmp_path: Path) -> None:
    texts = ["1e3", "yes", "null", "1_000", "012", "0x1F", "", "a: b", "ü", "2001-01-01", "~"]
    fields = {
        "base": "x",
        "training": {"learning_rate": 1e-05, "list": texts, "none": None, "empty": {}, "pair": [1, 2]},
    }
    file = tmp_path / "config.yaml"
    file.write_text(config_file_text(fields), encoding="utf-8")
    assert read_config_file(file) == fields


def test_a_sweep_has_a_folder_of_its_own_and_trials_do_not_change_it(tmp_path: Path) -> None:
    folders = [
        sweep_of(tmp_path, f"{TEMPERATURE}=1,2").folder,
        sweep_of(tmp_path, f"{TEMPERATURE}=1,2,4").folder,
        sweep_of(tmp_path, f"{TEMPERATURE}=1,2", sets=("training.epochs=3",)).folder,
        sweep_of(tmp_path, f"{TEMPERATURE}=1,2", seeds=(0, 1)).folder,
        sweep_of(tmp_path, f"{TEMPERATURE}=1,2", tuning=True).folder,
        sweep_of(tmp_path, f"{TEMPERATURE}=1,2", tuning=True, trials=3).folder,
    ]
    assert len(set(folders)) == len(folders)
    assert sweep_of(tmp_path, f"{TEMPERATURE}=1,2", tuning=True, trials=9).folder == folders[-1]
    assert sweep_of(tmp_path, f"{TEMPERATURE}=1,2", sets=("data.num_workers=0",)).folder == folders[0]


def test_with_a_tuning_split_no_run_sees_the_validation_data_nor_does_the_teacher(
    tmp_path: Path, write_run: Callable[..., RunPaths]
) -> None:
    write_run(tmp_path / TEACHER, get_config(TEACHER))  # has trained on the images that are held out
    sweep = sweep_of(tmp_path, f"{TEMPERATURE}=1,2", tuning=True)
    runs = plan(sweep.competing)
    assert [run.preset.name for run in runs] == [TEACHER, DISTILLED, DISTILLED]
    for run in runs:
        data = run.config.data
        assert (data.root, data.sample) == (None, None)
        assert data.train_images == data.val_images
        assert (Path(data.train_ann or "").name, Path(data.val_ann or "").name) == ("train.json", "tuning.json")
        assert data.max_rois_per_image == get_config(DISTILLED).data.max_rois_per_image


def test_experiments_with_different_data_cannot_share_a_tuning_split(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 different training data"):
        sweep_of(tmp_path, "data.sample.train_images=8,16", tuning=True)


def test_no_combination_is_compared_with_all_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with those of the command nor with those on the disk: ten thousand would take an hour."""
    sweep = sweep_of(tmp_path, f"{ALPHA}={','.join(str(n / 50) for n in range(1, 25))}", names=(STUDENT, DISTILLED))
    for run in (first := plan(sweep.competing)):
        reserve(run.paths, run.full_config, run.contents)
    calls: Counter[str] = Counter()
    fit, equal = placement._fit, ExperimentConfig.__eq__

    def fits(*arguments: Any) -> Any:
        calls["folders"] += 1
        return fit(*arguments)

    def equals(*arguments: Any) -> Any:
        calls["configs"] += 1
        return equal(*arguments)

    monkeypatch.setattr(placement, "_fit", fits)
    monkeypatch.setattr(ExperimentConfig, "__eq__", equals)
    runs = plan(sweep.competing)
    assert [run.name for run in runs] == [run.name for run in first]
    assert {run.kind for run in runs} == {"same"}
    assert calls["folders"] <= 2 * len(runs)
    assert calls["configs"] <= 2 * len(runs)
