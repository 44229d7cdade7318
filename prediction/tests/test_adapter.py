from typing import Any

import numpy as np
import pytest

from human_edge_prediction.adapter import WHOLE, Outputs, Region, detections, instances, person_map, to_input
from human_edge_prediction.description import (
    BoxColumns,
    Column,
    Detections,
    ImageInput,
    MaskColumns,
    PersonMap,
)
from human_edge_prediction.errors import AdapterError

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)


def test_an_image_becomes_the_input_that_is_described() -> None:
    wanted = ImageInput(size=(20, 40), colors="BGR", scale=1 / 255, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    array, region = to_input(IMAGE, wanted)
    assert (array.shape, array.dtype, region) == ((1, 3, 20, 40), np.dtype(np.float32), WHOLE)
    expected = (IMAGE[..., ::-1] / 255 - [0.1, 0.2, 0.3]) / [0.5, 1.0, 2.0]
    np.testing.assert_allclose(array[0].transpose(1, 2, 0), expected, atol=1e-6)


def test_integers_are_rounded_into_their_range() -> None:
    bytes_, _ = to_input(IMAGE, ImageInput(size=(20, 40), layout="NHWC", dtype="uint8", scale=1.0))
    assert bytes_.dtype == np.uint8
    assert (bytes_[0] == IMAGE).all()
    signed, _ = to_input(IMAGE, ImageInput(size=(20, 40), layout="NHWC", dtype="int8", scale=1.0, mean=(128.0,) * 3))
    assert (signed[0].astype(int) == IMAGE.astype(int) - 128).all()


def test_a_letterbox_keeps_the_proportions_and_the_map_comes_back() -> None:
    array, region = to_input(IMAGE, ImageInput(size=(64, 64), layout="NHWC", fit="letterbox", pad=7, scale=1.0))
    assert region == Region(0.0, 0.25, 1.0, 0.75)
    assert (array[0, :16] == 7).all()
    assert (array[0, 48:] == 7).all()
    output = np.zeros((1, 1, 64, 64), np.float32)
    output[:, :, 16:48, :32] = 0.75
    found = person_map({0: output}, PersonMap("probabilities"), layout="NCHW", region=region)
    assert found.shape == (32, 64)
    assert found[:, :32].min() == 0.75
    assert found[:, 32:].max() == 0


@pytest.mark.parametrize("image", [IMAGE[..., 0], IMAGE.astype(np.float32), IMAGE[:0]])
def test_what_is_no_image_is_refused(image: Any) -> None:
    with pytest.raises(AdapterError, match=r"expected \(H, W, 3\) uint8 RGB"):
        to_input(image, ImageInput(size=(20, 40)))


def plane(values: list[list[float]]) -> Any:
    return np.array(values, np.float32)


LOGITS = np.stack([plane([[0, 2], [0, 0]]), plane([[1, 0], [0, -3]])])[None]


@pytest.mark.parametrize(
    ("wanted", "output", "expected"),
    [
        (PersonMap("classes", person_class=15), np.array([[[15, 0], [3, 15]]], np.int64), [[1, 0], [0, 1]]),
        (PersonMap("classes", person_class=1), np.array([[[[1], [2]], [[0], [1]]]], np.uint8), [[1, 0], [0, 1]]),
        (PersonMap("probabilities"), plane([[0.25, 1], [0, 0.5]])[None], [[0.25, 1], [0, 0.5]]),
        (PersonMap("logits"), plane([[0, 100], [-100, 0]])[None, None], [[0.5, 1], [0, 0.5]]),
        (PersonMap("logits", person_class=1), LOGITS, 1 / (1 + np.exp(LOGITS[0, 0] - LOGITS[0, 1]))),
        (
            PersonMap("logits", person_class=1, layout="NHWC"),
            LOGITS.transpose(0, 2, 3, 1),
            1 / (1 + np.exp(LOGITS[0, 0] - LOGITS[0, 1])),
        ),
    ],
)
def test_every_kind_of_person_map_becomes_probabilities(wanted: PersonMap, output: Any, expected: Any) -> None:
    found = person_map({0: output, "people": output}, wanted, layout="NCHW", region=WHOLE)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (PersonMap("logits"), "has 2 channels in layout NCHW; say which is a person"),
        (PersonMap("logits", person_class=2), "no channel 2, there are 2"),
        (PersonMap("logits", name="people"), "no output 'people'; it has 'logits'"),
        (PersonMap("classes", person_class=1), "expected a class for each pixel"),
        (PersonMap("probabilities", person_class=1), r"expected values in \[0, 1\], got -3 to 2; say 'logits'"),
    ],
)
def test_outputs_that_are_not_as_described_are_refused(wanted: PersonMap, message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        person_map({0: LOGITS, "logits": LOGITS}, wanted, layout="NCHW", region=WHOLE)


ROWS = np.array(  # x1, y1, x2, y2, score, class, coefficients of two prototypes
    [[[16, 8, 48, 40, 0.9, 0, 50, 0], [0, 0, 64, 64, 0.8, 7, 50, 0], [0, 0, 8, 8, 0.4, 0, 0, -50], [0] * 8]], np.float32
)
PROTOTYPES = np.ones((1, 2, 4, 4), np.float32)


def detector(boxes: BoxColumns, masks: MaskColumns) -> Detections:
    return Detections(boxes, Column("rows", (4, 5)), Column("rows", (5, 6)), person_class=0, masks=masks)


def test_rows_with_prototypes_become_persons_of_the_letterboxed_image() -> None:
    region = Region(0.0, 0.25, 1.0, 0.75)
    wanted = detector(BoxColumns("rows", (0, 4)), MaskColumns("rows", (6, 8), values="logits", prototypes="prototypes"))
    found = instances({"rows": ROWS, "prototypes": PROTOTYPES}, wanted, size=(64, 64), region=region)
    np.testing.assert_allclose(found.scores, [0.9, 0.4])  # another class and the padding are left out
    np.testing.assert_allclose(found.boxes, [[0.25, -0.25, 0.75, 0.75], [0, -0.5, 0.125, -0.25]], atol=1e-6)
    np.testing.assert_allclose(found.frames, [[0, -0.5, 1, 1.5]] * 2, atol=1e-6)
    assert found.masks.shape == (2, 4, 4)
    assert (found.masks[0] > 0.99).all()
    assert (found.masks[1] < 0.01).all()
    people = found.person_map((10, 20), min_score=0.5)
    assert (people[:7, 5:15] > 0.99).all() and people[people < 0.99].sum() == 0  # in the box, and nowhere else
    assert (people > 0).sum() == 7 * 10


@pytest.mark.parametrize(
    ("numbers", "form", "units"),
    [
        ([16, 8, 48, 40], "xyxy", "pixels"),
        ([8, 16, 40, 48], "yxyx", "pixels"),
        ([32, 24, 32, 32], "cxcywh", "pixels"),
        ([16, 8, 32, 32], "xywh", "pixels"),
        ([0.25, 0.125, 0.75, 0.625], "xyxy", "fractions"),
    ],
)
def test_every_format_of_boxes_is_the_same_box(numbers: list[float], form: Any, units: Any) -> None:
    outputs: Outputs = {
        "boxes": np.array([[numbers]], np.float32),
        "scores": np.array([[0.5]], np.float32),
        "masks": np.full((1, 1, 2, 2), 0.75, np.float32),
    }
    wanted = Detections(
        BoxColumns("boxes", format=form, units=units), Column("scores"), masks=MaskColumns("masks", covers="box")
    )
    found = instances(outputs, wanted, size=(64, 64), region=WHOLE)
    np.testing.assert_allclose(found.boxes, [[0.25, 0.125, 0.75, 0.625]], atol=1e-6)
    assert (found.frames == found.boxes).all()
    people = found.person_map((64, 64))
    assert people[8:40, 16:48].min() == 0.75
    assert np.count_nonzero(people) == 32 * 32


@pytest.mark.parametrize(
    ("numbers", "units", "message"),
    [
        ([16, 8, 48, 40], "fractions", "expected fractions, got up to 48; say units 'pixels'"),
        ([0.2, 0.1, 0.8, 0.9], "pixels", "expected pixels, got none above 0.9; say units 'fractions'"),
    ],
)
def test_boxes_in_the_other_units_are_noticed(numbers: list[float], units: Any, message: str) -> None:
    outputs: Outputs = {"boxes": np.array([[numbers]], np.float32), "scores": np.array([[0.5]], np.float32)}
    wanted = Detections(BoxColumns("boxes", units=units), Column("scores"))
    with pytest.raises(AdapterError, match=message):
        detections(outputs, wanted, size=(64, 64), region=WHOLE)


def test_scores_of_each_class_and_a_mask_of_each_class() -> None:
    outputs: Outputs = {
        "boxes": np.array([[0, 0, 64, 64], [0, 0, 32, 32]], np.float32),
        "scores": np.array([[0.1, 0.6], [0.7, 0.0]], np.float32),
        "masks": np.stack([np.zeros((2, 3, 3)), np.ones((2, 3, 3))], axis=1).astype(np.float32),
    }
    wanted = Detections(
        BoxColumns("boxes"), Column("scores"), person_class=1, masks=MaskColumns("masks", covers="box", channel=1)
    )
    found = instances(outputs, wanted, size=(64, 64), region=WHOLE)
    assert found.scores.tolist() == pytest.approx([0.6])
    assert found.masks.min() == 1.0


def test_a_detector_without_suppression_is_not_taken_for_a_list() -> None:
    raw = np.random.default_rng(0).uniform(0, 64, (1, 8, 40)).astype(np.float32)  # a column a detection, not a row
    wanted = Detections(BoxColumns("raw", (0, 4)), Column("raw", (4, 5)))
    with pytest.raises(AdapterError, match="without suppression of duplicates"):
        detections({"raw": raw}, wanted, size=(64, 64), region=WHOLE)


@pytest.mark.parametrize(
    ("boxes", "masks", "message"),
    [
        (BoxColumns("rows"), MaskColumns("rows"), "expected 4 columns, got 8; give 'columns'"),
        (BoxColumns("rows", (6, 10)), MaskColumns("rows"), r"no columns \[6, 10\], there are 8"),
        (BoxColumns("rows", (0, 4)), MaskColumns("prototypes"), "holds no mask for each of 4 boxes"),
        (
            BoxColumns("rows", (0, 4)),
            MaskColumns("rows", (5, 8), prototypes="prototypes"),
            r"expected \(1, 3, h, w\) for so many coefficients",
        ),
    ],
)
def test_detections_that_are_not_as_described_are_refused(boxes: BoxColumns, masks: MaskColumns, message: str) -> None:
    outputs: Outputs = {"rows": ROWS, "prototypes": np.ones((1, 2, 5, 5), np.float32)[:, :, :, :3]}
    with pytest.raises(AdapterError, match=message):
        instances(outputs, detector(boxes, masks), size=(64, 64), region=WHOLE)
