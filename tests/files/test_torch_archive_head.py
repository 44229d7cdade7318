"""What an archive holds beside its numbers, read without torch."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from human_edge_detection.files.torch_archive_head import TensorShape, read_archive_head


def test_shapes_stand_for_tensors_and_plain_values_for_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"w": nn.Parameter(torch.zeros(2, 3)), "h": torch.zeros(4).half(), "epoch": 3, "n": [1, "x"]}, path)
    assert read_archive_head(path) == {"w": TensorShape((2, 3)), "h": TensorShape((4,)), "epoch": 3, "n": [1, "x"]}


class _Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b"\x80\x02]",
        pickle.dumps(_Malicious(Path("ran"))),
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NK\x00K\x00NtR.",
    ],
    ids=["nothing", "cut off", "code", "a tensor without a shape"],
)
def test_what_is_no_archive_is_refused_and_runs_nothing(
    pickled: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    with pytest.raises(ValueError, match="no archive of tensors and plain values"):
        read_archive_head(Path("a.pth"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]
