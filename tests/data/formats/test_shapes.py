import numpy as np
import pytest

from human_edge_detection.data.annotations.coco import check_annotations, decode_mask
from human_edge_detection.data.formats.shapes import ImageShapes, Shape, ShapeDataset, placed_mask, rectangle
from human_edge_detection.errors import DataError


def shape(kind, outline, *, category="person", where="a.txt, line 1", group=None):
    return Shape(category, where, kind, lambda height, width: outline, group)


def dataset(tmp_path, *shapes, size=(30, 40)):
    file = tmp_path / "images" / "a.png"
    file.parent.mkdir(exist_ok=True)
    file.touch()
    height, width = size
    return ShapeDataset(tmp_path, {"train": [ImageShapes(file, height, width, shapes)]})


def test_what_is_written_is_what_the_checks_of_coco_take(tmp_path):
    mask = placed_mask(np.ones((5, 4), np.uint8), 10, 20, 30, 40)
    shapes = (
        shape("mask", rectangle(1, 1, 11, 6)),
        shape("mask", mask, group=1),
        shape("mask", rectangle(30, 20, 40, 30), group=1),
        shape("box", rectangle(12, 0, 18, 6)),
        shape("mask", "never asked for", category="dog"),
    )
    split = dataset(tmp_path, *shapes).persons({"person"})["train"]
    people = check_annotations(split)
    assert people.images_dir == tmp_path / "images" and people.file == tmp_path
    (image,) = people.images
    masks = [decode_mask(person.segmentation, 30, 40) for person in (*image.persons, *image.crowds)]
    assert [mask.sum() for mask in masks] == [50, 20 + 100, 36]
    assert masks[1][10:15, 20:24].all() and masks[1][20:30, 30:40].all() and masks[2][0:6, 12:18].all()
    assert people.sha256 != check_annotations(dataset(tmp_path, shapes[0]).persons({"person"})["train"]).sha256


def test_boxes_alone_are_refused_with_the_place_of_the_first(tmp_path):
    split = dataset(tmp_path, *[shape("box", rectangle(0, 0, 9, 9))] * 3).persons({"person"})["train"]
    with pytest.raises(DataError, match=r"all 3 persons have a box and no mask \(first: a.txt, line 1\)"):
        check_annotations(split)


def test_images_of_several_folders_are_named_from_the_one_above(tmp_path):
    files = [tmp_path / "a" / "x.png", tmp_path / "b" / "c" / ".." / "x.png"]
    split = ShapeDataset(tmp_path, {"train": [ImageShapes(file, 9, 9, []) for file in files]}).persons([])["train"]
    assert split.images_dir == tmp_path
    assert [image["file_name"] for image in split.data["images"]] == ["a/x.png", "b/x.png"]


def test_what_has_no_pixel_is_ignored_where_it_touches_the_image_else_left_out_and_named(tmp_path, caplog):
    outside = shape("mask", rectangle(50, 50, 60, 60), where="a.txt, line 7")
    thin = [shape(kind, rectangle(20.1, 1, 20.2, 9), where="a.txt, line 8") for kind in ("mask", "box")]
    split = dataset(tmp_path, shape("mask", rectangle(1, 1, 9, 9)), outside, *thin).persons({"person"})["train"]
    image = check_annotations(split).images[0]
    assert len(image.persons) == 1
    assert [region.box for region in image.crowds] == [(20, 1, 21, 9)] * 2
    assert "1 of 4 person annotations have neither a mask nor a box on their image and are left out" in caplog.text
    assert "(first: a.txt, line 7)" in caplog.text
    assert "2 of 4 person annotations have a box and no mask" in caplog.text


@pytest.mark.parametrize(
    ("shapes", "size", "message"),
    [
        ([shape("mask", [[1, 1, 2]])], (30, 40), "a.txt, line 1: polygon 0 has 3 coordinates"),
        ([shape("box", rectangle(0, 0, 999, 9))], (30, 40), "a.txt, line 1: polygon 0 has the coordinate 999"),
        ([shape("mask", rectangle(0, 0, 9, 9))], (10**5, 10**5), "a.txt, line 1: size 100000 x 100000"),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(tmp_path, shapes, size, message):
    split = dataset(tmp_path, *shapes, size=size).persons({"person"})["train"]
    with pytest.raises(DataError) as error:
        check_annotations(split)
    assert f"1 of 1 images cannot be used: 'a.png' ({message}" in str(error.value)


@pytest.mark.parametrize(("top", "left"), [(-1, 0), (26, 0), (0, 37), (0, -1)])
def test_a_mask_that_leaves_the_image_is_refused(top, left):
    with pytest.raises(DataError, match=r"a mask of 4 x 5 at x .* does not lie in the image of 40 x 30"):
        placed_mask(np.ones((5, 4), np.uint8), top, left, 30, 40)
