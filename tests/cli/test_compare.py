"""``hed compare RUN...``: the report as the user gets it."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from made_up_runs import made_up_counts, write_counted_run, write_tested

from human_edge_detection.cli.main import main
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.runs.paths import RunPaths

FILES = ["bars.png", "comparison.csv", "comparison.json", "curves.png", "gains.png"]


@pytest.fixture
def folder(tmp_path: Path, write_run: Callable[..., RunPaths], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two students with three seeds each, a control, and no run that was trained."""
    skills = {"control": 0.80, "better": 0.84, "same": 0.80}
    for number, (name, skill) in enumerate(skills.items()):
        for seed in range(3):
            config = apply(get_config("quickstart_student_b0"), collect(sets=[f"training.seed={seed}"]))
            counts = made_up_counts(skill=skill, noise=0.04, seed=10 * number + seed)
            write_counted_run(write_run, tmp_path / "experiments" / name / f"seed_{seed}", config, counts)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_report_says_what_is_better_and_what_is_not_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "better", "same", "--against", "control"]) == 0
    shown = capsys.readouterr().out
    miou = [line for line in shown.splitlines() if line.startswith("miou ")]
    assert len(miou) == 2
    assert miou[0].split()[-1] == "better"
    assert "not shown" in miou[1]
    assert "…" not in shown
    report = folder / "experiment_comparison"
    assert sorted(file.name for file in report.iterdir()) == FILES
    assert all(f"written: {report / name}" in shown for name in FILES)


def test_the_files_hold_all_of_it(folder: Path, tmp_path: Path) -> None:
    assert main(["compare", "better", "same", "--against", "control", "--output", "mine/report"]) == 0
    report = folder / "mine" / "report"
    content = json.loads((report / "comparison.json").read_text())
    assert (content["control"], content["images"], content["confidence"]) == ("control", 60, 0.95)
    assert content["resamples"] >= 2000
    verdicts = {
        (line["method"], line["metric"]): line["difference"]["verdict"]
        for line in content["lines"]
        if line["slice"] == "all"
    }
    assert verdicts["better", "miou"] == "better"
    assert verdicts["same", "miou"] == "not shown (interval contains 0)"
    with (report / "comparison.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(content["lines"])
    row = next(row for row in rows if (row["method"], row["slice"], row["metric"]) == ("better", "all", "miou"))
    assert float(row["low"]) <= float(row["difference_mean"]) <= float(row["high"])
    assert float(row["difference_mean"]) == pytest.approx(float(row["mean"]) - float(row["control_mean"]))
    assert {"sd", "min", "max", "control_sd", "sign_p", "wins", "teacher_share"} <= row.keys()
    for name in FILES:
        if name.endswith("png"):
            figure = cv2.imread(str(report / name))
            assert figure is not None
            assert figure.std() > 5.0


def test_the_same_command_gives_the_same_report(folder: Path) -> None:
    reports = []
    for _ in range(2):
        assert main(["compare", "better", "--against", "control"]) == 0
        reports.append((folder / "experiment_comparison" / "comparison.json").read_bytes())
    assert reports[0] == reports[1]


def test_without_a_control_there_are_scores_and_no_verdicts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "better", "--against", "control"]) == 0
    capsys.readouterr()
    assert main(["compare", "better", "same"]) == 0
    shown = capsys.readouterr().out
    assert "no control: scores and their spread only" in shown
    assert "verdict" not in shown
    assert "±" in shown
    written = sorted(file.name for file in (folder / "experiment_comparison").iterdir())
    assert written == [name for name in FILES if name != "gains.png"]


def test_a_run_named_twice_is_compared_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "better", "experiments/better", str(folder / "experiments" / "better")]) == 0
    assert capsys.readouterr().out.count("better, 60 validation images") == 1


def test_without_runs_the_comparison_of_all_is_rebuilt(folder: Path) -> None:
    assert main(["compare"]) == 0
    assert sorted(path.name for path in folder.glob("experiment_*")) == [
        "experiment_comparison.csv",
        "experiment_comparison.json",
        "experiment_runs.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "control"], "--against control: compare what? name at least one RUN"),
        (["--output", "there"], "--output there: compare what? name at least one RUN"),
        (["bettr", "--against", "control"], "no run 'bettr' (did you mean 'better'?)"),
        (["better", "--against", "nowhere"], "no run 'nowhere'"),
        (["better", "--output", "file"], "file is not a folder"),
        (["--split", "test"], "--split test: compare what? name at least one RUN"),
        (["better", "--split", "train"], "argument --split: invalid choice: 'train'"),
        (["failed", "--split", "test"], "is failed (out of luck), and only finished runs can be compared"),
        (["better", ""], "argument RUN: expected UTF-8 text"),
        (["better/seed_0", "--against", "control/seed_1"], "none in common"),
        (["experiments"], "experiments: holds no run"),
        (["old"], "per_image.json: missing, the run is of an older version"),
        (["failed"], "is failed (out of luck), and only finished runs can be compared"),
    ],
)
def test_a_users_error_is_one_line_and_leaves_nothing(
    arguments: list[str],
    message: str,
    folder: Path,
    write_run: Callable[..., RunPaths],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "file").touch()
    config = get_config("quickstart_student_b0")
    write_run(folder / "experiments" / "old", config)
    write_run(folder / "experiments" / "failed", config, state="failed")
    assert main(["compare", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")
    assert not (folder / "experiment_comparison").exists()


def test_it_takes_no_torch(folder: Path) -> None:
    code = (
        "import sys; from human_edge_detection.cli.main import main; "
        "code = main(['compare', 'better', '--against', 'control']); sys.exit(code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=folder).returncode == 0


def test_runs_that_were_tested_are_compared_on_the_test_split(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, skill in (("better", 0.84), ("control", 0.80)):
        for seed in range(3):
            paths = RunPaths(folder / "experiments" / name / f"seed_{seed}")
            write_tested(paths, made_up_counts(images=50, skill=skill, noise=0.04, seed=seed))
    assert main(["compare", "better", "--against", "control", "--split", "test"]) == 0
    shown = capsys.readouterr().out
    assert "better against control, 50 test images" in shown
    assert "test miou" in shown
    assert "scores are of the test split: 50 images" in shown
    with (folder / "experiment_comparison" / "comparison.csv").open(encoding="utf-8") as file:
        assert {row["split"] for row in csv.DictReader(file)} == {"test"}
    assert main(["compare", "better", "--against", "control"]) == 0
    assert "they flatter; --split test" in capsys.readouterr().out
