"""The file that encoder weights come from, and that training takes the same."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
from safetensors.torch import save_file

from human_edge_detection.advanced.weights.encoder_weights import load_encoder_weights
from human_edge_detection.experiments.schema.encoders import Encoder
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.runs.encoder_weights import encoder_weights_file

SMALL: Encoder = "mobilenet_v2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of two encoders, as a user may have them."""
    folder = tmp_path_factory.mktemp("weights")
    for name in (SMALL, "timm-efficientnet-b0"):
        save_file(smp.encoders.get_encoder(name, weights=None).state_dict(), folder / f"of_{name}.safetensors")
    return folder


def found(weights: Path | str, variable: Path | str = "", encoder: str = SMALL) -> Path | None:
    config = ModelConfig.model_validate({"encoder": encoder, "encoder_weights": str(weights)})
    return encoder_weights_file(config, {"HED_ENCODER_WEIGHTS": str(variable)})


def test_imagenet_stands_for_the_file_that_fits_in_the_folder_of_the_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = folder / f"of_{SMALL}.safetensors"
    assert found("imagenet", folder) == found(folder) == found(file) == file
    monkeypatch.setenv("HED_ENCODER_WEIGHTS", str(folder))
    caplog.set_level("INFO")
    load_encoder_weights(smp.encoders.get_encoder(SMALL, weights=None), SMALL, "imagenet")
    assert f"starts from {file}" in caplog.text


def test_where_the_word_says_it_all_there_is_no_file(folder: Path, tmp_path: Path) -> None:
    assert found("imagenet") is None
    assert found("none", folder) is None
    assert found("imagenet", folder, encoder="resnet18") is None
    assert found("imagenet", tmp_path / "nowhere") is None
    assert found(tmp_path / "nowhere.pth") is None


def test_of_two_files_that_fit_none_is_taken(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.safetensors").symlink_to(folder / f"of_{SMALL}.safetensors")
    assert found(tmp_path) is None
