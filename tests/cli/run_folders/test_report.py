from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.runs.paths import RunPaths


def test_it_writes_the_page_and_ends_with_its_path(
    tmp_path: Path, write_run: Callable[..., RunPaths], capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "runs" / "a", get_config("quickstart_student_b0"))
    assert main(["report", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out.startswith(f"report: {tmp_path.resolve()}/runs/report.html (1 runs, ")
    assert main(["report", str(tmp_path / "runs"), "--output", str(tmp_path / "x" / "p.html"), "--without_images"]) == 0
    write_run(tmp_path / "runs" / "b", get_config("quickstart_student_b0"), state="failed")
    capsys.readouterr()
    assert main(["report", str(tmp_path / "runs")]) == 0
    assert "report.html (1 of 2 runs finished, " in capsys.readouterr().out
    assert "as it was asked for" in (tmp_path / "x" / "p.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        ([], "experiments: no such folder"),
        (["."], "holds no runs"),
        ([".", "--max_megabytes", "-1"], "--max_megabytes: expected 0 to 1000, got -1"),
        ([".", "--max_megabytes", "nan"], "--max_megabytes: expected 0 to 1000, got nan"),
        ([".", "--output", "."], "is a folder"),
        ([".", "--output", "photo.jpg"], "--output photo.jpg: is no name of a page"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
