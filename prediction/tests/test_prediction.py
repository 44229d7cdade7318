import json

import numpy as np
import pytest

from human_edge_prediction import ImageFileError, Instances, Prediction

SIZE = (40, 80)


@pytest.fixture
def prediction() -> Prediction:
    """Two persons, the left half of each box, the second one empty; all of the image is likely to be people."""
    boxes = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 0.5]], np.float32)
    masks = np.zeros((2, 4, 4), np.float32)
    masks[0, :, :2] = 1.0
    scores = np.array([0.9, 0.2], np.float32)
    return Prediction(
        image_size=SIZE,
        boxes=boxes * np.array([80, 40, 80, 40], np.float32),
        scores=scores,
        boxes_from="given",
        instances=Instances(boxes, scores, masks, boxes),
        person_probabilities=np.full((2, 4), 0.75, np.float32),
    )


def test_masks_whole_or_where_they_are(prediction: Prediction) -> None:
    assert len(prediction) == 2
    assert prediction.masks.shape == (2, *SIZE)
    assert prediction.masks.sum((1, 2)).tolist() == [40 * 20, 0]
    first, second = prediction.persons()
    assert first.place == (slice(0, 40), slice(0, 40))
    assert (first.mask == prediction.masks[0][first.place]).all()
    assert (first.area, second.area) == (800, 0)
    assert first.score == pytest.approx(0.9)


def test_the_class_map_tells_the_persons_from_other_people(prediction: Prediction) -> None:
    classes = prediction.class_map()
    assert (classes[:, :20] == 1).all() and (classes[:, 20:] == 2).all()
    assert prediction.person_map is not None and prediction.person_map.shape == SIZE


def test_coco_results_are_plain_json_without_empty_masks(prediction: Prediction) -> None:
    (result,) = json.loads(json.dumps(prediction.to_coco(7, category_id=3)))
    assert (result["image_id"], result["category_id"], result["bbox"]) == (7, 3, [0, 0, 40, 40])
    assert result["score"] == pytest.approx(0.9)
    assert result["segmentation"]["size"] == [40, 80]


def test_it_is_drawn_on_its_image_only(prediction: Prediction) -> None:
    assert prediction.draw(np.zeros((*SIZE, 3), np.uint8)).any()
    with pytest.raises(ImageFileError, match=r"the image is \(80, 40\), and the predicted one was \(40, 80\)"):
        prediction.draw(np.zeros((80, 40, 3), np.uint8))
