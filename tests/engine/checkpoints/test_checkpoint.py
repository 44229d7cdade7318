import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig


@pytest.fixture
def checkpoint(tiny_config: ExperimentConfig) -> Checkpoint:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.rand(2, 3, 8, 8)).mean().backward()
    optimizer.step()
    training = {"optimizer": optimizer.state_dict(), "progress": {"step": 1, "best_score": float("-inf")}}
    metrics = {"miou": 0.5, "iou_target": None}
    return Checkpoint(tiny_config, model.state_dict(), 3, metrics, "fingerprint", training)


def flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {key: leaf for part, below in value.items() for key, leaf in flat(below, f"{name}.{part}").items()}
    return {name: value}


def assert_bitwise_equal(a: Any, b: Any) -> None:
    a, b = flat(a), flat(b)
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]) if isinstance(value, torch.Tensor) else value == b[name], name


def test_a_checkpoint_comes_back_bit_by_bit(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    sha256 = save_checkpoint(path, checkpoint)
    read, read_sha256 = read_checkpoint(path)
    assert_bitwise_equal(vars(read), vars(checkpoint))
    assert read_sha256 == sha256
    weights_only, _ = read_checkpoint(_saved(tmp_path / "b.pth", replace(checkpoint, training=None)))
    assert weights_only.training is None


def _saved(path: Path, checkpoint: Checkpoint) -> Path:
    save_checkpoint(path, checkpoint)
    return path


def test_every_tensor_goes_to_main_memory_first(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with storages of ``cuda:0`` cannot be loaded where there is no GPU."""
    moved: list[int] = []
    cpu = torch.Tensor.cpu

    def counted(tensor: torch.Tensor) -> torch.Tensor:
        moved.append(id(tensor))
        return cpu(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", counted)
    save_checkpoint(tmp_path / "a.pth", checkpoint)
    held = [*checkpoint.model.values(), *flat(checkpoint.training).values()]
    assert {id(value) for value in held if isinstance(value, torch.Tensor)} <= {*moved}


def test_the_summary_beside_it_says_what_it_is(checkpoint: Checkpoint, tmp_path: Path) -> None:
    sha256 = save_checkpoint(tmp_path / "a.pth", checkpoint)
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "experiment": "tiny",
        "sha256": sha256,
        "size_bytes": (tmp_path / "a.pth").stat().st_size,
        "epoch": 3,
        "metrics": {"miou": 0.5, "iou_target": None},
        "data_fingerprint": "fingerprint",
        "step": 1,
    }


def test_torch_reads_the_file_too(checkpoint: Checkpoint, tmp_path: Path) -> None:
    payload = torch.load(_saved(tmp_path / "a.pth", checkpoint), weights_only=True)
    assert payload["format"] == "human-edge-detection"
    assert_bitwise_equal(payload["model"], checkpoint.model)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in (str(path), *words)), message


@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 0.99, -1])
def test_a_flipped_bit_is_found(place: float, checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.pth", checkpoint)
    content = bytearray(path.read_bytes())
    content[-1 if place < 0 else int(place * len(content))] ^= 1
    path.write_bytes(content)
    refused(path, "damaged")


@pytest.mark.parametrize("left", [0, 1, 40, 41, 0.5, -42, -40, -1])
def test_a_truncated_file_is_found(left: float, checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.pth", checkpoint)
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content)) if isinstance(left, float) else left])
    refused(path, "truncated")


def _resaved(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    torch.save(change(torch.load(path, weights_only=True)), path)


def test_a_checkpoint_that_others_saved_again_is_read_with_a_warning(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _saved(tmp_path / "a.pth", checkpoint)
    for change in (dict, lambda payload: {key: value for key, value in payload.items() if key != "training"}):
        caplog.clear()
        _resaved(path, change)
        read, sha256 = read_checkpoint(path)
        assert_bitwise_equal(read.model, checkpoint.model)
        assert read.config == checkpoint.config
        assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert "a.pth: another program saved it again" in caplog.text
    content = bytearray(path.read_bytes())
    tensor = next(iter(checkpoint.model.values())).numpy().tobytes()
    content[content.index(tensor)] ^= 1  # the checksums of the archive's records find it
    path.write_bytes(content)
    refused(path, "damaged")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda payload: payload["model"], "weights without the config that says of which network they are"),
        (lambda payload: {"state_dict": payload["model"]}, "give the best_model.pth that hed wrote, or start a run"),
        (lambda payload: {"best": payload}, "inside, under 'best'; save it alone: torch.save(torch.load(FILE, weights"),
        (lambda payload: payload | {"note": "mine"}, "(note: Extra inputs are not permitted); use the file that hed"),
    ],
    ids=["weights", "nested weights", "nested", "with a note"],
)
def test_what_else_others_make_of_a_checkpoint_is_explained(
    change: Callable[[dict[str, Any]], Any], words: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = _saved(tmp_path / "a.pth", checkpoint)
    _resaved(path, change)
    refused(path, words)


def test_safetensors_are_no_checkpoint(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_file(dict(checkpoint.model), tmp_path / "a.safetensors")
    refused(tmp_path / "a.safetensors", "weights without the config")


def test_more_bytes_at_the_end_are_found(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.pth", checkpoint)
    path.write_bytes(path.read_bytes() + b"\0")
    refused(path, "truncated, or not a checkpoint")


@pytest.mark.parametrize("content", [b"epochs: 3\n", pickle.dumps({"a": 1}), b"\0" * 4096], ids=["text", "pickle", "0"])
def test_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    refused(tmp_path / "a.pth", "not a checkpoint of this tool")


def test_weights_of_another_tool_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "not a checkpoint of this tool")


@pytest.mark.parametrize("path", ["none.pth", "."])
def test_a_path_that_is_no_file_is_named(path: str, tmp_path: Path) -> None:
    refused(tmp_path / path, "give the path of a .pth file")


def save_payload(path: Path, payload: Any, monkeypatch: pytest.MonkeyPatch, checkpoint: Checkpoint) -> Path:
    """A file with a right checksum around ``payload``."""
    save = torch.save
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", lambda given, buffer: save(payload(given), buffer))
        save_checkpoint(path, checkpoint)
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda payload: payload | {"format_version": 99}, "written by a newer version (format 99"),
        (lambda payload: payload | {"format": "other"}, "not a checkpoint of this tool"),
        (lambda payload: [payload], "not a checkpoint of this tool"),
        (lambda payload: payload | {"config": {"name": "x", "schema_version": 1, "modle": {}}}, "modle: unknown field"),
        (lambda payload: payload | {"config": Path("code")}, "it names pathlib."),
    ],
    ids=["newer", "other format", "list", "config", "code"],
)
def test_a_whole_file_with_something_else_in_it_is_refused(
    change: Callable[[Any], Any], words: str, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(save_payload(tmp_path / "a.pth", change, monkeypatch, checkpoint), words)
