import json

import pytest
from annotated_folders import PERSONS, assert_as_drawn, coco_file, draw, prepared_masks, said, write

from human_edge_detection.cli.main import main
from human_edge_detection.data.formats.coco import FORMAT, read_files
from human_edge_detection.errors import DataError
from human_edge_detection.files.data_folder import SplitPaths

CATEGORIES = [(3, "man"), (5, "Woman"), (9, "dog")]


def two_kinds(names):
    """A COCO file in which the second person of each image is a woman."""
    data = json.loads(coco_file(names, 3, CATEGORIES))
    for entry in data["annotations"][1::2]:
        entry["category_id"] = 5
    data["annotations"].append({"id": 99, "image_id": 1, "category_id": 9, "segmentation": "never looked at"})
    return json.dumps(data)


def test_several_categories_are_persons(tmp_path, capsys):
    for name in PERSONS:
        draw(tmp_path / "img" / name)
    file = write(tmp_path / "ann.json", two_kinds(PERSONS))
    flags = ["prepare-data", "--train_ann", str(file), "--train_images", str(tmp_path / "img")]
    assert main([*flags, "--output", str(tmp_path / "out"), "--category", "MAN, woman"]) == 0
    assert_as_drawn(prepared_masks(tmp_path / "out", "train"))
    assert not (tmp_path / "out" / "images" / "val").exists()  # what is given by split is not split
    shown = said(capsys)
    assert f"recognised COCO ({file}): 5 train images" in shown
    assert "as person: 'man' (4 annotations), 'Woman' (4); not used: 'dog' (1 annotation)" in shown
    assert main([*flags, "--output", str(tmp_path / "out"), "--category", "woman"]) == 0
    assert {len(persons) for persons, _ in prepared_masks(tmp_path / "out", "train").values()} == {0, 1}
    assert main([*flags, "--output", str(tmp_path / "out"), "--category", "woman,man", "--val_fraction", "0.3"]) == 0
    assert len(prepared_masks(tmp_path / "out", "val")) == 1


@pytest.mark.parametrize(
    ("files", "images", "val"),
    [
        ({"result.json": ["p0.png", "p1.png", "nobody.png"]}, "images", 1),
        ({"train.json": ["p0.png"], "val.json": ["p1.png"]}, "", 1),
        ({"annotations/people_train.json": ["p0.png"], "annotations/people-Validation.json": ["p1.png"]}, "images", 1),
        ({"annotations/instances_train2017.json": ["p0.png"], "annotations/instances_val2017.json": ["p1.png"]}, "", 1),
    ],
)
def test_files_under_other_names(tmp_path, files, images, val):
    root = tmp_path / "test"  # the folder's own name says nothing
    for file, names in files.items():
        write(root / file, coco_file(names))
        for name in names:
            draw(root / images / name)
    if "annotations/instances_train2017.json" in files:
        draw(root / "train2017" / "p0.png")
        draw(root / "val2017" / "p1.png")
    assert main(["prepare-data", "--data_root", str(root), "--output", str(tmp_path / "out")]) == 0
    assert len(prepared_masks(tmp_path / "out", "val")) == val
    for split in ("train", "val"):
        assert_as_drawn(prepared_masks(tmp_path / "out", split))


def test_a_split_without_images_is_not_passed_over(tmp_path):
    write(tmp_path / "annotations/instances_train.json", coco_file(["p0.png"]))
    draw(tmp_path / "images/train/p0.png")
    write(tmp_path / "annotations/instances_val.json", coco_file(["p1.png"]))
    with pytest.raises(DataError, match="no val images; tried images/val"):
        FORMAT.read(tmp_path)


def test_messages_name_the_place_in_the_file(tmp_path):
    data = json.loads(two_kinds(["p0.png"]))
    del data["annotations"][2]["category_id"]
    file = write(tmp_path / "ann.json", json.dumps(data))
    with pytest.raises(DataError, match=r"ann\.json: annotations\[2\]: 'category_id' is nothing"):
        _ = read_files({"train": SplitPaths(file, tmp_path)}).categories


def test_many_json_files_are_one_for_each_image(tmp_path):
    for number in range(21):
        write(tmp_path / f"{number}.json", coco_file(["p0.png"]))
    assert FORMAT.find(tmp_path) is None
