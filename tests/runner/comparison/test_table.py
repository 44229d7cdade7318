"""Rows and files of the comparison."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import WEIGHTS, made_up_counts, sha256_of, write_tested, write_weights
from rich.console import Console

from human_edge_detection.cli.main import main
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_json
from human_edge_detection.runner.comparison.control import shared_with_control
from human_edge_detection.runner.comparison.table import (
    Row,
    comparison_rows,
    read_records,
    to_csv,
    write_comparison,
)
from human_edge_detection.runner.execution.report import comparison_table, show_report
from human_edge_detection.runs.lookup.identity import RunContents
from human_edge_detection.runs.paths import RunPaths

WriteRun = Callable[..., RunPaths]
TEACHER, STUDENT, DISTILLED = expand(["quickstart"])[:3]


def scores(miou: float) -> dict[str, float | None]:
    return {"miou": miou, "iou_target": max(0.0, miou - 0.1), "boundary_f1": None}


@pytest.fixture
def runs(tmp_path: Path, write_run: WriteRun) -> Path:
    output_dir = tmp_path / "experiments"
    teacher = write_run(output_dir / TEACHER, get_config(TEACHER), metrics=scores(0.8), total_parameters=13_000_000)
    write_run(output_dir / STUDENT, get_config(STUDENT), metrics=scores(0.6))
    overrides = collect(flags={"--teacher_checkpoint": str(teacher.best)})
    write_run(
        output_dir / DISTILLED,
        apply(get_config(DISTILLED), overrides),
        metrics=scores(0.7),
        teacher_checkpoint=str(teacher.best),
        teacher_experiment=TEACHER,
        teacher_miou=0.1,
        teacher_parameters=1,
        temperature=4.0,
        alpha=0.7,
        last_loss=1.0,
        last_hard_loss=0.75,
        last_soft_loss=0.25,
    )
    return output_dir


def rows_of(output_dir: Path) -> dict[str, Row]:
    return {row["run"]: row for row in comparison_rows(read_records(output_dir))}


def test_shares_gains_and_compression(runs: Path) -> None:
    rows = rows_of(runs)
    distilled = rows[DISTILLED]
    assert distilled["teacher"] == TEACHER
    assert distilled["teacher_miou_share"] == pytest.approx(0.7 / 0.8)
    assert distilled["compression"] == pytest.approx(2.0)
    assert distilled["gain_over_control"] == pytest.approx(0.1)
    assert (distilled["miou"], distilled["boundary_f1"], distilled["alpha"]) == (0.7, None, 0.7)
    assert rows[STUDENT]["gain_over_control"] is None
    assert rows[TEACHER]["teacher_miou_share"] is None
    assert len({tuple(row) for row in rows.values()}) == 1


def test_the_losses_of_the_last_epoch_have_columns_and_older_results_leave_them_empty(runs: Path) -> None:
    _, (table, *_) = write_comparison(runs)
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(table.read_text()))}
    columns = ("last_loss", "last_hard_loss", "last_soft_loss")
    assert [rows[DISTILLED][column] for column in columns] == ["1.0", "0.75", "0.25"]
    assert [rows[STUDENT][column] for column in columns] == ["", "", ""]


def test_a_teacher_validated_on_other_data_counts_as_the_student_measured_it(runs: Path) -> None:
    result = json.loads((runs / TEACHER / "result.json").read_text())
    write_json(runs / TEACHER / "result.json", {**result, "data_fingerprint": "other"})
    assert rows_of(runs)[DISTILLED]["teacher_miou_share"] == pytest.approx(0.7 / 0.1)


def test_several_teachers_count_as_the_student_measured_them_together(runs: Path) -> None:
    result = json.loads((runs / DISTILLED / "result.json").read_text())
    write_json(runs / DISTILLED / "result.json", {**result, "teacher_sha256": "first+second"})
    assert rows_of(runs)[DISTILLED]["teacher_miou_share"] == pytest.approx(0.7 / 0.1)


def change_result(paths: RunPaths, **fields: object) -> None:
    write_json(paths.result, json.loads(paths.result.read_text()) | fields)


DATA = {
    "training annotations": "training_fingerprint",
    "training images": "training_images",
    "validation annotations": "data_fingerprint",
    "validation images": "validation_images",
}


@pytest.mark.parametrize("data", DATA)
def test_a_control_on_other_data_is_none_and_that_is_said(runs: Path, data: str) -> None:
    field = DATA[data]
    for name in (STUDENT, DISTILLED):
        change_result(RunPaths(runs / name), **{field: "same"})
    row = rows_of(runs)[DISTILLED]
    assert (row["gain_over_control"], row["control"], row["why_no_gain"]) == (pytest.approx(0.1), STUDENT, None)
    change_result(RunPaths(runs / STUDENT), **{field: "other"})
    row = rows_of(runs)[DISTILLED]
    assert (row["gain_over_control"], row["control"]) == (None, None)
    assert row["why_no_gain"] == f"{STUDENT} has the same settings and other {data}"
    if field != "data_fingerprint":
        change_result(RunPaths(runs / STUDENT), **{field: None})  # of an older version: unknown, not other
        assert rows_of(runs)[DISTILLED]["gain_over_control"] == pytest.approx(0.1)


def test_a_second_run_on_the_same_data_is_the_control(runs: Path, write_run: WriteRun) -> None:
    change_result(RunPaths(runs / STUDENT), training_images="other")
    change_result(RunPaths(runs / DISTILLED), training_images="same")
    write_run(runs / "z", get_config(STUDENT), metrics=scores(0.5), training_images="same")
    row = rows_of(runs)[DISTILLED]
    assert (row["control"], row["gain_over_control"]) == ("z", pytest.approx(0.2))


@pytest.mark.parametrize("field", ["init_from", "pretrained_unet"])
def test_a_run_from_other_weights_is_no_control(runs: Path, field: str, write_run: WriteRun) -> None:
    start = f"model.{field}={RunPaths(runs / TEACHER).best}"
    write_run(runs / STUDENT, apply(get_config(STUDENT), collect(sets=[start])), metrics=scores(0.6))
    row = rows_of(runs)[DISTILLED]
    assert row["gain_over_control"] is None
    assert row["why_no_gain"].startswith("no finished run without distillation has its settings, seed and starting")


def test_the_share_is_of_what_taught(runs: Path) -> None:
    teacher, distilled = RunPaths(runs / TEACHER), RunPaths(runs / DISTILLED)
    write_weights(teacher.best, "what taught")
    change_result(distilled, teacher_sha256=sha256_of("what taught"))
    assert rows_of(runs)[DISTILLED]["teacher_miou_share"] == pytest.approx(0.7 / 0.8)
    write_weights(teacher.best, "trained anew")
    row = rows_of(runs)[DISTILLED]
    assert (row["teacher_miou_share"], row["compression"]) == (pytest.approx(0.7 / 0.1), pytest.approx(1 / 6.5e6))
    assert row["why_no_share"] is None
    change_result(distilled, teacher_miou=None)
    row = rows_of(runs)[DISTILLED]
    assert (row["teacher_miou_share"], row["why_no_share"]) == (None, "its teacher was trained anew since")


def test_the_share_is_of_the_checkpoint_that_taught_and_not_of_the_best_of_its_run(runs: Path) -> None:
    earlier = RunPaths(runs / TEACHER).epoch_checkpoint(1)
    change_result(RunPaths(runs / DISTILLED), teacher_checkpoint=str(earlier))
    assert rows_of(runs)[DISTILLED]["teacher_miou_share"] == pytest.approx(0.7 / 0.1)


def test_what_is_missing_is_explained_below_the_table(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_result(RunPaths(runs / STUDENT), training_images="other")
    change_result(RunPaths(runs / DISTILLED), training_images="same", teacher_miou=None, teacher_sha256="a+b")
    show_report(*write_comparison(runs), runs)
    shown = capsys.readouterr().out
    assert f"{DISTILLED}: no gain: {STUDENT} has the same settings and other training images\n" in shown
    assert f"{DISTILLED}: no share: several teachers taught as one\n" in shown


def test_a_damaged_export_is_not_listed(runs: Path) -> None:
    student = RunPaths(runs / STUDENT)
    student.onnx.write_bytes(b"model")
    report = {"onnx": "", "checkpoint_sha256": "", "opset": 18, "size_bytes": 5, "tolerance": 1e-4, "mask_iou": 1.0}
    write_json(student.parity, {**report, "max_difference": 0.0, "passed": True, "cases": []})
    assert rows_of(runs)[STUDENT]["onnx"] == str(student.onnx)
    student.onnx.write_bytes(b"")
    row = rows_of(runs)[STUDENT]
    assert (row["onnx"], row["status"]) == (None, "finished")
    assert row["error"] == "best_model.onnx is damaged: 0 bytes, 5 were written; hed export writes it anew"


def test_the_parity_column_is_of_probabilities(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounded = {"max_difference": 7e-5, "max_probability_difference": 3e-6}
    for name, figures in {STUDENT: rounded, TEACHER: {"tolerance": 1e-4, "max_difference": 9e-5}}.items():
        paths = RunPaths(runs / name)
        paths.onnx.write_bytes(b"model")
        report = {"onnx": "", "checkpoint_sha256": "", "opset": 18, "size_bytes": 5, "mask_iou": 1.0, "cases": []}
        write_json(paths.parity, {**report, **figures, "passed": True})
    rows = rows_of(runs)
    difference = [(row["parity_probability_difference"], row["parity_max_difference"]) for row in rows.values()]
    assert {(3e-6, 7e-5), (None, 9e-5)} <= set(difference), "older reports do not tell that of probabilities"
    show_report(*write_comparison(runs), runs)
    shown = capsys.readouterr().out
    assert "3e-06" in shown
    assert "7e-05" not in shown and "9e-05" not in shown


def write_latency(paths: RunPaths, *, cpu_ms: float, measurement: str) -> None:
    """An export that passed, and how long it takes."""
    paths.onnx.write_bytes(b"model")
    report = {"onnx": "", "checkpoint_sha256": "", "opset": 18, "size_bytes": 5, "mask_iou": 1.0, "cases": []}
    write_json(paths.parity, {**report, "onnx_sha256": "of it", "max_difference": 0.0, "passed": True})
    times = {"median_ms": cpu_ms + 1, "p95_ms": cpu_ms + 2, "cpu_ms": cpu_ms, "threads": 1, "rois": 3, "rounds": 11}
    of_file = {"image_size": [96, 96], "onnx_sha256": "of it", "processor": "p", "together_with": measurement}
    write_json(paths.latency, {**times, **of_file, "measured": f"at {measurement}"})


def test_latency_and_speedup_over_the_teacher(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher, distilled = RunPaths(runs / TEACHER), RunPaths(runs / DISTILLED)
    write_latency(teacher, cpu_ms=30.0, measurement="noon")
    write_latency(distilled, cpu_ms=4.0, measurement="noon")
    show_report(*write_comparison(runs), runs)
    rows = rows_of(runs)
    columns = ("latency_ms", "latency_cpu_ms", "latency_measured", "speedup")
    assert [rows[DISTILLED][column] for column in columns] == [5.0, 4.0, "at noon", 7.5]
    assert [rows[TEACHER][column] for column in columns] == [31.0, 30.0, "at noon", None]
    assert [rows[STUDENT][column] for column in columns] == [None] * 4
    shown = capsys.readouterr().out
    assert "5.0ms" in shown and "7.5x" in shown and "31.0ms" in shown
    assert "measurements" not in shown


def test_figures_of_different_measurements_are_no_speedup_and_that_is_said(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_latency(RunPaths(runs / TEACHER), cpu_ms=30.0, measurement="noon")
    write_latency(RunPaths(runs / DISTILLED), cpu_ms=4.0, measurement="midnight")
    assert rows_of(runs)[DISTILLED]["speedup"] is None
    show_report(*write_comparison(runs), runs)
    assert "latency: of 2 measurements; compare runs of equal latency_measured" in capsys.readouterr().out


@pytest.mark.parametrize("cpu_ms", [0.0, 5e-324])
def test_a_time_below_what_a_clock_can_tell_is_no_speedup(runs: Path, cpu_ms: float) -> None:
    write_latency(RunPaths(runs / TEACHER), cpu_ms=30.0, measurement="noon")
    write_latency(RunPaths(runs / DISTILLED), cpu_ms=cpu_ms, measurement="noon")
    assert rows_of(runs)[DISTILLED]["speedup"] is None


def test_the_latency_of_another_file_does_not_count(runs: Path) -> None:
    teacher = RunPaths(runs / TEACHER)
    write_latency(teacher, cpu_ms=30.0, measurement="noon")
    write_json(teacher.parity, json.loads(teacher.parity.read_text()) | {"onnx_sha256": "exported anew"})
    assert rows_of(runs)[TEACHER]["latency_ms"] is None
    write_latency(teacher, cpu_ms=30.0, measurement="noon")
    teacher.onnx.write_bytes(b"cut")
    assert rows_of(runs)[TEACHER]["latency_ms"] is None


@pytest.mark.parametrize("change", ["training.seed=1", "training.epochs=3", "model.contour={}"])
def test_a_control_that_differs_in_anything_else_is_none(runs: Path, change: str, write_run: WriteRun) -> None:
    write_run(runs / STUDENT, apply(get_config(STUDENT), collect(sets=[change])), metrics=scores(0.6))
    assert rows_of(runs)[DISTILLED]["gain_over_control"] is None


@pytest.fixture
def many_runs(tmp_path: Path, write_run: WriteRun) -> Path:
    """Several controls for one student, a second teacher, other data, and a run that has not finished."""
    output_dir = tmp_path / "many"
    teachers = [write_run(output_dir / name, get_config(TEACHER), metrics=scores(0.8)) for name in ("t0", "t1")]
    for number in range(6):
        seed, data = f"training.seed={number % 3}", "other" if number == 4 else "data"
        student = apply(get_config(STUDENT), collect(sets=[seed]))
        state = "failed" if number == 2 else "finished"
        write_run(output_dir / f"s{number}", student, state=state, metrics=scores(0.1 * number), data_fingerprint=data)
        teacher = str(teachers[number % 2].best)
        taught = apply(get_config(DISTILLED), collect(sets=[seed], flags={"--teacher_checkpoint": teacher}))
        fields = {"metrics": scores(0.9), "data_fingerprint": data, "teacher_checkpoint": teacher, "teacher_miou": 0.3}
        write_run(output_dir / f"d{number}", taught, **fields)
    return output_dir


def test_rows_are_those_of_looking_through_all_runs_for_each(many_runs: Path) -> None:
    records = read_records(many_runs)
    finished = [
        (record, record.config, record.result, record.contents)
        for record in records
        if record.config and record.result and record.contents
    ]
    rows = {row["run"]: row for row in comparison_rows(records)}
    gains = []
    for run, config, result, contents in finished:
        control = next(
            (
                other_result
                for _, other, other_result, other_contents in finished
                if other.distillation is None
                and other_result.data_fingerprint == result.data_fingerprint
                and shared_with_control(other, other_contents) == shared_with_control(config, contents)
            ),
            None,
        )
        gain = None
        if config.distillation is not None and control is not None:
            own, controls = result.metrics["miou"], control.metrics["miou"]
            assert own is not None and controls is not None
            gain = own - controls
        assert rows[run.name]["gain_over_control"] == gain
        gains.append(gain)
    assert len(set(gains)) == 5
    shares = {name: row["teacher_miou_share"] for name, row in rows.items() if name.startswith("d")}
    assert shares == {name: pytest.approx(3.0 if name == "d4" else 0.9 / 0.8) for name in shares}


def test_the_work_grows_with_the_runs_and_not_with_their_pairs(
    many_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = read_records(many_runs)
    asked: list[ExperimentConfig] = []

    def shared(config: ExperimentConfig, contents: RunContents) -> object:
        asked.append(config)
        return shared_with_control(config, contents)

    monkeypatch.setattr("human_edge_detection.runner.comparison.control.shared_with_control", shared)
    comparison_rows(records)
    assert len(asked) <= len(records)


def test_unfinished_and_damaged_runs_have_rows(runs: Path, write_run: WriteRun) -> None:
    write_run(runs / "broken", get_config(STUDENT), state="failed")
    killed = write_run(runs / "gone", get_config(STUDENT), state="running")
    status = json.loads(killed.status.read_text())
    write_json(killed.status, {**status, "pid": 2**22 + 1})
    write_run(runs / "odd", get_config(STUDENT)).result.write_text("{}")
    rows = rows_of(runs)
    assert (rows["broken"]["status"], rows["broken"]["error"]) == ("failed", "out of luck")
    assert rows["gone"]["status"] == "killed"
    assert "nobody works on it" in rows["gone"]["error"]
    assert rows["odd"]["status"] == "unreadable"
    assert "result.json: not what this tool writes there" in rows["odd"]["error"]


def test_files_are_rebuilt_beside_the_runs_and_tell_of_skipped_ones(runs: Path) -> None:
    extra: dict[str, tuple[str, str | None]] = {"never": ("skipped", "needs x"), STUDENT: ("finished", "export: bad")}
    _, files = write_comparison(runs, extra=extra)
    assert [file.name for file in files] == [
        "experiment_comparison.csv",
        "experiment_comparison.json",
        "experiment_runs.json",
    ]
    assert all(file.parent == runs.parent for file in files)
    table = {row["run"]: row for row in csv.DictReader(io.StringIO(files[0].read_text()))}
    assert float(table[DISTILLED]["miou"]) == 0.7
    assert table["never"]["error"] == "needs x"
    assert table[STUDENT]["status"] == "finished"
    assert table[STUDENT]["error"] == "export: bad"
    summary = {run["run"]: run for run in json.loads(files[2].read_text())}
    assert summary[TEACHER]["started"].startswith("2030")
    assert summary["never"]["status"] == "skipped"


def test_csv_cells_are_no_formulas_and_numbers_stay_plain() -> None:
    text = to_csv([{"error": "=HYPERLINK(1)", "run": "@x", "gain": -0.25, "none": None, "comma": 'a,"b"'}])
    [row] = csv.DictReader(io.StringIO(text))
    assert row == {"error": "'=HYPERLINK(1)", "run": "'@x", "gain": "-0.25", "none": "", "comma": 'a,"b"'}


def test_the_table_is_readable_at_100_columns(runs: Path, write_run: WriteRun) -> None:
    name = "rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r80x60m160x120_disttrans_contdet_baware"
    write_run(runs / f"{name}+0123abcd", get_config(name), seconds=360_000.0, state="finished")
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(comparison_table(comparison_rows(read_records(runs)), console))
    text = console.export_text()
    assert "…" not in text
    assert "87.5%" in text
    assert "+0.1000" in text
    assert "100h00m" in text


def shown_titles(output_dir: Path, width: int) -> list[str]:
    rows = comparison_rows(read_records(output_dir))
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(comparison_table(rows, console))
    text = console.export_text()
    assert "…" not in text
    return text.splitlines()[0].split()[2:]


def test_a_narrow_terminal_leaves_out_whole_columns_empty_ones_first(runs: Path) -> None:
    for name in (STUDENT, TEACHER):
        change_result(RunPaths(runs / name), metrics=scores(0.6) | {"boundary_f1": 0.5})
    trained = ["mIoU", "target", "bound.F1", "params", "share", "gain", "time"]
    assert shown_titles(runs, 140) == [*trained, "parity", "latency", "speedup"]
    assert shown_titles(runs, 90) == trained
    assert shown_titles(runs, 80) == [title for title in trained if title != "bound.F1"]
    for name in (TEACHER, DISTILLED):
        write_latency(RunPaths(runs / name), cpu_ms=4.0, measurement="noon")
    assert shown_titles(runs, 100)[-2:] == ["latency", "speedup"]
    assert shown_titles(runs, 82) == ["mIoU", "params", "share", "gain", "time", "latency"]


def test_leftovers_of_killed_writers_go_and_files_of_others_stay(runs: Path) -> None:
    leftover = runs.parent / ".experiment_runs.json.0123.tmp"
    foreign = runs.parent / ".notes.tmp"
    for file in (leftover, foreign):
        file.touch()
    write_comparison(runs)
    assert not leftover.exists()
    assert foreign.exists()


def test_lock_files_are_no_runs(runs: Path) -> None:
    before = rows_of(runs)
    for name in (f".{TEACHER}.lock", ".batch_lock", ".planning_lock", f"{TEACHER}/.seed_1.lock"):
        (runs / name).touch()
    assert rows_of(runs) == before


def test_a_folder_that_cannot_be_read_is_a_row_with_its_reason(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = rows_of(runs)
    (runs / "circle").symlink_to("circle")
    (runs / os.fsdecode(b"caf\xe9") / "seed_0").mkdir(parents=True)
    (runs / os.fsdecode(b"caf\xe9") / "seed_0" / "status.json").symlink_to("status.json")
    odd = runs / "odd\x1b[31m\nname"
    odd.mkdir()
    (odd / "status.json").write_text('{"error": "\\u001b[2J"}')
    rows, files = write_comparison(runs)
    found = {row["run"]: row for row in rows}
    assert {name: found[name] for name in before} == before
    for name in ("circle", "caf\\udce9/seed_0", "odd\\x1b[31m\\nname"):
        assert found[name]["status"] == "unreadable"
    assert "Too many levels of symbolic links" in found["circle"]["error"]
    assert main(["compare", "--output_dir", str(runs)]) == 0
    assert "\x1b" not in capsys.readouterr().out + files[0].read_text(encoding="utf-8")


def test_test_scores_have_columns_of_their_own(runs: Path) -> None:
    assert not [column for column in rows_of(runs)[STUDENT] if column.startswith("test_")]
    paths = RunPaths(runs / STUDENT)
    write_weights(paths.best, WEIGHTS)
    write_tested(paths, made_up_counts())
    rows = rows_of(runs)
    student, teacher = rows[STUDENT], rows[TEACHER]
    assert (student["split"], student["miou"], student["test_miou"], student["test_images"]) == ("val", 0.6, 0.4, 60)
    assert student["test_data"] == "test+images"
    assert student.keys() == teacher.keys()
    assert teacher["test_miou"] is None
    write_weights(paths.best, "trained on")
    assert "test_miou" not in rows_of(runs)[STUDENT], "they are of other weights"


def test_each_file_is_opened_once_however_many_runs_one_has_taught(
    runs: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the comparison of ten thousand runs must cost is ten times that of a thousand."""
    teacher = RunPaths(runs / TEACHER)
    write_weights(teacher.best, WEIGHTS)
    for seed in range(8):
        sets = [f"training.seed={seed}"]
        for name, flags in ((STUDENT, {}), (DISTILLED, {"--teacher_checkpoint": str(teacher.best)})):
            config = apply(get_config(name), collect(sets=sets, flags=flags))
            taught = {"teacher_checkpoint": str(teacher.best), "teacher_sha256": sha256_of(WEIGHTS)} if flags else {}
            write_run(runs / name / f"seed_{seed}", config, metrics=scores(0.5), **taught)
    opened: Counter[Path] = Counter()
    real = Path.open

    def counted(path: Path, *args: Any, **options: Any) -> Any:
        opened[path] += 1
        return real(path, *args, **options)

    monkeypatch.setattr(Path, "open", counted)
    rows = comparison_rows(read_records(runs))
    assert sum(row["teacher_miou_share"] is not None for row in rows) >= 8
    assert opened.most_common(1)[0][1] == 1


def test_a_terminal_shows_some_of_many_runs_and_says_where_all_are(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("human_edge_detection.runner.execution.report.MOST_ROWS", 2)
    _, files = found = write_comparison(runs)
    show_report(*found, runs)
    shown = capsys.readouterr().out
    assert f"2 of 3 runs: some that did not end well, and those with the best mIoU; all: {files[0]}" in shown
    assert "quickstart_distilled" in shown  # and folded
    assert "quickstart_student" not in shown
