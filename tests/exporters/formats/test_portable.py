"""The portable graph of small networks: its operators, its fixed shapes, its outputs."""

from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
import segmentation_models_pytorch as smp
import torch

from human_edge_detection.engine.build import build_model
from human_edge_detection.errors import ExportError
from human_edge_detection.experiments.schema.experiment import build_config
from human_edge_detection.exporters.exportable import ExportableStudent
from human_edge_detection.exporters.formats.portable import OPERATORS, PortableOnnx, static_metadata, write_portable
from human_edge_detection.exporters.onnx import usage_of
from human_edge_detection.exporters.parity import FLOAT32, ODD_BOXES, Inputs, compare_model, problem_of
from human_edge_prediction import open_model
from human_edge_prediction.models.own import OwnModel

SIZES = {"image_size": [64, 64], "roi_size": [16, 12], "mask_size": [32, 24], "head_channels": 8}
FPN = {"decoder": {"kind": "fpn", "channels": 16}, "feature_stride": 4, "encoder_depth": 4, "detector": {}}
ALLOWED = (
    "Conv Mul Sigmoid Relu Add ReduceMean Sub Resize Concat Reshape Slice Abs Transpose Clip Unsqueeze MatMul Neg Exp "
    "Log Div Split"
)


def test_the_operators_are_those_that_every_runtime_takes() -> None:
    assert set(ALLOWED.split()) == OPERATORS


def student_of(model: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[ExportableStudent, dict[str, str]]:
    """A network with random weights, shallow where it is a U-Net, and what an export of it says of itself."""
    monkeypatch.setattr(smp, "Unet", partial(smp.Unet, encoder_depth=2, decoder_channels=(16, 16)))
    config = build_config({"name": "small", "data": {"sample": {}}, "model": {"encoder_weights": "none"} | model})
    torch.manual_seed(0)
    return ExportableStudent(build_model(config.model)).eval(), usage_of(config.model)


def inputs_of(student: ExportableStudent) -> list[Inputs]:
    """Two images, and boxes at borders as well as five others."""
    images = torch.rand(2, 3, 64, 64)
    if not student.has_rois:
        return [{"images": images}]
    boxes = torch.tensor([*ODD_BOXES, *([0.1, 0.2, 0.6, 0.9],) * 5])
    index = torch.arange(len(boxes))[:, None] % 2
    return [{"images": images, "rois": torch.cat([index.float(), boxes], dim=1)}]


def check(model: dict[str, Any], path: Path, monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
    """Exports a network, compares it with PyTorch, and returns the graph."""
    student, metadata = student_of(model, monkeypatch)
    inputs = inputs_of(student)
    write_portable(student, inputs, metadata, path)
    opened = open_model(path)
    assert isinstance(opened, OwnModel)
    cases = compare_model(opened, student, inputs, FLOAT32)
    assert problem_of(cases, FLOAT32) is None
    assert max(output.max_probability_difference for case in cases for output in case.outputs) < 1e-5
    graph = onnx.load(path)
    assert {node.op_type for node in graph.graph.node} <= OPERATORS
    return graph


def test_one_image_four_rois_and_the_outputs_of_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "small.portable.onnx"
    graph = check({"encoder": "timm-efficientnet-b0", **SIZES}, path, monkeypatch)
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    }
    assert shapes == {
        "images": [1, 3, 64, 64],
        "rois": [4, 5],
        "masks": [4, 3, 32, 24],
        "binary_masks": [1, 1, 64, 64],
    }
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert metadata["roi_slots"] == "4"
    assert metadata["rois"].startswith("(4, 5) float32") and "the whole image" in metadata["rois"]
    assert metadata["images"].startswith("(1, 3, ")
    assert not PortableOnnx.capabilities.any_images and not PortableOnnx.capabilities.any_rois
    assert b"site-packages" not in path.read_bytes()


@pytest.mark.slow  # each is traced, which takes seconds
@pytest.mark.parametrize(
    "model",
    [
        {"encoder": "timm-efficientnet-b0", **SIZES, **FPN},
        {"encoder": "timm-tf_efficientnet_lite0", **SIZES, **FPN, "feature_stride": 2},
        {"encoder": "timm-efficientnet-b0", "image_size": [64, 64], "head": "none"},
        {"encoder": "mobilenet_v2", **SIZES, "head": "plain"},
    ],
    ids=["edge", "edge, at stride 2", "no head", "plain head"],
)
def test_networks_of_every_kind(model: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(model, tmp_path / "small.portable.onnx", monkeypatch)


def test_an_operator_that_not_every_runtime_takes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student, metadata = student_of({"encoder": "mobilenet_v2", "image_size": [64, 64], "head": "none"}, monkeypatch)
    monkeypatch.setattr("human_edge_detection.exporters.formats.portable.OPERATORS", OPERATORS - {"Conv", "Clip"})
    with pytest.raises(ExportError, match=r"no portable graph: .* \(Clip, Conv\); take --format onnx"):
        write_portable(student, inputs_of(student), metadata, tmp_path / "small.onnx")
    assert not list(tmp_path.iterdir())


def test_metadata_of_a_model_without_rois_speak_of_none() -> None:
    said = static_metadata({"images": "(B, 3, height, width) RGB", "terms": "(B, MIT)"})
    assert said == {"images": "(1, 3, height, width) RGB", "terms": "(B, MIT)"}
