"""LiteRT with a stand-in for its package, which these tests do without; a real file: benchmarks/peers.md."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from human_edge_prediction import MissingPackageError, ModelFileError, open_model
from human_edge_prediction.runtimes import open_runtime
from human_edge_prediction.runtimes.litert import LiteRt


class Interpreter:
    """Answers as LiteRT's, for a model of one image whose output is quantised."""

    def __init__(self, model_path: str, num_threads: int | None) -> None:
        if "broken" in model_path:
            raise ValueError("Model provided has model identifier 'oken'")
        self.threads = num_threads
        self.given: dict[int, Any] = {}

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"name": "image", "index": 7, "shape": np.array([1, 2, 3, 3]), "dtype": np.uint8}]

    def get_output_details(self) -> list[dict[str, Any]]:
        shape = np.array([1, 2, 3])
        return [
            {"name": "people", "index": 8, "shape": shape, "dtype": np.uint8, "quantization": (0.25, 4)},
            {"name": "classes", "index": 9, "shape": shape, "dtype": np.int64, "quantization": (0.0, 0)},
        ]

    def set_tensor(self, index: int, values: Any) -> None:
        self.given[index] = values

    def invoke(self) -> None: ...

    def get_tensor(self, index: int) -> Any:
        return self.given[7][..., 0].astype(np.uint8 if index == 8 else np.int64)


@pytest.fixture
def litert(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("ai_edge_litert.interpreter")
    module.Interpreter = Interpreter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ai_edge_litert", ModuleType("ai_edge_litert"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)


@pytest.mark.usefixtures("litert")
def test_a_tflite_file_runs_and_its_integers_become_real_numbers(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.touch()
    runtime = open_runtime(path, threads=3)
    assert isinstance(runtime, LiteRt)
    assert runtime.inputs[0] == ("image", (1, 2, 3, 3), "uint8")
    people, classes = runtime.run({"image": np.full((1, 2, 3, 3), 8, np.uint8)})
    assert people.tolist() == [[[1.0] * 3] * 2]  # 0.25 * (8 - 4)
    assert classes.dtype == np.int64
    assert (classes == 8).all()
    adapter = {
        "kind": "person_map",
        "input": {"size": [2, 3], "layout": "NHWC", "dtype": "uint8", "scale": 1.0},
        "output": {"name": "classes", "values": "classes", "person_class": 9},
    }
    image = np.full((2, 3, 3), 9, np.uint8)
    assert open_model(path, adapter=adapter).person_map(image).tolist() == [[1.0] * 3] * 2
    with pytest.raises(ModelFileError, match="LiteRT cannot open it"):
        (tmp_path / "broken.tflite").touch()
        open_runtime(tmp_path / "broken.tflite")


def test_a_missing_package_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    (tmp_path / "model.tflite").touch()
    with pytest.raises(MissingPackageError, match=r"pip install ai-edge-litert") as caught:
        open_model(tmp_path / "model.tflite")
    assert "\n" not in str(caught.value)
