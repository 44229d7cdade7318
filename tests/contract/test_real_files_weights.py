"""Weights as other programs save them: loaded and said so in a line, or refused with what to give instead.

| kind | cases |
|---|---|
| a whole classifier, of timm or torchvision | 3 |
| another precision: float16, bfloat16, float64 | 6 |
| nested in dicts | 6 |
| behind prefixes | 7 |
| without, or with other, counters of BatchNorm | 2 |
| in a folder, found without torch | 4 |
| more of a network around the encoder | 2 |
| another encoder | 4 |
| another library, format or thing | 6 |
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from human_edge_detection.advanced.weights import encoder_weights
from human_edge_detection.advanced.weights.encoder_weights import load_encoder_weights
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.encoders import Encoder
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.runs.encoder_weights import encoder_weights_file

Weights = Mapping[str, Tensor]
ENCODER: Encoder = "mobilenet_v2"


def narrow(seed: int = 1) -> nn.Module:
    """The network of all cases but those that need a real one: the beginning and the end of a real one."""
    torch.manual_seed(seed)
    whole = torchvision.models.mobilenet_v2(weights=None, num_classes=10, width_mult=0.125)
    whole.features = whole.features[:2]
    network: nn.Module = whole
    return network


def narrow_encoder(seed: int = 1) -> nn.Module:
    network = narrow(seed)
    del network.classifier
    return network


@pytest.fixture(scope="module")
def classifier() -> Weights:
    return narrow().state_dict()


def of_encoder(classifier: Weights) -> dict[str, Tensor]:
    return {name: value for name, value in classifier.items() if name.startswith("features.")}


def cast(weights: Weights, dtype: torch.dtype, *, counters: bool = False) -> dict[str, Tensor]:
    return {
        name: value.to(dtype) if counters or value.is_floating_point() else value for name, value in weights.items()
    }


def under(prefix: str, weights: Weights) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in weights.items()}


def without_counters(weights: Weights) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if "num_batches" not in name}


PREFIXES = (
    "module.",
    "_orig_mod.",
    "encoder.",
    "model.",
    "backbone.",
    "module._orig_mod.model.",
    "model.student.backbone.",
)
NESTS: Mapping[str, Callable[[Weights], Any]] = {
    "state_dict": lambda weights: {"state_dict": weights, "epoch": 3},
    "model": lambda weights: {"model": weights, "optimizer": {"state": {0: {"step": torch.zeros(1)}}}},
    "model_state_dict": lambda weights: {"model_state_dict": weights, "loss": 0.1},
    "state_dict_ema": lambda weights: {"state_dict": cast(weights, torch.float16), "state_dict_ema": weights},
    "deep": lambda weights: {"checkpoint": {"ema": {"module": under("module.", weights)}}},
    "Lightning": lambda weights: {"state_dict": under("model.encoder.", weights), "optimizer_states": [{}], "lr": 0.1},
}
LOADED: Mapping[str, tuple[Callable[[Weights], Any], str]] = {
    "classifier": (lambda weights: weights, "left out 2 tensors (classifier.1.bias, classifier.1.weight)"),
    **{
        f"{dtype}{' counters too' if counters else ''}": (
            partial(cast, dtype=dtype, counters=counters),
            f"{str(dtype).removeprefix('torch.')} converted to float32",
        )
        for dtype in (torch.float16, torch.bfloat16, torch.float64)
        for counters in (False, True)
    },
    **{f"nested under {name}": (make, "taken from behind") for name, make in NESTS.items()},
    **{f"prefix {prefix}": (partial(under, prefix), f"taken from behind {prefix!r}") for prefix in PREFIXES},
    "no counters": (without_counters, "num_batches_tracked set to 0"),
    "all at once": (
        lambda weights: {"model": under("module.encoder.", cast(without_counters(weights), torch.float16))},
        "taken from behind 'model.module.encoder.', float16 converted to float32, num_batches_tracked set to 0, ",
    ),
    "a whole U-Net": (
        lambda weights: {
            **under("encoder.", of_encoder(weights)),
            **under("decoder.", torch.nn.Conv2d(2, 2, 1).state_dict()),
        },
        "taken from behind 'encoder.', left out",
    ),
}


@pytest.mark.parametrize("kind", LOADED)
def test_the_encoder_in_it_is_loaded_and_a_line_says_what_was_changed(
    kind: str,
    classifier: Weights,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make, words = LOADED[kind]
    monkeypatch.setattr(encoder_weights, "_whole", lambda name: narrow_encoder())
    torch.save(make(classifier), tmp_path / "w.pth")
    encoder = narrow_encoder(seed=0)
    caplog.set_level(logging.INFO)
    load_encoder_weights(encoder, ENCODER, str(tmp_path / "w.pth"))
    (line,) = [record.getMessage() for record in caplog.records]
    assert words in line
    assert "\n" not in line
    precision = 0.01 if "float16" in line else 0.0
    for name, value in of_encoder(classifier).items():
        if "num_batches" not in name:
            torch.testing.assert_close(encoder.state_dict()[name], value, rtol=precision, atol=precision)


@pytest.mark.parametrize("kind", ["classifier", "torch.float16", "nested under Lightning", "no counters"])
def test_the_same_file_of_a_folder_is_found_without_torch_and_by_training(kind: str, tmp_path: Path) -> None:
    classifier = torchvision.models.mobilenet_v2(weights=None).state_dict()
    torch.save(LOADED[kind][0](classifier), tmp_path / "w.pth")
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    config = ModelConfig.model_validate({"encoder": ENCODER, "encoder_weights": str(tmp_path)})
    assert encoder_weights_file(config, {}) == tmp_path / "w.pth"
    encoder = smp.encoders.get_encoder(ENCODER, weights=None)
    load_encoder_weights(encoder, ENCODER, str(tmp_path))
    name = "features.0.0.weight"
    assert (encoder.state_dict()[name] - classifier[name]).abs().max() < 0.01


@pytest.mark.parametrize(
    ("encoder", "make"),
    [
        ("timm-efficientnet-b0", lambda: timm.create_model("tf_efficientnet_b0", pretrained=False)),
        ("resnet18", lambda: torchvision.models.resnet18(weights=None)),
    ],
)
def test_classifiers_of_timm_and_torchvision_are_loaded(
    encoder: Encoder, make: Callable[[], nn.Module], tmp_path: Path
) -> None:
    state = make().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    module = smp.encoders.get_encoder(encoder, weights=None)
    load_encoder_weights(module, encoder, str(tmp_path))
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def refusal(encoder: Encoder, path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_encoder_weights(smp.encoders.get_encoder(encoder, weights=None), encoder, str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("theirs", "ours", "nested"),
    [
        ("timm-efficientnet-b1", "timm-efficientnet-b0", False),
        ("resnet34", "resnet18", True),
        pytest.param("timm-efficientnet-b3", "timm-efficientnet-b0", True, marks=pytest.mark.slow),
        pytest.param("resnet34", "resnet18", False, marks=pytest.mark.slow),
    ],
)
def test_another_encoder_is_named_though_all_of_ours_names_and_shapes_are_there(
    theirs: Encoder, ours: Encoder, nested: bool, tmp_path: Path
) -> None:
    weights = cast(smp.encoders.get_encoder(theirs, weights=None).state_dict(), torch.float16)
    torch.save({"model": under("encoder.", weights)} if nested else weights, tmp_path / "w.pth")
    assert f"these are {theirs}'s weights, and model.encoder is {ours}; " in refusal(ours, tmp_path / "w.pth")


OTHERS: Mapping[str, tuple[Callable[[Path], Any], str]] = {
    "another library's names": (
        lambda path: torch.save(torchvision.models.efficientnet_b0(weights=None).state_dict(), path),
        "the names are those of another library (features.0.0.weight ..., expected conv_stem.weight ...)",
    ),
    "a whole module": (
        lambda path: torch.save(torch.nn.Linear(2, 2), path),
        "it names torch.nn.modules.linear.Linear; expected plain values and dense tensors, as torch.save(model.state_",
    ),
    "the old format": (
        lambda path: torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=False),
        "save it again: torch.save(torch.load(FILE, weights_only=True), NEW_FILE)",
    ),
    "an exported model": (lambda path: path.write_bytes(b"\x08\x08\x12\x07pytorch"), "not a readable weights file"),
    "one channel": (
        lambda path: torch.save(
            timm.create_model("tf_efficientnet_b0", pretrained=False, in_chans=1).state_dict(), path
        ),
        "conv_stem.weight has shape (32, 1, 3, 3), expected (32, 3, 3, 3)",
    ),
    "no weights": (lambda path: torch.save({"epoch": 3}, path), "expected a state dict of tensors"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_something_else_is_explained(kind: str, tmp_path: Path) -> None:
    make, words = OTHERS[kind]
    make(tmp_path / "w.pth")
    assert words in refusal("timm-efficientnet-b0", tmp_path / "w.pth")
