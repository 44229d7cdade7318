"""From a data folder with a test split to a comparison on it."""

import csv
import shutil
from pathlib import Path

import pytest
from run_fixtures import Train

import human_edge_detection as hed
from human_edge_detection.cli.main import main
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths, card_path


@pytest.mark.slow
def test_runs_are_trained_tested_compared_and_carded(
    tiny_config: ExperimentConfig,
    tested_coco: Path,
    train: Train,
    small_networks: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(tested_coco / "images/train/000001.png", tested_coco / "images/test/000001.png")
    for name, rate in (("slow", 1e-5), ("quick", 2e-3)):
        config = derive(tiny_config, name="tiny", data={"root": str(tested_coco)}, training={"learning_rate": rate})
        train(config, RunPaths(Path("experiments", name)))
    assert "1 of 4 images of test are also in train, byte for byte" in caplog.text

    runs = [RunPaths(Path("experiments", name)) for name in ("quick", "slow")]
    command = ["compare", "quick", "--against", "slow", "--split", "test"]
    assert main(command) == 0, "it evaluates them first"
    shown = capsys.readouterr()
    assert "quick against slow, 4 test images" in shown.out
    assert "DEVIATION: 1 of 4 test images are also in train: scores on them say little" in shown.out
    assert all("it has no test scores: evaluating it there" in shown.err for run in runs)
    rows = list(csv.DictReader(Path("experiment_comparison/comparison.csv").read_text(encoding="utf-8").splitlines()))
    (evaluation,) = hed.evaluate("quick", split="test", num_workers=0)
    means = {row["metric"]: float(row["mean"]) for row in rows if row["slice"] == "all"}
    assert means.items() <= {name: pytest.approx(value) for name, value in evaluation.metrics.items()}.items()

    before = [run.test_scores.stat().st_mtime_ns for run in runs]
    assert main(command) == 0
    assert [run.test_scores.stat().st_mtime_ns for run in runs] == before, "they are there and count"
    annotations = tested_coco / "annotations" / "instances_test.json"
    annotations.write_text(annotations.read_text() + "\n")
    assert main(command) == 0
    assert "its test scores are of other annotations" in capsys.readouterr().err
    assert all(run.test_scores.stat().st_mtime_ns > then for run, then in zip(runs, before, strict=True))

    (exported,) = hed.export("quick")
    of_file = hed.evaluate_exported(exported.destination.onnx, split="test", num_workers=0)
    assert (of_file.split, of_file.images) == ("test", 4)
    assert of_file.metrics["miou"] == pytest.approx(evaluation.metrics["miou"], abs=1e-4)
    card = card_path(runs[0].onnx)
    assert "| on a test split |" in card.read_text(encoding="utf-8")
    card.unlink()
    assert main(["evaluate", "quick", "--split", "test", "--num_workers", "0"]) == 0
    assert "But 1 of them are also in train" in card.read_text(encoding="utf-8"), "it is written again"
