"""How much a weights file holds, told by its head."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from human_edge_detection.files.weight_files import tensor_bytes, weight_files, weight_files_of

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
    assert tensor_bytes(tmp_path / name) in (None, len(content) - 8 - int.from_bytes(content[:8], "little"))
    assert weight_files_of(tmp_path, 8) == []


def test_the_files_of_a_size_are_found(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "two.safetensors")
    torch.save({"a": torch.zeros(2)}, tmp_path / "two.pth")
    save_file({"a": torch.zeros(3)}, tmp_path / "three.safetensors")
    (tmp_path / "README.md").write_text("12345678")
    (tmp_path / "folder.pth").mkdir()
    os.mkfifo(tmp_path / "pipe.pt")
    assert [path.name for path in weight_files_of(tmp_path, 8)] == ["two.pth", "two.safetensors"]
    assert [path.name for path in weight_files(tmp_path)] == ["three.safetensors", "two.pth", "two.safetensors"]
    assert weight_files_of(tmp_path / "nowhere", 8) == []
