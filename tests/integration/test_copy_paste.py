"""``hed train`` with pasted persons, as it is typed, and what a run says of it."""

import json
import shutil
from pathlib import Path

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.experiments.config_file import config_file_text
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.selfcheck.small_run import as_config_file

pytestmark = pytest.mark.usefixtures("small_networks")


@pytest.fixture
def folder(tmp_path: Path, tiny_coco: Path, tiny_config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HED_DATA_ROOT", raising=False)
    shutil.copytree(tiny_coco, "data")
    fields = as_config_file(tiny_config)
    fields["data"]["root"] = "data"
    Path("tiny.yaml").write_text(config_file_text(fields))
    return tmp_path


def losses(name: str) -> list[float]:
    lines = RunPaths(Path("experiments", name)).metrics.read_text().splitlines()
    return [json.loads(line)["train/total"] for line in lines]


def test_a_training_pastes_and_is_another_run_than_without(folder: Path) -> None:
    train = ["train", "--config", "tiny.yaml"]
    assert main(train) == 0
    for name, value in (("pasted", "{}"), ("never", "{probability: 0.0}"), ("null", "null")):
        assert main([*train, "--run_name", name, "--set", f"data.augmentation.copy_paste={value}"]) == 0
    plain, pasted, never = losses("tiny"), losses("pasted"), losses("never")
    assert len(pasted) == len(plain)
    assert pasted != plain
    assert never == plain == losses("null")


def test_data_with_nobody_to_paste_end_in_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All outlines are boxes."""
    file = folder / "data" / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    for entry in content["annotations"]:
        if not entry["iscrowd"]:
            xs, ys = entry["segmentation"][0][::2], entry["segmentation"][0][1::2]
            x1, y1, x2, y2 = min(xs), min(ys), max(xs), max(ys)
            entry["segmentation"] = [[x1, y1, x2, y1, x2, y2, x1, y2]]
    file.write_text(json.dumps(content))
    assert main(["train", "--config", "tiny.yaml", "--set", "data.augmentation.copy_paste={}"]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "copy_paste" in line)
    assert "has nobody to paste" in line and "set data.augmentation.copy_paste=null" in line
