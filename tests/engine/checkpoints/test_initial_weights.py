"""Where a new run's weights come from, of our own checkpoints and of files that others saved."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.engine.checkpoints.initial_weights import load_initial_weights, load_unet
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig

pytestmark = pytest.mark.usefixtures("small_networks")
UNET = "unet.unet."


def network(config: ExperimentConfig, seed: int = 1) -> RgbPersonSegmenter:
    torch.manual_seed(seed)
    return build_model(config.model)


def own(config: ExperimentConfig, path: Path) -> None:
    save_checkpoint(path, Checkpoint(config, network(config).state_dict(), 3, {"miou": 0.5}, "data"))


def resaved(config: ExperimentConfig, path: Path) -> None:
    own(config, path)
    torch.save(torch.load(path, weights_only=True), path)


def weights(config: ExperimentConfig) -> Mapping[str, Tensor]:
    return network(config).state_dict()


ALL: Mapping[str, tuple[Callable[[ExperimentConfig, Path], Any], str]] = {
    "own": (own, ""),
    "saved again": (resaved, "another program saved it again"),
    "weights only": (lambda config, path: torch.save(weights(config), path), ""),
    "safetensors": (lambda config, path: save_file(dict(weights(config)), path), ""),
    "nested": (lambda config, path: torch.save({"net": {"model": weights(config)}}, path), "from behind 'net.model."),
    "prefixed": (
        lambda config, path: torch.save({f"module.{n}": v for n, v in weights(config).items()}, path),
        "from behind 'module.",
    ),
    "half": (
        lambda config, path: torch.save(
            {n: v.half() if v.is_floating_point() else v for n, v in weights(config).items()}, path
        ),
        "float16 converted to float32",
    ),
}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("part", ["all", "unet"])
def test_weights_are_loaded_and_changes_are_a_warning(
    kind: str, part: str, tiny_config: ExperimentConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make, words = ALL[kind]
    path = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pth")
    make(tiny_config, path)
    student = network(tiny_config, seed=0)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    (load_initial_weights if part == "all" else load_unet)(student, path, tiny_config)
    precision = 1e-2 if kind == "half" else 0.0
    expected = weights(tiny_config)
    for name, value in student.state_dict().items():
        wanted = expected if part == "all" or name.startswith(UNET) else before
        torch.testing.assert_close(value, wanted[name], atol=precision, rtol=precision)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert words in " ".join(warnings)
    assert bool(warnings) == (bool(words) or (part == "unet" and kind in ("weights only", "safetensors")))


def test_the_u_net_of_another_program_is_loaded(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    unet = network(tiny_config).unet.unet
    torch.save(
        {"state_dict": {f"model.{name}": value for name, value in unet.state_dict().items()}}, tmp_path / "a.pth"
    )
    student = network(tiny_config, seed=0)
    load_unet(student, tmp_path / "a.pth", tiny_config)
    assert all(torch.equal(value, unet.state_dict()[name]) for name, value in student.unet.unet.state_dict().items())


@pytest.mark.parametrize("load", [load_initial_weights, load_unet])
def test_weights_of_another_network_change_nothing(
    load: Callable[..., None], tiny_config: ExperimentConfig, tmp_path: Path
) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pth")
    student = network(tiny_config)
    with pytest.raises(CheckpointError, match=r"a\.pth: not .*tensors missing, 1 unknown"):
        load(student, tmp_path / "a.pth", tiny_config)
    assert all(torch.equal(value, weights(tiny_config)[name]) for name, value in student.state_dict().items())
