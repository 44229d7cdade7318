"""How much a weights file holds, told by its head."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from human_edge_detection.files.weight_files import (
    WeightsSignature,
    flat_names,
    prefixes_of,
    signature_of,
    tensor_bytes,
    tensor_sizes,
    weight_files,
    weight_files_of,
)

TWO = WeightsSignature(frozenset({"a"}), 2, 0)

SAVERS: dict[str, Callable[[Any, Path], Any]] = {
    "weights.safetensors": save_file,
    "weights.pth": torch.save,
    "weights.pt": torch.save,
}


@pytest.mark.parametrize("name", SAVERS)
def test_the_bytes_are_those_of_the_tensors(name: str, tmp_path: Path) -> None:
    state = nn.BatchNorm2d(5).state_dict()
    SAVERS[name](state, tmp_path / name)
    assert tensor_bytes(tmp_path / name) == 4 * 5 * 4 + 8
    SAVERS[name]({"a": torch.zeros(3, dtype=torch.float16)}, tmp_path / name)
    assert tensor_bytes(tmp_path / name) == 6


@pytest.mark.parametrize("name", SAVERS)
@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 100])
def test_what_is_no_weights_file_holds_nothing(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert tensor_sizes(tmp_path / name) == {}
    assert tensor_bytes(tmp_path / name) in (None, len(content) - 8 - int.from_bytes(content[:8], "little"))
    assert weight_files_of(tmp_path, TWO) == []


def test_the_files_of_a_size_are_found(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "two.safetensors")
    torch.save({"a": torch.zeros(2)}, tmp_path / "two.pth")
    save_file({"a": torch.zeros(3)}, tmp_path / "three.safetensors")
    (tmp_path / "README.md").write_text("12345678")
    (tmp_path / "folder.pth").mkdir()
    os.mkfifo(tmp_path / "pipe.pt")
    assert [path.name for path in weight_files_of(tmp_path, TWO)] == ["two.pth", "two.safetensors"]
    assert [path.name for path in weight_files(tmp_path)] == ["three.safetensors", "two.pth", "two.safetensors"]
    assert weight_files_of(tmp_path / "nowhere", TWO) == []


@pytest.mark.parametrize("name", SAVERS)
def test_sizes_are_read_without_the_tensors(name: str, tmp_path: Path) -> None:
    state = nn.BatchNorm2d(5).state_dict()
    SAVERS[name]({key: value.half() for key, value in state.items()}, tmp_path / name)
    assert tensor_sizes(tmp_path / name) == {key: tuple(value.shape) for key, value in state.items()}


def test_a_file_that_holds_more_in_other_precision_under_longer_names_is_found(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    state = network.state_dict()
    signature = signature_of({name: tuple(value.shape) for name, value in state.items()})
    assert signature == WeightsSignature(frozenset({"0", "1"}), 4 * 27 + 4 + 4 * 4, 1)
    kept = {f"module.{name}": value.half() for name, value in state.items() if "tracked" not in name}
    nested = {"model": {**kept, "fc.weight": torch.zeros(2, 2)}, "epoch": 3, "optimizer": {"state": {0: {}}}}
    torch.save(nested, tmp_path / "nested.pth")
    save_file(kept, tmp_path / "flat.safetensors")
    torch.save({**state, "0.more": torch.zeros(1)}, tmp_path / "larger.pth")
    assert [path.name for path in weight_files_of(tmp_path, signature)] == ["flat.safetensors", "nested.pth"]
    assert prefixes_of(tensor_sizes(tmp_path / "nested.pth"), signature) == ["model.module."]
    torch.save(state, tmp_path / "exact.pth")
    assert [path.name for path in weight_files_of(tmp_path, signature)] == ["exact.pth"]


def test_a_dict_in_itself_has_names_of_finite_length() -> None:
    content: dict[str | int, Any] = {"a": 1, "b": {"c": 2}, 3: {"d": "x"}}
    content["self"] = content
    assert flat_names(content, int) == {"a": 1, "b.c": 2}
