"""Children that stood by, with all their imports: a batch of them is the batch of fresh ones, bit by bit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import human_edge_detection as hed
from human_edge_detection.runner.backends import standby
from human_edge_detection.runner.backends.standby import LEAST_MEMORY
from human_edge_detection.runs.paths import RunPaths

STUDENT = "quickstart_student_b0"
CHANGES = {
    "data.sample.train_images": 6,
    "data.sample.val_images": 2,
    "data.num_workers": 1,
    "model.image_size": [64, 64],
    "training.epochs": 2,
    "training.batch_size": 3,
}


@pytest.mark.slow
def test_each_run_of_a_batch_is_that_of_a_fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    give = standby.Waiting.give

    def noted(self: standby.Waiting, command: list[str]) -> None:
        give(self, command)
        taken.append(self.process.pid)

    monkeypatch.setattr(standby.Waiting, "give", noted)
    monkeypatch.setattr(standby, "available_memory", lambda: LEAST_MEMORY)
    batch = tmp_path / "batch" / "experiments"
    assert hed.run_experiments(STUDENT, changes=CHANGES, seeds=[0, 1], output_dir=batch, export_onnx=True).good
    runs = [RunPaths(root) for root in sorted(batch.glob("*/seed_*"))]
    assert [json.loads(paths.status.read_text())["pid"] for paths in runs] == taken
    fresh = tmp_path / "fresh" / "experiments"
    settings = [word for path, value in CHANGES.items() for word in ("--set", f"{path}={json.dumps(value)}")]
    command = [sys.executable, "-m", "human_edge_detection", "train", "--config", STUDENT, *settings, "--export_onnx"]
    subprocess.run([*command, "--set", "training.seed=1", "--output_dir", str(fresh)], check=True, timeout=300)
    (alone,) = [RunPaths(file.parent) for file in fresh.glob("*/config.json")]
    for file in ("metrics.jsonl", "checkpoints/best_model.pth", "checkpoints/best_model.onnx"):
        assert (runs[1].root / file).read_bytes() == (alone.root / file).read_bytes(), file
