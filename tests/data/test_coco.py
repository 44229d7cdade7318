import logging
from pathlib import Path

import numpy as np
import pytest

from human_edge_detection.data.coco import decode_mask, read_people
from human_edge_detection.errors import DataError


def test_people_and_crowds_are_read_and_other_categories_ignored(write_coco):
    people = read_people(*write_coco())
    first, second = people.photographs
    assert [person.id for person in first.persons] == [1, 2]
    assert [crowd.id for crowd in first.crowds] == [3]
    assert second.persons == second.crowds == ()
    assert first.persons[0].box == (4, 4, 14, 14)
    assert len(people.fingerprint) == 64


def test_masks_cover_exactly_the_annotated_pixels(write_coco):
    first = read_people(*write_coco()).photographs[0]
    expected = np.zeros((30, 40), np.uint8)
    expected[4:14, 4:14] = 1
    np.testing.assert_array_equal(decode_mask(first.persons[0].segmentation, 30, 40), expected)
    crowd = decode_mask(first.crowds[0].segmentation, 30, 40)
    assert crowd[:, 12:24].all() and crowd.sum() == 12 * 30


def test_box_comes_from_the_mask_when_there_is_none_and_when_it_is_far_off(write_coco, caplog):
    def edit(data):
        del data["annotations"][0]["bbox"]
        data["annotations"][1]["bbox"] = [30, 20, 5, 5]

    with caplog.at_level(logging.WARNING):
        first = read_people(*write_coco(edit)).photographs[0]
    assert first.persons[0].box == (4, 4, 14, 14)
    assert first.persons[1].box == (10, 8, 20, 18)
    assert "1 annotations (first: 2) have a bbox far from their mask" in caplog.text


def test_box_is_clipped_to_the_photograph(write_coco):
    def edit(data):
        data["annotations"][0]["bbox"] = [-3, -2, 17.5, 17]

    assert read_people(*write_coco(edit)).photographs[0].persons[0].box == (0, 0, 14.5, 15)


@pytest.mark.parametrize("field", ["segmentation", "bbox"])
def test_annotation_without_a_pixel_is_left_out_and_counted(write_coco, caplog, field):
    def edit(data):
        data["annotations"][0][field] = [] if field == "segmentation" else [4, 4, 0, 10]

    with caplog.at_level(logging.WARNING):
        people = read_people(*write_coco(edit))
    assert [person.id for person in people.photographs[0].persons] == [2]
    assert "1 of 3 person annotations have an empty mask or box" in caplog.text


def _annotation(**fields):
    return lambda data: data["annotations"][0].update(fields)


def _image(**fields):
    return lambda data: data["images"][0].update(fields)


def _polygon(*coordinates):
    return _annotation(segmentation=[list(coordinates)])


BAD = {
    "odd polygon": (_polygon(1, 1, 9, 1, 9, 9, 1), "annotation 1 of image 7 (a.png): polygon 0 has 7 coordinates"),
    "short polygon": (_polygon(1, 1, 9, 9), "polygon 0 has 4 coordinates"),
    "NaN polygon": (_polygon(1, 1, 9, 1, float("nan"), 9), "polygon 0 has the coordinate nan at position 4"),
    "infinite polygon": (_polygon(1, 1, 9, 1, 9, float("inf")), "coordinate inf"),
    "huge polygon": (_polygon(1, 1, 1e12, 1, 9, 9), "coordinate 1000000000000.0"),
    "huge integer polygon": (_polygon(1, 1, 10**400, 1, 9, 9), "coordinate 1000000"),
    "text polygon": (_polygon(1, 1, "9", 1, 9, 9), "coordinate '9'"),
    "polygon of a flat list": (_annotation(segmentation=[1, 1, 9, 1, 9, 9]), "polygon 0 is a int"),
    "no segmentation": (lambda data: data["annotations"][0].pop("segmentation"), "no 'segmentation'"),
    "text segmentation": (_annotation(segmentation="x"), "segmentation is a str"),
    "RLE of another size": (_annotation(segmentation={"size": [40, 30], "counts": [1200]}), "expected [height, width]"),
    "RLE too short": (_annotation(segmentation={"size": [30, 40], "counts": [100, 5]}), "add up to 105"),
    "RLE negative": (_annotation(segmentation={"size": [30, 40], "counts": [1300, -100]}), "RLE counts hold"),
    "RLE overflow": (
        _annotation(segmentation={"size": [30, 40], "counts": [2**63, 5]}),
        "add up to 9223372036854775813",
    ),
    "RLE garbage": (_annotation(segmentation={"size": [30, 40], "counts": "zzzé~"}), "RLE counts"),
    "RLE without counts": (_annotation(segmentation={"size": [30, 40]}), "RLE counts are a NoneType"),
    "NaN box": (_annotation(bbox=[1, 1, float("nan"), 4]), "bbox is [1, 1, nan, 4], expected four finite numbers"),
    "short box": (_annotation(bbox=[1, 1, 4]), "expected [x, y, width, height]"),
    "iscrowd": (_annotation(iscrowd=2), "iscrowd is 2"),
    "unknown image": (_annotation(image_id=99), "annotation 1: belongs to image 99"),
    "no image id": (lambda data: data["annotations"][0].pop("image_id"), "annotation 1: 'image_id' is nothing"),
    "duplicate annotation": (_annotation(id=2), "annotation 2: this id is given to two annotations"),
    "duplicate image": (_image(id=8), "image 8: this id is given to two images"),
    "no width": (lambda data: data["images"][0].pop("width"), "image 7: 'width' is nothing, expected an integer"),
    "huge size": (_image(width=10**9), "image 7: size 1000000000 x 30"),
    "absolute name": (_image(file_name="/etc/passwd"), "image 7: file_name '/etc/passwd' leads out"),
    "name that climbs": (_image(file_name="x/../../a.png"), "leads out of the images folder"),
    "windows name": (_image(file_name="C:\\a.png"), "leads out of the images folder"),
    "no name": (_image(file_name=""), "image 7: file_name is ''"),
    "missing photograph": (_image(file_name="c.png"), "1 of 2 photographs are not in"),
    "endless name": (_image(file_name="c" * 5000), "1 of 2 photographs are not in"),
    "no category": (lambda data: data["categories"].pop(0), "no category 'person', found 'dog'"),
    "no person": (lambda data: data["annotations"].clear(), "no annotated persons in 2 images"),
    "crowds only": (lambda data: data.update(annotations=data["annotations"][2:]), "no annotated persons"),
    "no images": (lambda data: data.pop("images"), "no list 'images' in it, found 'annotations', 'categories'"),
    "entries of text": (lambda data: data["images"].append("x"), "'images' holds entries that are not objects"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_annotations_are_named_with_their_file(write_coco, case):
    edit, message = BAD[case]
    file, images = write_coco(edit)
    with pytest.raises(DataError) as error:
        read_people(file, images)
    assert message in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"images": "\xff"}', "not UTF-8 text"),
        (b"[1]", "holds a JSON list"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"images": [' + b"9" * 5000 + b"]}", "not valid JSON"),
    ],
)
def test_file_that_is_not_coco(tmp_path: Path, content: bytes, message: str):
    file = tmp_path / "people.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_people(file, tmp_path)


def test_missing_paths_are_named(write_coco, tmp_path):
    file, images = write_coco()
    with pytest.raises(DataError, match=r"none\.json does not exist"):
        read_people(tmp_path / "none.json", images)
    with pytest.raises(DataError, match="cannot be read"):
        read_people(tmp_path, images)
    with pytest.raises(DataError, match=r"images folder .*none does not exist"):
        read_people(file, tmp_path / "none")
