import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from human_edge_detection.errors import DataError
from human_edge_detection.metrics.coco_ap import METRICS, CocoMaskAp
from human_edge_detection.structures import TARGET, Batch, SegmentationOutput
from human_edge_prediction import Instances, Prediction
from human_edge_prediction.boxes import to_pixels
from human_edge_prediction.masks.rle import encode

IMAGE = (120, 160)
MASK = (64, 48)
BOXES = {1: (20, 20, 20, 24), 2: (60, 30, 40, 60)}
"""x, y, width, height of a small and a medium person; each is the lower left triangle of its box."""
CROWD = (110, 10, 40, 100)


def annotation(number: int, image_id: int, box: tuple[int, int, int, int], **more: Any) -> dict[str, Any]:
    x, y, width, height = box
    polygon = [x, y, x + width, y + height, x, y + height]
    entry = {"id": number, "image_id": image_id, "category_id": 7, "bbox": list(box), "segmentation": [polygon]}
    return entry | {"iscrowd": 0, "area": width * height / 2} | more


def crowd(number: int, image_id: int) -> dict[str, Any]:
    mask = np.zeros(IMAGE, np.uint8)
    x, y, width, height = CROWD
    mask[y : y + height, x : x + width] = 1
    flat = mask.flatten(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    runs = {"size": list(IMAGE), "counts": counts}
    return annotation(number, image_id, CROWD, iscrowd=1, segmentation=runs, area=int(mask.sum()))


def write_file(folder: Path, annotations: Sequence[dict[str, Any]]) -> Path:
    content = {
        "images": [
            {"id": image, "height": IMAGE[0], "width": IMAGE[1], "file_name": f"{image}.jpg"} for image in (5, 6)
        ],
        "categories": [{"id": 7, "name": "person"}, {"id": 8, "name": "dog"}],
        "annotations": list(annotations),
    }
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    return file


def batch_of(boxes: Sequence[tuple[int, int, int, int]]) -> Batch:
    height, width = IMAGE
    rois = [[0, x / width, y / height, (x + w) / width, (y + h) / height] for x, y, w, h in boxes]
    count = len(rois)
    return Batch(
        images=torch.zeros(1, 3, 32, 32),
        rois=torch.tensor(rois).reshape(count, 5),
        roi_masks=torch.zeros(count, *MASK, dtype=torch.uint8),
        person_masks=torch.zeros(1, 32, 32, dtype=torch.uint8),
        image_ids=(5,),
        annotation_ids=tuple(range(count)),
    )


def output(masks: Sequence[NDArray[np.bool_]]) -> SegmentationOutput:
    target = torch.tensor(np.array(masks, dtype=np.float32)).reshape(len(masks), *MASK) * 12 - 6
    return SegmentationOutput(torch.stack([-target, target, torch.full_like(target, -9.0)], dim=1), {})


def triangle() -> NDArray[np.bool_]:
    rows, columns = np.indices(MASK)
    return (rows + 0.5) / MASK[0] > (columns + 0.5) / MASK[1]


EMPTY = np.zeros(MASK, bool)
FULL = np.ones(MASK, bool)
PERSONS = [annotation(1, 5, BOXES[1]), annotation(2, 5, BOXES[2])]


def score(file: Path, boxes: Sequence[tuple[int, int, int, int]], masks: Sequence[NDArray[np.bool_]]) -> dict[str, Any]:
    metric = CocoMaskAp(file)
    metric.update(output(masks), batch_of(boxes))
    return metric.compute()


def test_perfect_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = score(write_file(tmp_path, PERSONS), list(BOXES.values()), [triangle(), triangle()])
    assert tuple(values) == METRICS
    assert values["AP"] > 0.9
    assert values["AP_small"] > 0.8
    assert values["AP_medium"] > 0.9
    assert values["AP_large"] is None
    assert capsys.readouterr().out == ""


def test_empty_and_wrong_masks(tmp_path: Path) -> None:
    file = write_file(tmp_path, PERSONS)
    assert score(file, list(BOXES.values()), [EMPTY, EMPTY])["AP"] == 0.0
    assert score(file, list(BOXES.values()), [~triangle(), ~triangle()])["AP"] == 0.0
    whole_boxes = score(file, list(BOXES.values()), [FULL, FULL])
    assert whole_boxes["AP75"] == 0.0


@pytest.mark.filterwarnings("error")
def test_an_empty_mask_is_a_person_missed_and_no_answer(tmp_path: Path) -> None:
    values = score(write_file(tmp_path, PERSONS), list(BOXES.values()), [EMPTY, triangle()])
    assert values["AP_small"] == 0.0
    assert values["AP_medium"] > 0.9


def test_masks_in_a_crowd_do_not_count(tmp_path: Path) -> None:
    x, y, width, height = CROWD
    upper, lower = (x, y, width, height // 2), (x, y + height // 2, width, height // 2)
    boxes = [upper, lower, *BOXES.values()]
    masks = [FULL, FULL, triangle(), triangle()]
    in_crowd = score(write_file(tmp_path, [*PERSONS, crowd(3, 5)]), boxes, masks)
    nowhere = score(write_file(tmp_path, PERSONS), boxes, masks)
    assert in_crowd == score(write_file(tmp_path, PERSONS), boxes[2:], masks[2:])
    assert nowhere["AP"] < in_crowd["AP"]


@pytest.mark.parametrize("nothing", [{"segmentation": None}, {"segmentation": []}, {}])
def test_masks_in_the_box_of_a_person_without_a_mask_do_not_count(tmp_path: Path, nothing: dict[str, Any]) -> None:
    unmasked = annotation(3, 5, CROWD)
    del unmasked["segmentation"]
    boxes, masks = [CROWD, *BOXES.values()], [FULL, triangle(), triangle()]
    values = score(write_file(tmp_path, [*PERSONS, unmasked | nothing]), boxes, masks)
    assert values == score(write_file(tmp_path, PERSONS), boxes[1:], masks[1:])


def test_only_persons_in_seen_images_count(tmp_path: Path) -> None:
    dog = annotation(3, 5, (100, 60, 30, 30), category_id=8)
    elsewhere = annotation(4, 6, BOXES[2])
    values = score(write_file(tmp_path, [*PERSONS, dog, elsewhere]), list(BOXES.values()), [triangle(), triangle()])
    assert values["AP"] > 0.9


def test_an_image_that_was_seen_without_answer_costs(tmp_path: Path) -> None:
    metric = CocoMaskAp(write_file(tmp_path, [*PERSONS, annotation(4, 6, BOXES[2]), annotation(5, 6, BOXES[1])]))
    metric.update(output([triangle(), triangle()]), batch_of(list(BOXES.values())))
    metric.update(output([]), batch_of([])._replace(image_ids=(6,)))
    assert 0.4 < (metric.compute()["AP"] or 0.0) < 0.6


def test_areas_may_be_missing(tmp_path: Path) -> None:
    bare = [{key: entry[key] for key in ("id", "image_id", "category_id", "segmentation")} for entry in PERSONS]
    values = score(write_file(tmp_path, bare), list(BOXES.values()), [triangle(), triangle()])
    assert values["AP_medium"] > 0.9


def test_nothing_seen_is_none(tmp_path: Path) -> None:
    assert CocoMaskAp(write_file(tmp_path, PERSONS)).compute() == dict.fromkeys(METRICS, None)


def test_wrong_use_and_wrong_files(tmp_path: Path) -> None:
    metric = CocoMaskAp(write_file(tmp_path, PERSONS))
    with pytest.raises(ValueError, match="1 roi outputs for 2 rois"):
        metric.update(output([EMPTY]), batch_of(list(BOXES.values())))
    with pytest.raises(ValueError, match=r"\[77\]"):
        metric.update(output([]), batch_of([])._replace(image_ids=(77,)))
    with pytest.raises(DataError, match="cannot be read"):
        CocoMaskAp(tmp_path / "absent.json")
    broken = tmp_path / "broken.json"
    for content in ("{", "[]", '{"images": []}', '{"images": [], "annotations": [], "categories": []}'):
        broken.write_text(content)
        with pytest.raises(DataError, match=r"broken\.json"):
            CocoMaskAp(broken)


def test_coco_results_of_predictions_score_the_same(tmp_path: Path) -> None:
    """What ``human_edge_prediction`` writes without pycocotools has the same masks and scores, and is read by it."""
    boxes = [
        *BOXES.values(),
        (60, 30, 44, 70),
        (0, 0, 160, 120),
        (10, 75, 36, 40),
    ]  # the last: a small mask in a larger box
    file = write_file(tmp_path, [annotation(1, 5, BOXES[1]), annotation(2, 5, BOXES[2]), crowd(3, 5)])
    batch = batch_of(boxes)
    noise = torch.randn(len(boxes), 3, *MASK, generator=torch.Generator().manual_seed(0))
    logits = 2 * noise + 4 * logits_of_triangles(len(boxes))
    metric = CocoMaskAp(file)
    metric.update(SegmentationOutput(logits, {}), batch)

    rois = batch.rois[:, 1:].numpy()
    masks = logits.softmax(1)[:, TARGET].numpy()
    persons = Instances(rois, np.zeros(len(rois), np.float32), masks, rois).scored(IMAGE)
    prediction = Prediction(IMAGE, to_pixels(rois, IMAGE), persons.scores, "given", persons)
    expected = metric.compute()
    assert 0.1 < (expected["AP"] or 0) < 0.9
    scores = scores_of(prediction.to_coco(5, category_id=7, bbox=False), file)
    assert scores == pytest.approx(expected)
    with_boxes = scores_of(prediction.to_coco(5, category_id=7), file)
    assert with_boxes["AP"] == pytest.approx(expected["AP"])
    assert with_boxes["AP_small"] != pytest.approx(expected["AP_small"])  # pycocotools sizes by boxes, if there are


def scores_of(results: list[dict[str, Any]], file: Path) -> dict[str, float | None]:
    """By pycocotools alone, of image 5."""
    truth = COCO(str(file))
    evaluation = COCOeval(truth, truth.loadRes(results), "segm")
    evaluation.params.imgIds, evaluation.params.catIds = [5], [7]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {name: value if value >= 0 else None for name, value in zip(METRICS, evaluation.stats, strict=False)}


def logits_of_triangles(count: int) -> torch.Tensor:
    """``(count, 3, *MASK)``: for the lower left triangle of each box, against it elsewhere."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, MASK[0]), torch.linspace(0, 1, MASK[1]), indexing="ij")
    inside = (rows > columns).float()
    return torch.stack([1 - inside, inside, torch.zeros_like(inside)]).expand(count, -1, -1, -1)


def test_run_lengths_are_those_of_pycocotools() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        height, width = random.integers(1, 40, 2)
        rows, columns = random.integers(0, height + 1), random.integers(0, width + 1)
        top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
        mask = random.random((rows, columns)) < random.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        whole = np.zeros((height, width), np.uint8, order="F")
        whole[top : top + rows, left : left + columns] = mask
        assert encode(mask, (top, left), (height, width))["counts"].encode() == rle.encode(whole)["counts"]
