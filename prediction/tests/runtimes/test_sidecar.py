"""Metadata beside files that have no room for them."""

import json
from pathlib import Path

import pytest

from human_edge_prediction import ModelFileError
from human_edge_prediction.runtimes.sidecar import SHA256, files_of, read_sidecar, sha256_of, sidecar_path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "best.model.xml"
    path.write_bytes(b"layers")
    path.with_suffix(".bin").write_bytes(b"weights")
    sidecar_path(path).write_text(json.dumps({"classes": "one", SHA256: sha256_of(files_of(path))}))
    return path


def test_metadata_lie_beside_the_file_and_are_of_all_that_belongs_to_it(model: Path) -> None:
    assert sidecar_path(model).name == "best.model.xml.json"
    assert [file.name for file in files_of(model)] == ["best.model.xml", "best.model.bin"]
    assert files_of(Path("a.tflite")) == (Path("a.tflite"),)
    assert read_sidecar(model)["classes"] == "one"
    sidecar_path(model).unlink()
    assert read_sidecar(model) == {}


def test_metadata_of_other_weights_are_refused(model: Path) -> None:
    model.with_suffix(".bin").write_bytes(b"others")
    with pytest.raises(ModelFileError, match=r"best\.model\.xml\.json: is of another best\.model\.xml"):
        read_sidecar(model)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"classes": 3}', b"\xff", b" " * 1_000_001, b"[" * 100_000])
def test_what_is_no_metadata_is_one_line(model: Path, content: bytes) -> None:
    sidecar_path(model).write_bytes(content)
    with pytest.raises(ModelFileError, match=r"export (it|the model) anew") as caught:
        read_sidecar(model)
    assert "\n" not in str(caught.value)
