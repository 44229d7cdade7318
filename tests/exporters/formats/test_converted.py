"""The flow of an export, with a format whose files are made up."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from constant_models import constant_model

from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.errors import ConfigError, ExportError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.exporters.formats.converted import ConvertedFormat
from human_edge_detection.exporters.formats.format import Capabilities, Request
from human_edge_detection.exporters.parity import Inputs
from human_edge_detection.runs.paths import RunPaths
from human_edge_prediction import open_model


class Constant(ConvertedFormat):
    """Writes a model that gives each image the person map of the first, which is right for images that are alike."""

    name = "onnx-portable"
    capabilities = Capabilities(any_images=False, any_rois=False, finds_persons=False, metadata_inside=True)
    suffix = ".portable.onnx"
    runtime = "nothing 1.0"
    error = 0.0

    def check_packages(self) -> None: ...

    @torch.no_grad()
    def convert(self, student: Any, cases: Sequence[Inputs], metadata: Mapping[str, str], target: Path) -> Any:
        (people,) = student(cases[0]["images"])
        size = (1, 3, *cases[0]["images"].shape[2:])
        outputs = {"binary_masks": (people + self.error).clamp(0, 1).numpy()}
        constant_model(target, outputs, shape=size, metadata=metadata)
        return metadata


@pytest.fixture
def run(tiny_config: ExperimentConfig, tmp_path: Path) -> RunPaths:
    """A network without roi head that gives all images the same."""
    config = derive(tiny_config, name="unet", model={"head": "none"})
    network = build_model(config.model)
    for parameter in network.unet.unet.segmentation_head.parameters():
        torch.nn.init.zeros_(parameter)
    paths = RunPaths(tmp_path / "experiments" / "unet")
    save_checkpoint(paths.best, Checkpoint(config, network.state_dict(), 1, {}, "data"))
    return paths


def test_what_passes_is_written_with_its_report(run: RunPaths) -> None:
    exported = Constant().export(Request(run.best, about=lambda: {"terms": "ask me"}))
    assert exported.destination.onnx == run.checkpoints / "best_model.portable.onnx"
    model = open_model(exported.destination.onnx)
    assert model.runtime.metadata["terms"] == "ask me"
    assert model.runtime.metadata["format"] == "onnx-portable"
    report = json.loads((run.checkpoints / "best_model.portable.onnx.parity.json").read_text())
    assert (report["passed"], report["format"], report["runtime"]) == (True, "onnx-portable", "nothing 1.0")
    assert report["onnx"] == "best_model.portable.onnx"
    assert report["size_bytes"] == exported.destination.onnx.stat().st_size
    assert not run.parity.exists(), "that is of best_model.onnx"
    again = Constant().export(Request(run.best, output=run.root / "elsewhere" / "m.onnx"))
    assert again.destination.onnx.is_file()


def test_what_differs_is_not_written_and_the_report_says_why(run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Constant, "error", 0.25)
    with pytest.raises(
        ExportError, match=r"probabilities of binary_masks differ .* best_model\.portable\.onnx was not"
    ):
        Constant().export(Request(run.best))
    report = json.loads((run.checkpoints / "best_model.portable.onnx.parity.json").read_text())
    assert not report["passed"]
    assert report["max_probability_difference"] == pytest.approx(0.25)
    assert not (run.checkpoints / "best_model.portable.onnx").exists()


def test_a_file_that_no_runtime_opens_is_one_line(run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(self: Constant, student: Any, cases: Any, metadata: Any, target: Path) -> Any:
        target.write_bytes(b"no model")
        return metadata

    monkeypatch.setattr(Constant, "convert", convert)
    with pytest.raises(ExportError, match=r"^--format onnx-portable: .*cannot open it") as caught:
        Constant().export(Request(run.best))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_score": 0.5}, "--min_score: no file of --format onnx-portable finds persons; take --format onnx"),
        ({"max_persons": 3}, "--max_persons: no file"),
        ({"output": Path("m.tflite")}, r"--output m\.tflite: expected a file name that ends in \.onnx"),
        ({"output": "best"}, "is the place of the run's --format onnx"),
    ],
)
def test_what_the_format_has_not_is_refused(run: RunPaths, change: dict[str, Any], message: str) -> None:
    if change.get("output") == "best":
        change = {"output": run.onnx}
    with pytest.raises(ConfigError, match=message):
        Constant().export(replace(Request(run.best), **change))


def test_a_sidecar_is_written_where_the_file_has_no_room(run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Constant, "capabilities", Constant.capabilities._replace(metadata_inside=False))
    destination = Constant().export(Request(run.best)).destination
    beside = json.loads(destination.onnx.with_name("best_model.portable.onnx.json").read_text())
    assert beside["written_by"].startswith("human-edge-detection")
    assert len(beside["sha256"]) == 64
