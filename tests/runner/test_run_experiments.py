"""A batch as a function, as Python calls it; ``tests/cli/test_run.py`` has the same flow from its flags."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import collect
from human_edge_detection.experiments.registry import expand
from human_edge_detection.runner.backends.standby import Standby
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.run_experiments import preview_experiments, run_experiments
from human_edge_detection.runner.sweep.sweep import SweepRequest

TEACHER, STUDENT, DISTILLED = expand(["quickstart"])[:3]


def test_the_result_has_each_runs_end_and_the_comparison(children: Callable[..., Path]) -> None:
    output_dir = children(**{STUDENT: "failed"})
    result = run_experiments(BatchRequest(names=(STUDENT, DISTILLED), output_dir=output_dir))
    assert not result.good
    ends = {outcome.name: outcome.state for outcome in result.outcomes}
    assert ends == {STUDENT: "failed", TEACHER: "finished", DISTILLED: "finished"}
    assert {row["run"]: row["status"] for row in result.rows} == ends
    assert all(file.is_file() for file in result.files)
    assert result.entries == ()


def test_it_ends_with_a_page_of_all_runs(children: Callable[..., Path]) -> None:
    output_dir = children(**{STUDENT: "failed"})
    result = run_experiments(BatchRequest(names=(STUDENT,), output_dir=output_dir))
    assert result.page is not None
    assert result.page.path == output_dir / "report.html"
    assert STUDENT in result.page.path.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_one_warning_and_no_failure(
    children: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(output_dir: Path) -> None:
        raise KeyError("a bug\nof two lines")

    monkeypatch.setattr("human_edge_detection.runner.report.page.write_page", broken)
    output_dir = children()
    with caplog.at_level("WARNING"):
        result = run_experiments(BatchRequest(names=(STUDENT,), output_dir=output_dir))
    assert result.good
    assert result.page is None
    warnings = [record.getMessage() for record in caplog.records if "report" in record.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].count("\n") == 0


def test_a_sweep_has_an_entry_for_each_combination(children: Callable[..., Path]) -> None:
    request = BatchRequest(names=(STUDENT,), output_dir=children())
    result = run_experiments(request, sweep=SweepRequest(("training.epochs=2,3",)))
    assert result.good
    assert [entry.values for entry in result.entries] == [{"training.epochs": 2}, {"training.epochs": 3}]


def test_a_preview_names_what_would_be_added_and_writes_nothing(tmp_path: Path) -> None:
    lines = preview_experiments(BatchRequest(names=(DISTILLED,), output_dir=tmp_path / "runs"))
    assert lines[0] == "data: 96 + 32 drawn pictures (training + validation), seed 0"
    assert lines[1] == f"added: {TEACHER}, the teacher of {DISTILLED}"
    planned = [line for line in lines if line[0].isdigit()]
    assert planned == [f"1. {TEACHER} (would be new)", f"2. {DISTILLED} (would be new)"]
    assert list(tmp_path.iterdir()) == []


def test_the_first_child_is_started_before_the_images_are_drawn(
    children: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    output_dir = children()
    order: list[str] = []
    monkeypatch.setattr("human_edge_detection.runner.run_experiments.make_sample_data", lambda *_: order.append("draw"))
    monkeypatch.setattr(Standby, "prepare", lambda self: order.append("prepare"))
    monkeypatch.setattr(Standby, "end", lambda self: order.append("end"))
    request = BatchRequest(names=(STUDENT,), output_dir=output_dir)
    run_experiments(request)
    assert order == ["prepare", "draw", "end"]
    order.clear()
    run_experiments(request)
    assert order == ["draw", "end"]  # nothing is trained


def test_exports_are_measured_before_the_comparison_and_a_signal_then_ends_the_batch_with_its_report(
    children: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "human_edge_detection.runner.run_experiments"
    request = BatchRequest(names=(STUDENT,), output_dir=children())
    order: list[str] = []

    def write_comparison(*_: object, **__: object) -> tuple[list[Any], list[Any]]:
        order.append("compared")
        return [], []

    monkeypatch.setattr(f"{module}.measure_latency", lambda runs: order.append(runs[0].root.name))
    monkeypatch.setattr(f"{module}.write_comparison", write_comparison)
    run_experiments(request)
    assert order == ["compared"]
    run_experiments(request, Options(export_onnx=True, skip_training=True))
    assert order == ["compared", STUDENT, "compared"]
    monkeypatch.setattr(f"{module}.measure_latency", lambda runs: KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run_experiments(request, Options(export_onnx=True, skip_training=True), report=lambda _: order.append("report"))
    assert order[-2:] == ["compared", "report"]


@pytest.mark.parametrize(
    ("request_fields", "options", "sweep", "message"),
    [
        ({"restart": True}, Options(skip_training=True), None, "--restart trains anew and --skip_training"),
        ({"restart": True}, Options(join=True), None, "--restart would delete"),
        ({}, Options(retries=-1), None, "--retries -1"),
        (
            {"overrides": collect(flags={"--batch_size": 1})},
            Options(procs_per_run=2),
            None,
            "--batch_size 1 is that of",
        ),
        ({}, Options(hang_minutes=float("inf")), None, "--hang_minutes inf"),
        ({"seeds": (0, 1), "overrides": collect(flags={"--seed": 1})}, Options(), None, "--seed and --seeds"),
        ({}, Options(export_onnx=True), SweepRequest(("training.epochs=1,2",), trials=2), "--export_onnx: not in a"),
        ({}, Options(), SweepRequest((), trials=2), "--trials: nothing to choose among"),
    ],
)
def test_contradictions_are_refused_before_anything_is_written(
    tmp_path: Path, request_fields: dict[str, object], options: Options, sweep: SweepRequest | None, message: str
) -> None:
    request = BatchRequest(names=(STUDENT,), output_dir=tmp_path / "runs", **request_fields)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        run_experiments(request, options, sweep=sweep)
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_is_renamed_is_not_made_anew(
    children: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    output_dir = children()
    module = "human_edge_detection.runner.run_experiments"
    monkeypatch.setattr(f"{module}.make_sample_data", lambda runs, folder: folder.rename(f"{folder}_old"))
    result = run_experiments(BatchRequest(names=(STUDENT,), output_dir=output_dir))
    assert [outcome.state for outcome in result.outcomes] == ["failed"]
    assert f"{output_dir} was renamed to {output_dir}_old while" in (result.outcomes[0].error or "")
    assert not output_dir.exists()
