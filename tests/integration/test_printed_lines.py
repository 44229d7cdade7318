# ruff: noqa: E501 - the lines are as long as users were given them
"""Every command line that people were given, literally, one after the other in one folder as one person would.

Only numbers are smaller (50 epochs -> 2, 100 -> 4), as are the data, in ``./data``; the networks are the real ones.
"""

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.data.drawn.data_set import write_drawn_data
from human_edge_detection.runs.checks import is_finished
from human_edge_detection.runs.paths import RunPaths

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = ("train_advanced.py", "run_experiments.py", "run_distillation_training.sh", "test_run_experiments_simple.py")
STUDENT = "rgb_hierarchical_unet_v2_distillation_b0_from_b3"
TEACHER = "rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r80x60m160x120_disttrans_contdet_baware"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts, ``./data``, encoder weights and two small config files."""
    folder = tmp_path_factory.mktemp("printed")
    for name in SCRIPTS:
        (folder / name).symlink_to(REPOSITORY / name)
    write_drawn_data(folder / "data", train_images=2, val_images=2, image_size=(96, 96))
    _write_encoder_weights(folder / "weights")
    (folder / "keep_teacher.yaml").write_text(f"base: {TEACHER}\ntraining: {{keep_every: 1}}\n")
    (folder / "keep_student.yaml").write_text(f"base: {STUDENT}\ntraining: {{keep_every: 1}}\n")
    return folder


def _write_encoder_weights(folder: Path) -> None:
    """Random weights of both encoders, where no hub can be reached."""
    from safetensors.torch import save_file

    from human_edge_detection.engine.build import build_model
    from human_edge_detection.experiments.schema.model import ModelConfig

    folder.mkdir()
    for encoder in ("timm-efficientnet-b0", "timm-efficientnet-b3"):
        unet = build_model(ModelConfig.model_validate({"encoder": encoder})).unet.unet
        weights = {name: tensor.contiguous() for name, tensor in unet.encoder.state_dict().items()}
        save_file(weights, folder / f"{encoder}.safetensors")


class Person:
    """Somebody who pastes lines into a shell in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.experiments = folder / "experiments"
        self._environment = {**os.environ, "HED_ENCODER_WEIGHTS": "weights", "UV_NO_SYNC": "1"}
        self._environment.pop("HED_DATA_ROOT", None)

    def command(self, line: str) -> list[str]:
        """``line`` with this interpreter in place of ``uv run python``."""
        words = shlex.split(line)
        return [sys.executable, *words[3:]] if words[:3] == ["uv", "run", "python"] else words

    def paste(self, line: str) -> str:
        """Runs ``line``, which must succeed; what it said."""
        command = self.command(line)
        ended = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=300, check=False
        )
        said = ended.stdout + ended.stderr
        assert ended.returncode == 0, f"{line}\n{said[-3000:]}"
        return " ".join(said.split())

    def paste_until(self, line: str, file: str) -> str:
        """Runs ``line`` until a run has written ``file``, then ends it as a scheduler would; what it said."""
        before = set(self.experiments.glob(file))
        output = self.folder / "output.txt"
        with output.open("w") as stream:
            child = subprocess.Popen(
                self.command(line), cwd=self.folder, env=self._environment, stdout=stream, stderr=subprocess.STDOUT
            )
            end = time.monotonic() + 240
            while set(self.experiments.glob(file)) == before and child.poll() is None and time.monotonic() < end:
                time.sleep(0.2)
            child.send_signal(signal.SIGTERM)
            code = child.wait(60)
        said = output.read_text()
        assert code == 75, f"{line}\n{said[-3000:]}"
        return " ".join(said.split())

    def run(self, name: str) -> RunPaths:
        return RunPaths(self.experiments / name)

    def others(self, name: str) -> set[str]:
        return {path.name for path in self.experiments.glob(f"{name}+*") if path.is_dir()}

    def config(self, name: str) -> Any:
        return json.loads(self.run(name).config.read_text())


def test_one_person_pastes_all_lines(folder: Path) -> None:
    person = Person(folder)

    # A teacher, of which every checkpoint is kept, and copies of it where the lines look for one.
    said = person.paste("uv run python run_experiments.py --config keep_teacher.yaml --epochs 2")
    assert "data: ./data" in said
    assert is_finished(person.run(TEACHER))
    for copy in (
        "path/to/your/teacher.pth",
        "path/to/teacher.pth",
        "experiments/your_teacher/checkpoints/best_model.pth",
    ):
        (folder / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(person.run(TEACHER).best, folder / copy)

    person.paste(
        f"uv run python train_advanced.py --config {STUDENT} --teacher_checkpoint path/to/your/teacher.pth --batch_size 2 "
        "--epochs 1"
    )
    assert is_finished(person.run(STUDENT))

    said = person.paste(
        f"uv run python train_advanced.py --config {STUDENT} --teacher_checkpoint path/to/teacher.pth "
        "--distillation_temperature 5.0 --distillation_alpha 0.6 --batch_size 16 --epochs 2"
    )
    (other,) = person.others(STUDENT)
    assert "distillation.temperature is 4.0 there, 5.0 here" in said
    assert is_finished(person.run(other))

    person.paste(
        "uv run python train_advanced.py --config baseline --teacher_checkpoint path/to/teacher.pth --epochs 4"
    )
    assert person.config("baseline")["distillation"]["temperature"] == 4.0

    # The first student grows to two epochs, of which each is kept, and from its second to four.
    person.paste(
        "uv run python train_advanced.py --config keep_student.yaml --teacher_checkpoint path/to/teacher.pth --epochs 2"
    )
    person.paste(
        f"uv run python train_advanced.py --config {STUDENT} --resume "
        f"experiments/{STUDENT}/checkpoints/checkpoint_epoch_0002.pth --teacher_checkpoint path/to/teacher.pth --epochs 4"
    )
    training = person.config(STUDENT)["training"]
    assert (training["epochs"], training["segments"]) == (4, [1, 2, 4])

    kept = f"experiments/{TEACHER}/checkpoints/checkpoint_epoch_0001.pth"
    person.paste(
        f"uv run python run_experiments.py --configs {STUDENT} --teacher_checkpoint {kept} --batch_size 2 --epochs 1"
    )
    assert len(person.others(STUDENT)) == 2

    person.paste(
        f"uv run python run_experiments.py --configs {STUDENT} --teacher_checkpoint path/to/teacher.pth "
        "--distillation_temperature 5.0 --distillation_alpha 0.6 --epochs 2 --batch_size 4"
    )
    person.paste(
        "uv run python run_experiments.py --configs baseline --teacher_checkpoint "
        "experiments/baseline/checkpoints/best_model.pth --distillation_temperature 4.0 --distillation_alpha 0.7 --epochs 4"
    )
    (taught_by_itself,) = person.others("baseline")
    assert is_finished(person.run(taught_by_itself))

    said = person.paste(
        f"uv run python run_experiments.py --configs {TEACHER} {STUDENT} --teacher_checkpoint {kept} --epochs 2"
    )
    assert not person.others(TEACHER)
    assert (folder / kept).is_file()

    person.paste(
        f"uv run python run_experiments.py --configs {STUDENT} --resume "
        f"experiments/{STUDENT}/checkpoints/checkpoint_epoch_0001.pth --teacher_checkpoint path/to/teacher.pth "
        "--total_epochs 4"
    )
    assert list(person.run(STUDENT).checkpoints.glob("set_aside_*/checkpoint_epoch_0004.pth"))
    assert person.config(STUDENT)["training"]["segments"] == [1, 4]

    person.paste(f"uv run python run_experiments.py --configs {STUDENT} --export_onnx --skip_training")
    assert person.run(STUDENT).onnx.is_file()

    before = person.others(STUDENT)
    for flags in ("", " --distillation_temperature 6.0", " --distillation_alpha 0.8"):
        line = f"uv run python run_experiments.py --configs {STUDENT} --teacher_checkpoint path/to/teacher.pth"
        person.paste(f"{line} --batch_size 2 --epochs 4{flags}")
    assert len(person.others(STUDENT) - before) == 2  # the first is the plain run, which has its four epochs

    said = person.paste_until("./run_distillation_training.sh", f"{STUDENT}*/checkpoints/checkpoint_epoch_0001.pth")
    assert f"the teacher is experiments/{TEACHER} as it is" in said
    person.paste_until(
        "./run_distillation_training.sh --teacher_checkpoint experiments/your_teacher/checkpoints/best_model.pth",
        f"{STUDENT}*/checkpoints/checkpoint_epoch_000*.pth",
    )
    person.paste(
        "./run_distillation_training.sh --teacher_checkpoint path/to/teacher.pth --epochs 2 --temperature 5.0 --alpha 0.6 "
        f"--config {STUDENT}"
    )

    assert list(person.run(STUDENT).logs.glob("events.out.tfevents.*"))
    assert {run["status"] for run in json.loads((folder / "experiment_runs.json").read_text())} >= {"finished"}
    with (folder / "experiment_comparison.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert rows[other]["changes"].startswith("distillation.temperature=5.0 distillation.alpha=0.6")
    assert rows[STUDENT]["segments"].startswith("1 4")  # and on to the 100 of the script alone
    assert list(folder.glob("experiments/*/checkpoints/*.pth"))
