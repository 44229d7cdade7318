"""The config inside a checkpoint, without torch."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.checkpoint_config import config_in_checkpoint


def test_it_is_that_of_the_checkpoint(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.rand(2, 3, 8, 8)).mean().backward()
    optimizer.step()
    training = {"optimizer": optimizer.state_dict(), "progress": {"step": 1}}
    save_checkpoint(tmp_path / "a.pth", Checkpoint(tiny_config, model.state_dict(), 3, {}, "data", training))
    assert config_in_checkpoint(tmp_path / "a.pth") == tiny_config


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    with pytest.raises(CheckpointError, match=r"a\.pth: No such file"):
        config_in_checkpoint(path)
    for content in (b"", b"hello", b"PK\x03\x04" + b"\0" * 100):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"a\.pth: damaged, or not a checkpoint of this tool"):
            config_in_checkpoint(path)
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(CheckpointError, match="not a checkpoint of this tool"):
        config_in_checkpoint(path)
    torch.save({"config": {"name": "a", "epochs": 3}}, path)
    with pytest.raises(CheckpointError, match="epochs: unknown field"):
        config_in_checkpoint(path)


def test_code_in_it_is_not_run(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Malicious(tmp_path / "ran")))
    with pytest.raises(CheckpointError, match="UnpicklingError"):
        config_in_checkpoint(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


class _Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)
