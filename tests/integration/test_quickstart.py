"""The README's first command, shortened: the same experiments on fewer and smaller pictures, as a user runs it."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORTER = [
    *("--set", "data.sample.train_images=6", "--set", "data.sample.val_images=2"),
    *("--set", "model.image_size=[64,64]", "--epochs", "1", "--batch_size", "3", "--num_workers", "0"),
]
TEACHER, STUDENT, DISTILLED = "quickstart_teacher_b3", "quickstart_student_b0", "quickstart_distilled_b0_from_b3"
EDGE = "quickstart_edge_from_b3"


def run_batch(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(ROOT / "run_experiments.py"), "--configs", *names, *SHORTER]
    environment = without_network(folder.parent / "network.txt")
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False
    )


def without_network(tried: Path) -> dict[str, str]:
    """The environment of a process, and of all its children, that reach no other machine and write into ``tried``."""
    folder = ROOT / "tests" / "support" / "without_network"
    return {**os.environ, "PYTHONPATH": str(folder), "HED_TEST_NETWORK": str(tried)}


def read_rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "experiment_comparison.csv").open(encoding="utf-8", newline="") as file:
        return {row["experiment"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the shortened quickstart has run."""
    folder = tmp_path_factory.mktemp("quickstart") / "batch"
    done = run_batch(folder, "quickstart")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_it_ends_in_a_comparison_of_finished_runs(finished: Path) -> None:
    rows = read_rows(finished)
    assert set(rows) == {TEACHER, STUDENT, DISTILLED, EDGE}
    assert {row["status"] for row in rows.values()} == {"finished"}
    distilled, student = rows[DISTILLED], rows[STUDENT]
    assert distilled["teacher"] == TEACHER
    assert float(distilled["compression"]) == pytest.approx(13.33 / 6.42, abs=0.02)
    assert float(rows[EDGE]["compression"]) > 10
    gain = float(distilled["miou"]) - float(student["miou"])
    assert float(distilled["gain_over_control"]) == pytest.approx(gain)
    assert float(distilled["teacher_miou_share"]) == pytest.approx(
        float(distilled["miou"]) / float(rows[TEACHER]["miou"])
    )
    assert len(json.loads((finished / "experiment_runs.json").read_text())) == 4


@pytest.mark.slow
def test_nothing_is_asked_of_other_machines(finished: Path, tmp_path: Path) -> None:
    """Only weights are ever fetched, and the quickstart starts from random ones."""
    assert not (finished.parent / "network.txt").exists()
    tried = tmp_path / "network.txt"
    fetch = "import urllib.request; urllib.request.urlopen('http://example.org')"
    asked = subprocess.run([sys.executable, "-c", fetch], env=without_network(tried), capture_output=True, check=False)
    assert asked.returncode == 1
    assert tried.read_text() == "example.org\n"


@pytest.mark.slow
def test_the_same_command_again_trains_nothing(finished: Path) -> None:
    results = {path: path.stat().st_mtime_ns for path in finished.glob("experiments/*/result.json")}
    again = run_batch(finished, "quickstart")
    assert again.returncode == 0
    assert again.stderr.count("finished: ") == 4
    assert {path: path.stat().st_mtime_ns for path in results} == results


@pytest.mark.slow
def test_exported_models_have_a_latency_and_it_is_measured_once(finished: Path) -> None:
    for name in (TEACHER, DISTILLED):  # the second one has its teacher from the first
        assert run_batch(finished, name, "--export_onnx").returncode == 0
    rows = read_rows(finished)
    assert float(rows[DISTILLED]["latency_ms"]) > 0
    assert float(rows[DISTILLED]["speedup"]) > 0
    assert rows[TEACHER]["latency_measured"] == rows[DISTILLED]["latency_measured"]
    assert rows[STUDENT]["latency_ms"] == "", "it is not exported"
    assert not (finished.parent / "network.txt").exists(), "neither an export nor a card needs another machine"
    card = (finished / "experiments" / DISTILLED / "checkpoints" / "best_model.md").read_text()
    assert "It learned from 6 images" in card
    assert f"Over `{STUDENT}`, the same training without a teacher, it gains " in card
    assert " ms for an image of 64 × 64 pixels with 3 boxes" in card
    assert str(finished) not in card
    again = run_batch(finished, DISTILLED, "--export_onnx")
    assert again.returncode == 0
    assert "timing" not in again.stderr
    assert read_rows(finished) == rows


@pytest.mark.slow
def test_the_command_of_the_readme_predicts_with_the_edge_student(finished: Path) -> None:
    assert run_batch(finished, EDGE, "--export_onnx").returncode == 0
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"^uv run hed (predict sample_data.*)$", readme, flags=re.M)
    command = f"{sys.executable} -m human_edge_detection {line}"
    done = subprocess.run(command, shell=True, cwd=finished, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 images" in done.stdout
    assert "boxes: given" in done.stdout
    assert len(list((finished / "predictions" / "steps").glob("*.jpg"))) == 2


@pytest.mark.slow
def test_the_same_command_in_a_fresh_folder_gives_the_same_numbers(finished: Path, tmp_path: Path) -> None:
    done = run_batch(tmp_path / "fresh", STUDENT)
    assert done.returncode == 0, done.stdout + done.stderr
    (first,) = finished.glob(f"experiments/{STUDENT}/metrics.jsonl")
    (second,) = (tmp_path / "fresh").glob(f"experiments/{STUDENT}/metrics.jsonl")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_an_exported_model_teaches_to_a_comparison(finished: Path) -> None:
    """The export of the teacher in the place of its checkpoint, asked in ONNX Runtime about the true boxes."""
    assert run_batch(finished, TEACHER, "--export_onnx").returncode == 0
    onnx = Path("experiments", TEACHER, "checkpoints", "best_model.onnx")
    taught = ("--teacher_checkpoint", str(onnx), "--run_name", "taught_by_onnx")
    done = run_batch(finished, STUDENT, *taught)
    assert done.returncode == 0, done.stdout + done.stderr
    with (finished / "experiment_comparison.csv").open(encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["run"] == "taught_by_onnx")
    assert (row["status"], row["teacher"]) == ("finished", "best_model.onnx")
    result = json.loads((finished / "experiments" / "taught_by_onnx" / "result.json").read_text())
    own = json.loads((finished / "experiments" / TEACHER / "result.json").read_text())
    assert result["teacher_kind"] == "exported"
    assert result["teacher_full_image_iou"] == pytest.approx(own["metrics"]["full_image_iou"], abs=0.02)
    assert result["teacher_miou"] == pytest.approx(own["metrics"]["miou"], abs=0.05)
    assert float(row["teacher_miou_share"]) == pytest.approx(float(row["miou"]) / result["teacher_miou"])
