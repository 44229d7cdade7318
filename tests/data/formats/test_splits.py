from pathlib import Path

import pytest

from human_edge_detection.data.annotations.coco import CocoSplit
from human_edge_detection.data.formats.splits import split_called, split_off
from human_edge_detection.errors import DataError


def coco(peopled, empty, crowded=0):
    """A split with images that have two persons, nobody, and a crowd."""
    ids = range(100, 100 + peopled + empty + crowded)
    annotations = [{"id": i, "image_id": i, "category_id": 4, "segmentation": [[0]]} for i in ids[:peopled]]
    annotations += [{"id": i + 1000, "image_id": i, "category_id": 4, "segmentation": [[0]]} for i in ids[:peopled]]
    annotations += [{"id": i, "image_id": i, "category_id": 5} for i in ids[peopled:]]
    annotations += [{"id": i + 2000, "image_id": i, "category_id": 4, "iscrowd": 1} for i in ids[peopled + empty :]]
    categories = [{"id": 4, "name": "person"}]
    data = {"images": [{"id": i} for i in ids], "annotations": annotations, "categories": categories, "info": 1}
    return CocoSplit(Path("x.json"), Path("img"), data)


def ids(split):
    return [image["id"] for image in split.data["images"]]


def test_both_parts_have_the_same_share_of_images_with_persons():
    split = coco(20, 10)
    train, val = split_off(split, 0.2, 0, split="val")
    assert sorted(ids(train) + ids(val)) == ids(split)
    assert (len([i for i in ids(val) if i < 120]), len([i for i in ids(val) if i >= 120])) == (4, 2)
    for part in (train, val):
        assert {entry["image_id"] for entry in part.data["annotations"]} == {*ids(part)}
        assert part.data["info"] == 1 and ids(part) == sorted(ids(part))
    assert ids(split_off(split, 0.2, 0, split="val")[1]) == ids(val)
    assert ids(split_off(split, 0.2, 1, split="val")[1]) != ids(val)


@pytest.mark.parametrize(("fraction", "count"), [(0.001, 1), (0.999, 1)])
def test_neither_part_is_without_persons(fraction, count):
    train, val = split_off(coco(2, 0), fraction, 0, split="val")
    assert (len(ids(train)), len(ids(val))) == (2 - count, count)


def test_a_single_image_with_persons_is_not_split():
    with pytest.raises(DataError, match=r"x\.json: 1 of 9 images have persons, at least 2 .* --val_fraction 0"):
        split_off(coco(1, 5, 3), 0.2, 0, split="val")


def test_images_with_boxes_alone_have_no_persons_to_learn_from():
    split = coco(3, 0)
    for entry in split.data["annotations"][:2]:
        entry.update(segmentation=None, bbox=[1, 1, 9, 9])
    for entry in split.data["annotations"][3:5]:
        del entry["segmentation"]
    with pytest.raises(DataError, match="1 of 3 images have persons"):
        split_off(split, 0.2, 0, split="val")


def test_an_annotation_of_no_image_stays_to_be_refused():
    split = coco(4, 0)
    split.data["annotations"].append({"id": 1, "image_id": 7, "category_id": 4})
    assert {"id": 1, "image_id": 7, "category_id": 4} in split_off(split, 0.5, 0, split="val")[0].data["annotations"]
    split.data["annotations"][3]["image_id"] = [7]
    with pytest.raises(DataError, match=r"x\.json: annotations\[3\]: 'image_id' is \[7\]"):
        split_off(split, 0.5, 0, split="val")


@pytest.mark.parametrize(
    ("name", "split"),
    [("Train", "train"), ("VALID", "val"), ("Validation", "val"), ("test", "test"), ("default", None)],
)
def test_names_of_splits(name, split):
    assert split_called(name) == split
