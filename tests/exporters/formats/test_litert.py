"""LiteRT: what is said where its package or its converter is missing or fails; a whole conversion, where both are."""

import importlib.util
import sys
from pathlib import Path

import pytest

from human_edge_detection.errors import ConfigError, ExportError
from human_edge_detection.exporters.formats.litert import INSTALL, LiteRt, _converted


def test_a_missing_converter_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="no program onnx2tf on PATH") as caught:
        LiteRt().check_packages()
    assert str(caught.value).endswith(f"run once: {INSTALL}")
    assert "\n" not in str(caught.value)


def test_a_missing_runtime_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"ai-edge-litert is not installed, .* uv sync --inexact --extra litert"):
        LiteRt().check_packages()


def made_up_converter(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A program ``onnx2tf`` that runs ``body`` with its arguments as ``sys.argv``."""
    program = folder / "onnx2tf"
    program.write_text(f"#!{sys.executable}\nimport pathlib, sys\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_float32_file_of_the_converter_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "folder = pathlib.Path(sys.argv[4]); folder.mkdir(); (folder / 'model_float32.tflite').write_text(sys.argv[2])"
    )
    made_up_converter(tmp_path, monkeypatch, body)
    graph = tmp_path / "model.onnx"
    assert _converted(graph).read_text() == str(graph)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("print('OP: BroadcastTo\\nERROR: no such operator'); sys.exit(3)", r"code 3 \(ERROR: no such operator\)"),
        ("pass", r"code 0 \(nothing\)"),
    ],
    ids=["fails", "makes nothing"],
)
def test_a_converter_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    made_up_converter(tmp_path, monkeypatch, body)
    with pytest.raises(
        ExportError, match=rf"onnx2tf failed with exit {said}; .* is the version that was tried"
    ) as caught:
        _converted(tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
