"""A whole training where hardly any file may be open; tests/data/test_transport.py: how batches get out of workers."""

import subprocess
import sys
from pathlib import Path

import pytest

TINY = (
    *("--config", "quickstart_student_b0", "--epochs", "1", "--batch_size", "2", "--encoder_weights", "none"),
    *("--set", "data.sample={train_images: 6, val_images: 2, image_size: [96, 128]}"),
    *("--set", "model={encoder: mobilenet_v2, image_size: [32, 32], roi_size: [8, 8], mask_size: [16, 12]}"),
    *("--set", "training.visualize_images=0", "--num_workers", "4"),
)


@pytest.mark.slow
def test_a_training_that_may_open_24_files_ends(tmp_path: Path) -> None:
    command = f"ulimit -n 24; exec {sys.executable} -m human_edge_detection train {' '.join(map(repr, TINY))}"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "4 data workers need 32 open files, and" in ended.stderr
