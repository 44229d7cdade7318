"""Reading archives of torch.save; hostile ones are in tests/contract/test_damaged_checkpoints.py."""

import io
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from human_edge_detection.advanced.weights.torch_archive import is_dense, read_torch_archive
from human_edge_detection.errors import CheckpointError


def saved(value: Any) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def read(content: bytes) -> Any:
    return read_torch_archive(content, source="checkpoint x.pth")


def test_plain_values_come_back_as_they_were() -> None:
    value = {"a": [1, 2.5, "text", None, True], "b": (1, (2, {})), 3: {"c": -7}}
    assert read(saved(value)) == value


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_tensors_come_back_bit_for_bit(dtype: torch.dtype) -> None:
    tensor = torch.arange(-6, 6).view(3, 4).to(dtype)
    found = read(saved({"x": tensor, "part": tensor[:, 1:3]}))
    assert found["x"].dtype == dtype
    assert torch.equal(found["x"], tensor)
    assert torch.equal(found["part"], tensor[:, 1:3])


def test_a_state_dict_becomes_a_plain_dict_of_plain_tensors() -> None:
    found = read(saved(nn.Linear(3, 2).state_dict()))
    assert type(found) is dict
    assert [type(value) for value in found.values()] == [torch.Tensor] * 2
    assert not any(value.requires_grad for value in found.values())
    assert type(read(saved(OrderedDict(a=1)))) is dict


@pytest.mark.parametrize(
    "value",
    [Path("a"), {1.5: 2}, torch.ones(2).to_sparse(), {1, 2}, slice(3)],
    ids=["class", "key", "sparse", "set", "slice"],
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(CheckpointError, match=r"^checkpoint x\.pth: (refused|not a readable)"):
        read(saved(value))


def test_deep_nesting_is_refused() -> None:
    value: Any = 0
    for _ in range(100):
        value = [value]
    with pytest.raises(CheckpointError, match="nested too deep"):
        read(saved(value))


def test_what_is_no_archive_is_refused() -> None:
    for content in (b"", b"text", saved({"a": torch.ones(50)})[:-40]):
        with pytest.raises(CheckpointError, match="not a readable weights file"):
            read(content)


def test_a_flipped_bit_of_a_weight_is_noticed() -> None:
    tensor = torch.full((64,), 1.5)
    content = bytearray(saved({"a": tensor}))
    place = bytes(content).index(tensor.numpy().tobytes())
    content[place] ^= 1
    with pytest.raises(CheckpointError):
        read(bytes(content))


def test_dense_tensors() -> None:
    assert is_dense(torch.ones(2, 3).T)
    assert is_dense(nn.Parameter(torch.ones(1)))
    assert not is_dense(torch.ones(2).to_sparse())
    assert not is_dense(torch.ones(2, device="meta"))
    assert not is_dense(torch.ones(2).as_subclass(nn.Buffer))
