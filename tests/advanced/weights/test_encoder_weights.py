import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from human_edge_detection.advanced.feature_pyramid import PersonPyramid
from human_edge_detection.advanced.weights import encoder_weights
from human_edge_detection.advanced.weights.encoder_weights import load_encoder_weights
from human_edge_detection.advanced.weights.state_dict import load_strictly
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema import encoders
from human_edge_detection.experiments.schema.encoders import Encoder
from human_edge_detection.files.weight_files import signature_of

WIDTHS: dict[Encoder, int] = {"resnet18": 4, "resnet34": 8}
"""Small networks by these names, instead of the real ones."""


@pytest.fixture(autouse=True)
def small_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_weights, "_whole", lambda name: make_encoder(WIDTHS[name]))
    sizes = {
        name: {key: tuple(value.shape) for key, value in make_encoder(width).state_dict().items()}
        for name, width in WIDTHS.items()
    }
    monkeypatch.setattr(encoders, "ENCODER_SIGNATURES", {name: signature_of(each) for name, each in sizes.items()})


def make_encoder(width: int = 4, *, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 2 * width, 3))


def state(width: int = 4, *, seed: int = 1) -> dict[str, Tensor]:
    return make_encoder(width, seed=seed).state_dict()


def equal(module: nn.Module, expected: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, expected[name]) for name, value in module.state_dict().items())


def load(weights: Path | str, encoder: nn.Module | None = None, name: Encoder = "resnet18") -> nn.Module:
    encoder = encoder or make_encoder(WIDTHS[name])
    load_encoder_weights(encoder, name, str(weights))
    return encoder


def refused(weights: Path, *words: str) -> None:
    """Loading raises one line with ``words`` in it, and leaves the encoder as it was."""
    encoder = make_encoder()
    with pytest.raises(CheckpointError) as caught:
        load(weights, encoder)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
    assert equal(encoder, state(seed=0))


SAVERS: dict[str, Callable[[dict[str, Tensor], Path], Any]] = {
    "weights.safetensors": save_file,
    "weights.pth": torch.save,
    "weights.pt": torch.save,
}


def test_none_leaves_the_random_weights() -> None:
    assert equal(load("none"), state(seed=0))


@pytest.mark.parametrize("name", SAVERS)
def test_a_file_is_loaded_whole(name: str, tmp_path: Path) -> None:
    SAVERS[name](state(), tmp_path / name)
    assert equal(load(tmp_path / name), state())


def test_the_one_file_of_a_folder_that_fits_is_taken(tmp_path: Path) -> None:
    save_file(state(4), tmp_path / "b.safetensors")
    save_file(state(8), tmp_path / "a.safetensors")
    (tmp_path / "README.md").write_text("not weights")
    assert equal(load(tmp_path), state(4))
    assert equal(load(tmp_path, name="resnet34"), state(8))


def test_a_folder_without_a_fitting_file_lists_what_it_has(tmp_path: Path) -> None:
    refused(tmp_path, str(tmp_path), "no weights file")
    save_file(state(8), tmp_path / "wide.safetensors")
    refused(tmp_path, str(tmp_path), "no file fits resnet18", "wide.safetensors")


def test_a_folder_with_two_fitting_files_names_both(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "one.safetensors")
    torch.save(state(), tmp_path / "two.pth")
    refused(tmp_path, "several files fit", "one.safetensors", "two.pth", "give one of them: --encoder_weights")


def test_a_file_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.safetensors"
    save_file(state(8), path)
    refused(path, str(path), "not the weights of resnet18", "0.bias has shape (8,), expected (4,)")


@pytest.mark.parametrize("name", SAVERS)
@pytest.mark.parametrize("left", [0, 1, 40, 0.5, 0.99])
def test_a_truncated_file_is_refused(name: str, left: float, tmp_path: Path) -> None:
    path = tmp_path / name
    SAVERS[name](state(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(left if left >= 1 else left * len(content))])
    refused(path, str(path), "not a readable weights file")


@pytest.mark.parametrize(
    "content",
    [b"hello\n", b"<!DOCTYPE html>", b"a note.", b"t0", b"\0" * 100, b"\x80\x02a"],
    ids=["text", "html", "note", "marks", "zeros", "pickle"],
)
@pytest.mark.parametrize("name", SAVERS)
def test_something_else_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "none.pth", str(tmp_path / "none.pth"), "no such file or folder")


@pytest.mark.parametrize("content", [[1, 2], {"model": {}}, {"a": 1}], ids=["list", "nested", "number"])
def test_a_pickle_of_something_else_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    refused(path, str(path), "state dict of tensors")


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "code.pth"
    torch.save(Malicious(tmp_path / "ran"), path)
    refused(path, str(path))
    assert not (tmp_path / "ran").exists()


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def changed(change: Callable[[dict[str, Tensor]], object]) -> dict[str, Tensor]:
    weights = {name: value.clone() for name, value in state().items()}
    change(weights)
    return weights


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (changed(lambda weights: weights.pop("2.bias")), "1 tensors missing, 0 unknown: no 2.bias"),
        (
            changed(lambda weights: weights.update({"2.more": torch.zeros(1)})),
            "0 tensors missing, 1 unknown",
        ),
        (changed(lambda weights: weights.update({"2.bias": torch.zeros(8).int()})), "2.bias is torch.int32"),
        (changed(lambda weights: weights["2.bias"].fill_(float("nan"))), "2.bias holds values that are not finite"),
    ],
    ids=["missing", "unknown", "dtype", "nan"],
)
def test_weights_that_do_not_fit_are_never_half_loaded(weights: dict[str, Tensor], words: str, tmp_path: Path) -> None:
    save_file(weights, tmp_path / "w.safetensors")
    refused(tmp_path / "w.safetensors", words)
    with pytest.raises(CheckpointError, match="here: "):
        load_strictly(make_encoder(), weights, source="here")


@pytest.mark.parametrize("name", SAVERS)
@pytest.mark.parametrize(
    ("tensor", "value"), [("0.weight", 2.0**120), ("1.running_var", -1.0)], ids=["exponent", "negative variance"]
)
def test_values_that_only_damage_explains_are_refused(name: str, tensor: str, value: float, tmp_path: Path) -> None:
    path = tmp_path / name
    SAVERS[name](changed(lambda weights: weights[tensor].view(-1)[:1].fill_(value)), path)
    refused(path, f"damaged, the values of {tensor} are no weights")


@pytest.mark.parametrize("place", range(0, 100, 5))
@pytest.mark.parametrize("name", ["weights.pth", "weights.pt"])
def test_a_changed_byte_of_a_torch_file_is_found_or_harmless(name: str, place: int, tmp_path: Path) -> None:
    """Torch itself does not look at the zip checksums; bytes between the records belong to nothing."""
    path = tmp_path / name
    SAVERS[name](state(), path)
    content = bytearray(path.read_bytes())
    content[place * len(content) // 100] ^= 1
    path.write_bytes(content)
    encoder = make_encoder()
    try:
        load(path, encoder)
    except CheckpointError:
        assert equal(encoder, state(seed=0))
    else:
        assert equal(encoder, state())


@pytest.mark.parametrize("name", SAVERS)
def test_a_pipe_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    refused(tmp_path / name, "cannot be read (Not a regular file)")


@pytest.mark.parametrize(
    "header",
    [
        b'{"0.weight":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}',
        b'{"0.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4000000000]}}',
        b'{"0.weight":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
        b'{"0.weight":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b"[" * 5000,
    ],
    ids=["shape", "offset", "negative", "dtype", "overlap", "deep"],
)
def test_a_safetensors_header_that_lies_is_refused(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    refused(path, "not a readable weights file")


@pytest.mark.parametrize("length", [2**63, 2**40, 10**8])
def test_a_safetensors_header_longer_than_the_file_is_refused(length: int, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    refused(path, "not a readable weights file")


def test_a_state_that_is_no_mapping_of_dense_tensors_is_never_loaded() -> None:
    sparse = {name: value.to_sparse() for name, value in state().items()}
    for given, words in (
        (None, "got NoneType"),
        ({**state(), "0.bias": 1}, "0.bias is not"),
        (sparse, "0.bias is not"),
    ):
        with pytest.raises(CheckpointError, match=f"here: .*{words}"):
            load_strictly(make_encoder(), given, source="here")


def test_the_folder_of_the_variable_comes_before_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HED_ENCODER_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(encoder_weights, "imagenet_weights", lambda name: state(seed=7))
    save_file(state(8), tmp_path / "wide.safetensors")
    assert equal(load("imagenet"), state(seed=7)), "no file fits"
    save_file(state(4, seed=3), tmp_path / "a.safetensors")
    assert equal(load("imagenet"), state(4, seed=3))
    torch.save(state(4), tmp_path / "b.pth")
    for words in (f"HED_ENCODER_WEIGHTS={tmp_path}: several files fit", "a.safetensors, b.pth", "give one of them"):
        with pytest.raises(CheckpointError, match=words):
            load("imagenet")
    monkeypatch.setenv("HED_ENCODER_WEIGHTS", str(tmp_path / "gone"))
    with pytest.raises(CheckpointError, match=r"HED_ENCODER_WEIGHTS=.*gone: no such folder"):
        load("imagenet")


def test_a_file_of_the_variable_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HED_ENCODER_WEIGHTS", str(tmp_path))
    count = sum(value.numel() * value.element_size() for value in state().values()) // 4
    save_file({"other": torch.zeros(count)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"HED_ENCODER_WEIGHTS .*w\.safetensors: not the weights of resnet18"):
        load("imagenet")


def test_imagenet_weights_are_loaded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_weights, "imagenet_weights", lambda name: state(seed=7))
    assert equal(load("imagenet"), state(seed=7))


def pyramid_of(name: Encoder, *, depth: int) -> Any:
    return PersonPyramid(name, depth=depth, channels=8, feature_stride=4, roi_channels=8).unet.encoder


def test_lite0_starts_from_weights_of_b0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without its last stage; in a folder, where it has no weights of its own."""
    monkeypatch.undo()
    b0 = smp.encoders.get_encoder("timm-efficientnet-b0", weights=None).state_dict()
    save_file(b0, tmp_path / "b0.safetensors")
    lite0 = PersonPyramid(
        "timm-tf_efficientnet_lite0", depth=4, channels=8, feature_stride=4, roi_channels=8
    ).unet.encoder
    for given in (tmp_path, tmp_path / "b0.safetensors"):
        for value in lite0.state_dict().values():
            value.zero_()
        load_encoder_weights(lite0, "timm-tf_efficientnet_lite0", str(given))
        assert equal(lite0, b0)


def test_an_encoder_of_timm_starts_from_a_file_of_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    name: Encoder = "tu-mobilenetv4_conv_small"
    of_timm = {key.removeprefix("model."): value for key, value in smp.encoders.get_encoder(name).state_dict().items()}
    save_file(of_timm | {"classifier.weight": torch.zeros(10, 4)}, tmp_path / "small.safetensors")
    encoder = pyramid_of(name, depth=5)
    load_encoder_weights(encoder, name, str(tmp_path))
    assert equal(encoder.model, of_timm)
