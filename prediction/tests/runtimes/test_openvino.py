"""OpenVINO with a stand-in for its package, which these tests do without; a real file: docs/formats.md."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from human_edge_prediction import MissingPackageError, ModelFileError
from human_edge_prediction.runtimes import open_runtime
from human_edge_prediction.runtimes.openvino import OpenVino


class Side(SimpleNamespace):
    """One of a shape; -1 is free."""

    @property
    def is_dynamic(self) -> bool:
        return bool(self.length < 0)

    def get_length(self) -> int:
        return int(self.length)


def port(name: str, *shape: int) -> Any:
    kind = SimpleNamespace(to_dtype=lambda: np.dtype(np.float32))
    sides = [Side(length=length) for length in shape]
    return type("Port", (), {"any_name": name, "partial_shape": sides, "element_type": kind})()


class Compiled:
    """Gives the images back, and their negative."""

    def __init__(self) -> None:
        self.inputs = [port("images", -1, 3, 4, 6)]
        self.outputs = [port("same", -1, 3, 4, 6), port("negative", -1, 3, 4, 6)]

    def __call__(self, feeds: dict[str, Any]) -> dict[Any, Any]:
        if feeds["images"].ndim != 4:
            raise RuntimeError("Check 'ranks' failed\n at somewhere")
        return {self.outputs[1]: -feeds["images"], self.outputs[0]: feeds["images"]}


class Core:
    """Opens what does not say ``broken``; remembers the settings."""

    settings: dict[str, Any]

    def read_model(self, path: Path) -> str:
        if path.read_text() == "broken":
            raise RuntimeError("Unable to\nread the model")
        return "graph"

    def compile_model(self, model: str, device: str, settings: dict[str, Any]) -> Compiled:
        assert (model, device) == ("graph", "CPU")
        Core.settings = settings
        return Compiled()


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = ModuleType("openvino")
    package.Core = Core  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino", package)
    path = tmp_path / "model.xml"
    path.write_text("graph")
    path.with_suffix(".bin").touch()
    return path


def test_a_file_runs_in_float32_and_its_outputs_keep_their_order(model: Path) -> None:
    runtime = open_runtime(model, threads=3)
    assert isinstance(runtime, OpenVino)
    assert (runtime.provider, runtime.metadata) == ("OpenVINO", {})
    assert Core.settings["INFERENCE_NUM_THREADS"] == 3
    assert Core.settings["INFERENCE_PRECISION_HINT"] == "f32"
    assert runtime.inputs == (("images", (None, 3, 4, 6), "float32"),)
    same, negative = runtime.run({"images": np.ones((2, 3, 4, 6), np.float32)})
    assert (same == 1).all() and (negative == -1).all()


def test_what_is_wrong_with_a_file_is_one_line(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = open_runtime(model)
    with pytest.raises(ModelFileError, match=r"OpenVINO cannot run it \(Check 'ranks' failed at somewhere\)"):
        runtime.run({"images": np.ones((3, 4, 6), np.float32)})
    model.write_text("broken")
    with pytest.raises(ModelFileError, match=r"OpenVINO cannot open it \(Unable to read the model\)"):
        open_runtime(model)
    model.with_suffix(".bin").unlink()
    with pytest.raises(ModelFileError, match=r"model\.bin: no such file, and model\.xml is nothing without it"):
        open_runtime(model)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingPackageError, match=r"pip install openvino"):
        open_runtime(model)
