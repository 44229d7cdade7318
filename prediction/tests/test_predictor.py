from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from constant_models import OURS, constant_model
from numpy.typing import NDArray

from human_edge_prediction import (
    AdapterError,
    ArgumentError,
    BoxError,
    ImageFileError,
    Model,
    ModelFileError,
    PredictionError,
    Predictor,
    open_model,
)

IMAGE = np.zeros((80, 120, 3), np.uint8)
BOXES = {"boxes": {"name": "boxes"}, "scores": {"name": "scores"}}
DETECTOR = {"kind": "boxes", "input": {"size": [4, 6]}, "output": BOXES}
PERSON_MAP = {"kind": "person_map", "input": {"size": [4, 6]}, "output": {"values": "probabilities"}}
LEFT, RIGHT, WHOLE = [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]


def left_half(count: int) -> NDArray[np.float32]:
    """Logits of ``count`` rois, of which the left half is the person."""
    logits = np.full((count, 3, 8, 8), -20, np.float32)
    logits[:, 1, :, :4] = 20
    logits[:, 0, :, 4:] = 20
    return logits


def people(*, right: float = 0.75) -> NDArray[np.float32]:
    """A person map of two parts."""
    values = np.full((1, 1, 4, 6), 0.75, np.float32)
    values[..., 2:4] = 0.1
    values[..., 4:] = right
    return values


def own_model(folder: Path, *, count: int = 1, weights: str = "a", **detected: Any) -> Path:
    """``best_model.onnx``; with ``boxes`` and ``scores`` as well ``best_model.detect.onnx`` of the weights."""
    metadata = {**OURS, "checkpoint_sha256": "a"}
    outputs = {"masks": left_half(count), "binary_masks": people()}
    path = constant_model(folder / "best_model.onnx", outputs, metadata=metadata, rois=True)
    if detected:
        boxes = np.array([[0, *box] for box in detected["boxes"]], np.float32)
        found = {"boxes": boxes, "scores": np.array(detected["scores"], np.float32), "masks": left_half(len(boxes))}
        metadata |= {"min_score": "0.3", "checkpoint_sha256": weights}
        beside = folder / "best_model.detect.onnx"
        constant_model(beside, {**found, "binary_masks": people()}, metadata=metadata)
    return path


def detector(folder: Path, boxes: list[list[float]], scores: list[float]) -> Path:
    numbers = np.array(boxes, np.float32) * np.array([6, 4, 6, 4], np.float32)
    outputs = {"boxes": numbers, "scores": np.array(scores, np.float32)}
    return constant_model(folder / "detector.onnx", outputs)


def test_boxes_that_are_given_are_all_answered(tmp_path: Path) -> None:
    predictor = Predictor(own_model(tmp_path, count=2), min_score=1.0)
    found = predictor(IMAGE, [[-10, 0, 60, 80], [60, 0, 120, 80]])
    assert (found.boxes_from, found.image_size) == ("given", (80, 120))
    assert found.boxes.tolist() == [[0, 0, 60, 80], [60, 0, 120, 80]]
    assert found.masks[0, :, :30].all() and not found.masks[0, :, 30:].any()
    assert found.masks[1, :, 60:90].all() and not found.masks[1, :, 90:].any()
    assert (found.scores > 0.9).all()
    assert found.roi_probabilities is not None and found.roi_probabilities.shape == (2, 3, 8, 8)
    assert found.person_map is not None and found.person_map.shape == (80, 120)
    assert len(predictor(IMAGE, [])) == 0


def test_many_boxes_are_asked_about_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(own_model(tmp_path))
    asked: list[NDArray[np.float32]] = []

    def run(images: NDArray[np.float32], rois: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        asked.append(rois)
        return {"masks": left_half(len(rois)), "binary_masks": people()}

    monkeypatch.setattr(model, "run", run)
    boxes = [[number, 0, number + 20, 80] for number in range(100)]
    found = Predictor(model, max_rois=40)(IMAGE, boxes)
    assert [len(rois) for rois in asked] == [40, 40, 20]
    assert np.concatenate(asked)[:, 1:] == pytest.approx(np.array(boxes) / [120, 80, 120, 80])
    assert len([*found.persons()]) == 100


def test_the_file_beside_it_finds_the_boxes(tmp_path: Path) -> None:
    path = own_model(tmp_path, boxes=[LEFT, RIGHT], scores=[0.9, 0.4])
    found = Predictor(path)(IMAGE)
    assert (found.boxes_from, len(found)) == ("own detector", 2)
    assert found.scores.tolist() == pytest.approx([0.9, 0.4])
    assert found.roi_probabilities is not None
    (sure,) = Predictor(path, min_score=0.5)(IMAGE).persons()
    assert sure.box.tolist() == [0, 0, 60, 80]
    assert Predictor(path).min_score == 0.3
    assert Predictor(path)(IMAGE, [[0, 0, 60, 80]]).boxes_from == "given"
    assert Predictor(tmp_path / "best_model.detect.onnx")(IMAGE).boxes_from == "own detector"


def test_a_file_beside_it_that_finds_nobody_is_one_line(tmp_path: Path) -> None:
    path = own_model(tmp_path)
    (tmp_path / "best_model.detect.onnx").write_bytes(path.read_bytes())
    with pytest.raises(ModelFileError, match=r"best_model\.detect\.onnx finds no persons, and its name says so"):
        Predictor(path)


def test_what_its_detector_leaves_out_cannot_be_asked_for(tmp_path: Path) -> None:
    path = own_model(tmp_path, boxes=[LEFT], scores=[0.9])
    with pytest.raises(ArgumentError, match=r"min_score 0\.1: .*detect\.onnx leaves out .* less than 0\.3; export it"):
        Predictor(path, min_score=0.1)


def test_a_file_beside_it_of_other_weights_is_refused(tmp_path: Path) -> None:
    path = own_model(tmp_path, boxes=[LEFT], scores=[0.9], weights="b")
    with pytest.raises(ModelFileError, match=r"best_model\.detect\.onnx is not of the checkpoint that"):
        Predictor(path)


def test_a_detector_of_others_finds_the_boxes_even_where_there_is_an_own_one(tmp_path: Path) -> None:
    path = own_model(tmp_path, boxes=[LEFT], scores=[0.9])
    other = detector(tmp_path, [[0.25, 0, 0.75, 1.1], RIGHT], [0.8, 0.4])
    found = Predictor(path, detector=other, detector_adapter=DETECTOR)(IMAGE)
    assert found.boxes_from == "detector"
    assert found.boxes.tolist() == [[30, 0, 90, 80]]  # who scores one half; cut off at the image
    assert found.scores.tolist() == pytest.approx([0.8])
    assert found.masks[0, :, 30:60].all() and found.masks.sum() == 30 * 80
    both = Predictor(own_model(tmp_path, count=2), detector=other, detector_adapter=DETECTOR, min_score=0.4)
    assert len(both(IMAGE)) == 2


def test_without_a_detector_the_parts_of_the_person_map_are_the_boxes(tmp_path: Path) -> None:
    found = Predictor(own_model(tmp_path, count=2))(IMAGE)
    assert (found.boxes_from, len(found)) == ("person map", 2)
    assert found.boxes[:, [1, 3]].tolist() == [[0, 80]] * 2
    assert found.roi_probabilities is not None  # the model was asked about them


def test_a_person_map_of_others_is_all_that_there_is(tmp_path: Path) -> None:
    path = constant_model(tmp_path / "map.onnx", {"people": people(right=0.6)})
    found = Predictor(path, adapter=PERSON_MAP)(IMAGE)
    assert found.boxes_from == "person map"
    assert [person.mask.mean() for person in found.persons()] == [1.0, 1.0]
    assert found.scores[0] > found.scores[1]
    certain = Predictor(path, adapter=PERSON_MAP, min_score=0.65)(IMAGE)
    assert len(certain) == 1
    given = Predictor(path, adapter=PERSON_MAP)(IMAGE, [[0, 0, 20, 40], [45, 0, 75, 80]])
    assert given.masks.sum((1, 2)).tolist() == [20 * 40, 0]


def test_instances_of_others(tmp_path: Path) -> None:
    masks = np.full((2, 2, 2), 0.75, np.float32)
    outputs = {"boxes": np.array([LEFT, RIGHT], np.float32), "scores": np.array([0.9, 0.3], np.float32), "masks": masks}
    path = constant_model(tmp_path / "model.onnx", outputs)
    output = {**BOXES, "boxes": {"name": "boxes", "units": "fractions"}, "masks": {"name": "masks"}}
    adapter = {"kind": "instances", "input": {"size": [4, 6]}, "output": output}
    found = Predictor(path, adapter=adapter)(IMAGE)
    assert (found.boxes_from, found.masks.sum()) == ("own detector", 60 * 80)  # a mask ends at its box
    assert found.person_map is None and (found.class_map()[:, :60] == 1).all()
    assert len(Predictor(path, adapter=adapter, min_score=0.2)(IMAGE)) == 2
    with pytest.raises(AdapterError, match="takes no 'boxes'"):
        Predictor(path, adapter=adapter)(IMAGE, [[0, 0, 60, 80]])
    with pytest.raises(ArgumentError, match="takes no boxes of a 'detector'"):
        Predictor(path, adapter=adapter, detector=path, detector_adapter=adapter)


Make = Callable[[Path], object]
MISTAKES: dict[str, tuple[Make, type[PredictionError], str]] = {
    "score": (lambda folder: Predictor(own_model(folder), min_score=1.5), ArgumentError, "expected 0 to 1, got 1.5"),
    "rois": (lambda folder: Predictor(own_model(folder), max_rois=0), ArgumentError, "expected at least 1, got 0"),
    "no adapter": (
        lambda folder: Predictor(detector(folder, [LEFT], [1.0])),
        AdapterError,
        "was not exported by human-edge-detection and does not say what it is; describe it in",
    ),
    "boxes only": (
        lambda folder: Predictor(detector(folder, [LEFT], [1.0]), adapter=DETECTOR),
        ArgumentError,
        "gives boxes only: give it as 'detector'",
    ),
    "no detector": (
        lambda folder: Predictor(own_model(folder), detector=folder / "best_model.onnx"),
        ArgumentError,
        "finds no boxes: it is a model of kind 'instances'",
    ),
    "no image": (
        lambda folder: Predictor(own_model(folder))(np.zeros((4, 4))),  # type: ignore[arg-type]
        ImageFileError,
        "expected",
    ),
    "no file": (lambda folder: Predictor(own_model(folder))("gone.jpg"), ImageFileError, "no such file"),
    "boxes": (lambda folder: Predictor(own_model(folder))(IMAGE, [[9, 9, 1, 1]]), BoxError, "has no area"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_line(tmp_path: Path, name: str) -> None:
    make, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message) as raised:
        make(tmp_path)
    assert "\n" not in str(raised.value)


def test_it_takes_open_models(tmp_path: Path) -> None:
    model = open_model(own_model(tmp_path))
    assert isinstance(model, Model) and Predictor(model).model is model


def test_a_model_that_gives_nan_is_refused(tmp_path: Path) -> None:
    nan = np.full((1, 1, 4, 6), np.nan, np.float32)
    path = constant_model(tmp_path / "x.onnx", {"binary_masks": nan}, metadata=OURS)
    with pytest.raises(ModelFileError, match="gives NaN in place of probabilities"):
        Predictor(path)(IMAGE)
