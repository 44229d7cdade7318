import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import segmentation_models_pytorch as smp
import torch

import human_edge_detection as hed
from human_edge_detection.advanced.detector import find_persons
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.engine.checkpoints.load import load_trained
from human_edge_detection.errors import ConfigError, DataError, ExportError
from human_edge_detection.experiments.schema.experiment import build_config
from human_edge_detection.exporters import onnx as export_module
from human_edge_detection.exporters.checkpoint_model import open_checkpoint
from human_edge_detection.exporters.onnx import Export, destination_of, export_checkpoint
from human_edge_detection.files.data_folder import find_split
from human_edge_detection.runs.paths import RunPaths
from human_edge_prediction import Predictor, read_image

WriteCheckpoint = Callable[..., RunPaths]


@pytest.fixture(scope="module", autouse=True)
def shallow_networks() -> Iterator[None]:
    """Tracing takes time for each layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smp, "Unet", partial(smp.Unet, encoder_depth=2, decoder_channels=(16, 16)))
        yield


@pytest.fixture(scope="module")
def write_checkpoint(shallow_networks: None, tiny_coco: Path) -> WriteCheckpoint:
    """``write_checkpoint(run_root)``: a run folder with the best checkpoint of a random network."""

    def write(
        run_root: Path, *, seed: int = 0, root: Path | None = None, detector: dict[str, Any] | None = None
    ) -> RunPaths:
        model: dict[str, Any] = {"encoder": "mobilenet_v2", "encoder_weights": "none", "head_channels": 8}
        sizes = {"image_size": [64, 64], "roi_size": [16, 12], "mask_size": [32, 24]}
        config = build_config(
            {
                "name": run_root.name,
                "data": {"root": str(root or tiny_coco)},
                "model": {**model, **sizes, "contour": {}, "distance": {}, "detector": detector},
            }
        )
        torch.manual_seed(seed)
        network = build_model(config.model)
        if network.detector is not None:  # one that is sure of persons, with boxes that differ
            torch.nn.init.normal_(network.detector.centre.weight, std=10.0)
            torch.nn.init.normal_(network.detector.sides.weight, std=3.0)
            assert network.detector.centre.bias is not None
            torch.nn.init.zeros_(network.detector.centre.bias)
        paths = RunPaths(run_root)
        save_checkpoint(paths.best, Checkpoint(config, network.state_dict(), 3, {}, "data"))
        return paths

    return write


@pytest.fixture(scope="module")
def run(write_checkpoint: WriteCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    folder = tmp_path_factory.mktemp("export") / "experiments" / "tiny"
    return write_checkpoint(folder, detector={"min_score": 0.2, "max_persons": 9})


@pytest.fixture(scope="module")
def exported(run: RunPaths) -> Export:
    return export_checkpoint(run.best, max_persons=7, about=lambda: {"terms": "ask me", "experiment": "no"})


def test_files_beside_the_checkpoint_and_the_report_in_the_run_folder(run: RunPaths, exported: Export) -> None:
    assert exported.destination == (run.onnx, run.parity)
    names = {"best_model.pth", "best_model.json", "best_model.onnx", "best_model.detect.onnx"}
    assert {file.name for file in run.checkpoints.iterdir()} == names
    report = json.loads(run.parity.read_text())
    assert report["passed"] is True
    assert report["onnx"] == "checkpoints/best_model.onnx", "relative, so that a run may be renamed"
    assert 0 < report["max_difference"] < 1e-4, "of the logits too"
    assert 0 < report["max_probability_difference"] < 1e-4
    assert report["tolerances"] == {"probability": 1e-3, "margin": 2e-3}
    assert report["mask_iou"] > 0.99, "of a random network; a pixel where two classes are as likely may go either way"
    assert report["size_bytes"] == run.onnx.stat().st_size
    assert report["checkpoint_sha256"] == hashlib.sha256(run.best.read_bytes()).hexdigest()
    assert {(case["images"], case["rois"]) for case in report["cases"]} == {(1, 1), (1, 5), (2, 1), (2, 5), (2, 6)}
    assert {tuple(of["output"] for of in case["outputs"]) for case in report["cases"]} == {("masks", "binary_masks")}


@pytest.mark.parametrize(("images", "rois"), [(3, 7), (1, 0)])
def test_any_number_of_images_and_rois(run: RunPaths, exported: Export, images: int, rois: int) -> None:
    generator = torch.Generator().manual_seed(1)
    pictures = torch.rand(images, 3, 64, 64, generator=generator)
    corners = torch.rand(rois, 2, 2, generator=generator).sort(dim=1).values.reshape(rois, 4)
    boxes = torch.cat([torch.arange(rois)[:, None] % images, corners], dim=1)
    session = onnxruntime.InferenceSession(str(run.onnx), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["images", "rois"]
    masks, binary_masks = session.run(["masks", "binary_masks"], {"images": pictures.numpy(), "rois": boxes.numpy()})
    with torch.no_grad():
        output = load_trained(run.best).model(pictures, boxes)
    assert masks.shape == (rois, 3, 32, 24)
    np.testing.assert_allclose(masks, output.logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(binary_masks, output.aux["full_image_logits"].sigmoid().numpy(), atol=1e-4)


def session_of(model: Path | bytes) -> onnxruntime.InferenceSession:
    content = model if isinstance(model, bytes) else model.read_bytes()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def pictures_of(count: int) -> np.ndarray:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(2)).numpy()


@pytest.mark.parametrize("images", [1, 3])
def test_the_second_file_finds_persons_and_what_it_finds_are_rois_of_the_first(
    run: RunPaths, exported: Export, images: int
) -> None:
    pictures, session = pictures_of(images), session_of(run.detector_onnx)
    assert [entry.name for entry in session.get_inputs()] == ["images"]
    assert [entry.name for entry in session.get_outputs()] == ["boxes", "scores", "masks", "binary_masks"]
    boxes, scores, masks, binary_masks = session.run(None, {"images": pictures})
    with torch.no_grad():
        aux = load_trained(run.best).model(torch.from_numpy(pictures), torch.zeros(0, 5)).aux
    expected, likely = find_persons(aux["centre_logits"], aux["person_boxes"], most=7).as_rois(0.2)
    assert set(boxes[:, 0]) == set(range(images)), "a network that finds somebody in each"
    np.testing.assert_allclose(boxes, expected, atol=1e-4)
    np.testing.assert_allclose(scores, likely, atol=1e-5)
    again, person_map = session_of(run.onnx).run(["masks", "binary_masks"], {"images": pictures, "rois": boxes})
    np.testing.assert_allclose(masks, again, atol=1e-4)
    np.testing.assert_allclose(binary_masks, person_map, atol=1e-5)


def test_nobody_is_no_error(run: RunPaths, exported: Export) -> None:
    model = onnx.load(run.detector_onnx)
    (threshold,) = (constant for constant in model.graph.initializer if constant.name == "min_score")
    assert onnx.numpy_helper.to_array(threshold) == np.float32(0.2)
    threshold.CopyFrom(onnx.numpy_helper.from_array(np.array(1.0, np.float32), "min_score"))
    boxes, scores, masks, binary_masks = session_of(model.SerializeToString()).run(None, {"images": pictures_of(2)})
    assert [boxes.shape, scores.shape, masks.shape] == [(0, 5), (0,), (0, 3, 32, 24)]
    np.testing.assert_allclose(
        binary_masks, session_of(run.detector_onnx).run(["binary_masks"], {"images": pictures_of(2)})[0]
    )


def test_the_report_is_of_both_files(run: RunPaths, exported: Export) -> None:
    detector = json.loads(run.parity.read_text())["detector"]
    assert detector["onnx"] == "checkpoints/best_model.detect.onnx"
    assert detector["size_bytes"] == run.detector_onnx.stat().st_size
    assert detector["onnx_sha256"] == hashlib.sha256(run.detector_onnx.read_bytes()).hexdigest()
    assert [case["images"] for case in detector["cases"]] == [1, 2, 2, 1, 2]
    assert [case["detections"]["min_score"] for case in detector["cases"]] == [0.2, 0.2, 0.2, 0.2, 0.0]
    assert detector["cases"][-1]["rois"] == 14, "as many as it may find, of two images"
    assert (detector["missing"], detector["extra"], detector["problem"]) == (0, 0, None)
    assert 0 < detector["max_box_difference"] < 0.01, "pixels"
    assert detector["max_probability_difference"] < 1e-4


def test_the_second_file_explains_itself_too(run: RunPaths, exported: Export) -> None:
    model = onnx.load(run.detector_onnx)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert (metadata["min_score"], metadata["max_persons"]) == ("0.2", "7")
    assert "fractions of the image" in metadata["boxes"]
    assert "rois" not in metadata
    assert metadata["terms"] == "ask me"
    assert [size.dim_param or size.dim_value for size in model.graph.output[0].type.tensor_type.shape.dim] == [
        "person_count",
        5,
    ]
    assert b"site-packages" not in run.detector_onnx.read_bytes()


def test_the_file_explains_itself_and_tells_nothing_of_the_machine(run: RunPaths, exported: Export) -> None:
    model = onnx.load(run.onnx)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["experiment"] == "tiny"
    assert metadata["terms"] == "ask me"
    assert metadata["checkpoint_sha256"] == exported.report.checkpoint_sha256
    assert json.loads(metadata["classes"]) == ["background", "target", "nontarget"]
    assert json.loads(metadata["image_size"]) == [64, 64]
    assert json.loads(metadata["mask_size"]) == [32, 24]
    assert [entry.version for entry in model.opset_import] == [18]
    assert b"site-packages" not in run.onnx.read_bytes()


def test_the_graph_is_the_quick_one(run: RunPaths, exported: Export) -> None:
    nodes = onnx.load(run.onnx).graph.node
    assert not [node for node in nodes if node.op_type == "Softplus"]
    by_factors = [len(node.input) == 3 for node in nodes if node.op_type == "Resize"]
    assert by_factors.count(False) == 1  # the answers, of few channels
    assert by_factors.count(True) >= 2


def test_a_model_that_answers_otherwise_is_not_written(
    run: RunPaths,
    exported: Export,
    write_checkpoint: WriteCheckpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = write_checkpoint(tmp_path / "other", seed=1)
    (other.checkpoints / "best_model.detect.onnx").write_bytes(b"of another model")
    monkeypatch.setattr(export_module, "to_onnx", lambda *_: run.onnx.read_bytes())
    with pytest.raises(ExportError, match=r"differ from PyTorch's by .*images: .* rois: .*allowed: 0\.001"):
        export_checkpoint(other.best)
    assert "best_model.detect.onnx is of another model: this one has no detector" in caplog.text
    assert not other.onnx.exists()
    assert not list(other.checkpoints.glob(".*"))
    report = json.loads(other.parity.read_text())
    assert report["passed"] is False
    assert report["max_probability_difference"] > 1e-3
    assert report["problem"].startswith("probabilities of ")
    other.onnx.write_bytes(b"an older export")
    with pytest.raises(ExportError):
        export_checkpoint(other.best)
    assert other.onnx.read_bytes() == b"an older export"


def test_images_that_are_gone_are_asked_for(
    write_checkpoint: WriteCheckpoint, tiny_coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_coco, data)
    run = write_checkpoint(tmp_path / "moved", root=data)
    data.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="--data_root DIR, or --val_ann FILE and --val_images DIR"):
        export_checkpoint(run.best)
    assert not run.onnx.exists()
    reached = ExportError("read the images")

    def stop(*_: object) -> bytes:
        raise reached

    monkeypatch.setattr(export_module, "to_onnx", stop)
    with pytest.raises(ExportError, match="read the images"):
        export_checkpoint(run.best, data=find_split(tmp_path / "elsewhere", "val"))


def test_only_the_best_checkpoint_of_a_run_becomes_best_model_onnx(tmp_path: Path) -> None:
    run = RunPaths(tmp_path / "run")
    assert destination_of(run.best, None) == (run.onnx, run.parity)
    epoch = run.epoch_checkpoint(3)
    assert destination_of(epoch, None).onnx == epoch.with_suffix(".onnx")
    assert destination_of(epoch, None).parity.parent == run.checkpoints
    elsewhere = destination_of(run.best, tmp_path / "a.onnx")
    assert elsewhere == (tmp_path / "a.onnx", tmp_path / "a.parity.json")
    assert destination_of(tmp_path / "best_model.pth", None).parity == tmp_path / "best_model.parity.json"
    with pytest.raises(ConfigError, match=r"ends in \.onnx"):
        destination_of(run.best, run.best)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="not a folder"):
        destination_of(run.best, tmp_path / "file" / "a.onnx")


def test_the_checkpoint_predicts_what_its_files_predict(run: RunPaths, exported: Export, tiny_coco: Path) -> None:
    """In boxes that are given and in those that it finds; the files were exported to find 7 persons instead of 9."""
    image = read_image(next(find_split(tiny_coco, "val").images.glob("*.png")))
    in_torch, in_onnx = Predictor(open_checkpoint(run.best, threads=1)), Predictor(run.onnx, threads=1)
    assert in_torch.model.runtime.provider == "PyTorch"
    given = [[5, 5, 60, 90], [40, 20, 128, 96], [0, 0, 128, 96]]
    for boxes, boxes_from in ((given, "given"), (None, "own detector")):
        expected, found = in_torch(image, boxes), in_onnx(image, boxes)
        assert expected.boxes_from == found.boxes_from == boxes_from
        assert len(found) == (3 if boxes else 7)
        assert expected.roi_probabilities is not None and found.roi_probabilities is not None
        assert expected.person_map is not None and found.person_map is not None
        # Persons of nearly equal scores change places by rounding, so each is compared with whose box it has.
        same = [int(np.abs(expected.boxes - box).max(axis=1).argmin()) for box in found.boxes]
        assert len(set(same)) == len(found)
        np.testing.assert_allclose(found.boxes, expected.boxes[same], atol=0.5)
        np.testing.assert_allclose(found.scores, expected.scores[same], atol=1e-3)
        np.testing.assert_allclose(found.roi_probabilities, expected.roi_probabilities[same], atol=1e-3)
        np.testing.assert_allclose(found.person_map, expected.person_map, atol=1e-3)
        assert (found.masks != expected.masks[same]).mean() < 1e-3


def test_an_exported_file_scores_as_its_checkpoint(run: RunPaths, exported: Export, tiny_coco: Path) -> None:
    """Of what both are asked about; what a file finds itself, it finds by another threshold than metrics do."""
    (expected,) = hed.evaluate(run.best, data=tiny_coco, num_workers=0, device="cpu", precision="fp32")
    found = hed.evaluate_exported(run.onnx, data=tiny_coco, num_workers=0)
    names = expected.metrics.keys() & found.metrics.keys()
    assert {"miou", "boundary_f1", "full_image_iou", "AP", "AP_medium"} <= names
    assert {name: found.metrics[name] for name in names} == pytest.approx(
        {name: expected.metrics[name] for name in names}, abs=1e-4
    )
    assert (found.experiment, found.epoch) == (expected.experiment, expected.epoch)
    assert found.checkpoint_sha256 == expected.checkpoint_sha256
    finder = hed.evaluate_exported(run.detector_onnx, data=tiny_coco, num_workers=0)
    assert finder.metrics["full_image_iou"] == pytest.approx(expected.metrics["full_image_iou"], abs=1e-4)
    assert finder.metrics.keys() >= {"recall10", "box_AP", "own_mask_AP50"}
