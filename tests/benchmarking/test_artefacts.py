"""Which files are measured of what is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from constant_models import OURS, constant_model
from torch import nn

from human_edge_detection.benchmarking.artefacts import make_artefacts
from human_edge_detection.benchmarking.sources import Source
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.exporters import onnx as exporter
from human_edge_detection.files.read import file_sha256
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.paths import RunPaths

WriteRun = Callable[..., RunPaths]


@pytest.fixture
def exported_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, int]]:
    """The sizes of the exports, in place of which constant models are written."""
    sizes: list[tuple[int, int]] = []

    def export(network: object, config: ModelConfig) -> bytes:
        sizes.append(config.image_size)
        outputs = {"masks": np.zeros((1, 3, 2, 2)), "binary_masks": np.zeros((1, 1, *config.image_size))}
        shape = (1, 3, *config.image_size)
        return constant_model(tmp_path / "export.onnx", outputs, shape=shape, metadata=OURS, rois=True).read_bytes()

    monkeypatch.setattr(exporter, "export_unchecked", export)
    return sizes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "exports"
    made.mkdir()
    return made


@pytest.fixture
def trained(tiny_config: ExperimentConfig, small_networks: None, tmp_path: Path, write_run: WriteRun) -> Source:
    paths = write_run(tmp_path / "run", tiny_config)
    weights = build_model(tiny_config.model).state_dict()
    save_checkpoint(paths.best, Checkpoint(tiny_config, weights, 1, {}, ""))
    return Source("run", checkpoint=paths.best, config=tiny_config)


def test_a_checkpoint_is_exported_at_each_size(
    trained: Source, exported_at: list[tuple[int, int]], folder: Path
) -> None:
    artefacts = make_artefacts(trained, [(64, 64), (96, 128)], folder)
    assert exported_at == [(64, 64), (96, 128)]
    assert [artefact.image_size for artefact in artefacts] == exported_at
    assert {(one.model, one.weights, one.kind, one.takes_rois) for one in artefacts} == {
        ("run", "trained", "instances", True)
    }
    assert len({artefact.path for artefact in artefacts}) == 2


def test_the_export_of_a_run_is_taken_as_it_is_at_its_own_size(
    trained: Source, exported_at: list[tuple[int, int]], folder: Path
) -> None:
    assert trained.checkpoint is not None
    run = RunPaths(trained.checkpoint.parents[1])
    outputs = {"masks": np.zeros((1, 3, 2, 2)), "binary_masks": np.zeros((1, 1, 64, 64))}
    constant_model(run.onnx, outputs, shape=(1, 3, 64, 64), metadata=OURS, rois=True)
    report: dict[str, Any] = {
        "onnx": "checkpoints/best_model.onnx",
        "checkpoint_sha256": file_sha256(run.best),
        "opset": 18,
        "size_bytes": run.onnx.stat().st_size,
        "onnx_sha256": file_sha256(run.onnx),
        "tolerance": 1e-4,
        "max_difference": 0.0,
        "mask_iou": 1.0,
        "passed": True,
        "cases": [],
    }
    write_json(run.parity, report)
    artefacts = make_artefacts(trained, None, folder)
    assert [artefact.path for artefact in artefacts] == [run.onnx]
    assert exported_at == []
    make_artefacts(trained, [(32, 32)], folder)
    run.onnx.write_bytes(b"another file")
    make_artefacts(trained, None, folder)
    assert exported_at == [(32, 32), (64, 64)]


def test_an_experiment_has_random_weights_the_same_each_time(
    tiny_config: ExperimentConfig, small_networks: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[float] = []

    def export(network: nn.Module, config: ModelConfig) -> bytes:
        weights.append(sum(float(one.detach().sum()) for one in network.parameters()))
        outputs = {"binary_masks": np.zeros((1, 1, 64, 64))}
        return constant_model(folder.parent / "m.onnx", outputs, shape=(1, 3, 64, 64), metadata=OURS).read_bytes()

    monkeypatch.setattr(exporter, "export_unchecked", export)
    for _ in range(2):
        artefacts = make_artefacts(Source("tiny", config=tiny_config), None, folder)
        assert artefacts[0].weights == "random"
    assert weights[0] == weights[1]


def test_a_file_keeps_its_size(folder: Path, tmp_path: Path) -> None:
    path = constant_model(tmp_path / "m.onnx", {"binary_masks": np.zeros((1, 1, 4, 6))}, metadata=OURS)
    artefacts = make_artefacts(Source("m", file=path), [(4, 6), (32, 32)], folder)
    assert [(artefact.path, artefact.image_size, artefact.kind) for artefact in artefacts] == [
        (path, (4, 6), "person_map")
    ]


def test_errors_of_the_other_package_become_errors_of_this_one(folder: Path, tmp_path: Path) -> None:
    path = constant_model(tmp_path / "m.onnx", {"people": np.zeros((1, 1, 4, 6), np.float32)})
    with pytest.raises(ConfigError, match=r"describe it in m\.adapter\.json beside it"):
        make_artefacts(Source("m", file=path), None, folder)
    path.write_bytes(b"no model")
    with pytest.raises(CheckpointError, match="ONNX Runtime cannot open it"):
        make_artefacts(Source("m", file=path), None, folder)
