"""``hed train`` from its flags to what it leaves, with a made-up training and export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import sha256_of, write_weights

from human_edge_detection.cli.main import main
from human_edge_detection.errors import DataError, ExportError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.lock import is_held
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult, read_section

STUDENT = "quickstart_student_b0"


class Work:
    """What was trained and exported, and whether the run was locked meanwhile."""

    def __init__(self, output_dir: Path, write_run: Callable[..., RunPaths]) -> None:
        self.paths = RunPaths(output_dir / STUDENT)
        self.write_run = write_run
        self.done: list[tuple[str, bool]] = []
        self.fails = False

    def train(self, config: ExperimentConfig, paths: RunPaths, **_: Any) -> RunResult:
        self.done.append(("trained", is_held(paths.lock)))
        self.write_run(paths.root, config)
        write_weights(paths.best, "new")
        result = read_section(RunResult, paths.result)
        assert result is not None
        return result

    def export(self, checkpoint: Path) -> Any:
        assert checkpoint == self.paths.best
        self.done.append(("exported", is_held(self.paths.lock)))
        if self.fails:
            raise ExportError("the outputs differ")
        self.paths.onnx.write_bytes(b"1")
        report = f'"onnx": "{self.paths.onnx}", "checkpoint_sha256": "{sha256_of("new")}", "opset": 18, "size_bytes": 1'
        self.paths.parity.write_text(
            f'{{{report}, "tolerance": 1e-4, "max_difference": 0, "mask_iou": 1, "passed": true, "cases": []}}'
        )
        from human_edge_detection.exporters.onnx import Destination, Export
        from human_edge_detection.runs.records import ParityReport

        parity = read_section(ParityReport, self.paths.parity)
        assert parity is not None
        return Export(Destination(self.paths.onnx, self.paths.parity), parity)


@pytest.fixture
def work(tmp_path: Path, write_run: Callable[..., RunPaths], monkeypatch: pytest.MonkeyPatch) -> Work:
    made = Work(tmp_path / "experiments", write_run)
    monkeypatch.setattr("human_edge_detection.engine.session.execute.execute_run", made.train)
    monkeypatch.setattr("human_edge_detection.api.exporting.export_with_card", made.export)
    return made


def train(work: Work, *flags: str) -> int:
    return main(["train", "--config", STUDENT, "--output_dir", str(work.paths.root.parent), *flags])


def test_a_run_is_exported_once_by_the_process_that_trains_it_and_holds_its_lock(work: Work) -> None:
    assert train(work, "--export_onnx") == 0
    assert work.done == [("trained", True), ("exported", True)]
    assert train(work, "--export_onnx") == 0
    assert len(work.done) == 2
    assert not is_held(work.paths.lock)


def test_a_finished_run_is_exported_when_that_is_asked_for(work: Work) -> None:
    assert train(work) == 0
    assert train(work) == 0
    assert work.done == [("trained", True)]
    assert train(work, "--export_onnx") == 0
    assert work.done == [("trained", True), ("exported", True)]


def test_an_export_that_fails_is_an_error_and_the_run_is_finished(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work.fails = True
    assert train(work, "--export_onnx") == 2
    assert "error: the outputs differ" in capsys.readouterr().err
    assert work.paths.result.is_file()
    assert train(work) == 0
    assert work.done == [("trained", True), ("exported", True)]


@pytest.mark.parametrize("run_failed", [True, False])
def test_a_run_that_failed_ends_with_1_and_what_is_refused_with_2_and_leaves_nothing(
    run_failed: bool, work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        error = DataError("image a\x1b[31m.jpg is cut off")
        error.run_failed = run_failed
        raise error

    monkeypatch.setattr("human_edge_detection.engine.session.execute.execute_run", fails)
    assert train(work) == (1 if run_failed else 2)
    assert capsys.readouterr().err.splitlines()[-1] == "error: image a\\x1b[31m.jpg is cut off"
    assert not work.paths.root.parent.exists()


def test_what_is_refused_leaves_no_lock_in_a_folder_that_was_there(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise DataError("no")

    output_dir = work.paths.root.parent
    output_dir.mkdir()
    monkeypatch.setattr("human_edge_detection.engine.session.execute.execute_run", fails)
    assert train(work, "--run_name", "mine") == 2
    assert train(work, "--seed", "3") == 2
    assert not [path.name for path in output_dir.iterdir() if path.name.endswith(".lock")]
