"""Fixtures for whole runs: networks of a few thousand weights, so that a run takes a second.

What imports torch is imported when it is asked for, so that the tests of the command line stay quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult

if TYPE_CHECKING:
    from human_edge_detection.engine.training.trainer import Trainer

Train = Callable[..., RunResult]
MakeTrainer = Callable[[ExperimentConfig], "Trainer"]


@pytest.fixture
def small_networks() -> Iterator[None]:
    """Networks of a few thousand weights in place of the real ones."""
    import torch
    from small_networks import networks_made_small

    deterministic = torch.are_deterministic_algorithms_enabled()
    with networks_made_small():
        yield
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def float64() -> Iterator[None]:
    """All arithmetic in float64, where the rounding of one processor or another stays far below any change meant."""
    from trainers import float64_arithmetic

    with float64_arithmetic():
        yield


@pytest.fixture(scope="session")
def train() -> Train:
    """``train(config, paths, **options)``: a whole run with small networks, in the folder ``paths``."""

    from small_networks import networks_made_small

    from human_edge_detection.engine.session.execute import execute_run

    def run(config: ExperimentConfig, paths: RunPaths, **options: Any) -> RunResult:
        options = {"resume": None, **options}
        with networks_made_small():
            return execute_run(config, paths, command=["test"], sample_root=paths.root / "sample", **options)

    return run


@pytest.fixture(scope="session")
def trained_teacher(train: Train, tiny_coco: Path, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A finished run of a wider network at other sizes; its best checkpoint is a teacher. Read it, do not change it."""
    config = build_config(
        {
            "name": "tiny_teacher",
            "data": {"root": str(tiny_coco), "num_workers": 0},
            "model": {
                "encoder": "resnet18",
                "encoder_weights": "none",
                "image_size": [96, 96],
                "roi_size": [24, 16],
                "mask_size": [48, 32],
                "head_channels": 8,
            },
            "training": {
                "epochs": 3,
                "batch_size": 2,
                "learning_rate": 1e-2,
                "device": "cpu",
                "precision": "fp32",  # auto would take what is the quickest on this processor
                "visualize_images": 0,
            },
        }
    )
    paths = RunPaths(tmp_path_factory.mktemp("teacher") / config.name)
    train(config, paths)
    return paths


@pytest.fixture
def untrained_teacher(tiny_config: ExperimentConfig, small_networks: None, tmp_path: Path) -> Path:
    """Checkpoint of a random wider network, the same one each time, in float32 or :func:`float64`."""
    from human_edge_detection.engine.build import build_model
    from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
    from human_edge_detection.engine.device import seed_everything

    seed_everything(1)
    config = derive(tiny_config, name="untrained", model={"encoder": "resnet18", "mask_size": [48, 32]})
    path = tmp_path / "untrained_teacher.pth"
    save_checkpoint(path, Checkpoint(config, build_model(config.model).state_dict(), 0, {}, ""))
    return path


@pytest.fixture(scope="session")
def distilled_config(tiny_config: ExperimentConfig, trained_teacher: RunPaths) -> ExperimentConfig:
    """:func:`tiny_config`, taught by :func:`trained_teacher`."""
    return derive(tiny_config, name="tiny_distilled", distillation={"teacher_checkpoint": str(trained_teacher.best)})


@pytest.fixture
def make_trainer(tmp_path: Path) -> MakeTrainer:
    """``make_trainer(config)``: a trainer before its first step, built as a run builds it."""
    from trainers import trainer_of

    return lambda config: trainer_of(config, tmp_path)


@pytest.fixture
def trained_runs(
    tmp_path: Path,
    tiny_config: ExperimentConfig,
    write_run: Callable[..., RunPaths],
    small_networks: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The current folder, with ``experiments/``: ``tiny`` in two seeds and ``alone``, of the same small network."""
    from human_edge_detection.engine.build import build_model
    from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint

    monkeypatch.chdir(tmp_path)
    for name, seed in (("tiny/seed_0", 0), ("tiny/seed_1", 1), ("alone", 0)):
        config = derive(tiny_config, name="tiny", training={"seed": seed})
        paths = write_run(Path("experiments", name), config)
        save_checkpoint(paths.best, Checkpoint(config, build_model(config.model).state_dict(), 2, {}, "data"))
    return tmp_path
