import logging

import numpy as np
import pytest

from human_edge_detection.data.annotations.coco import decode_mask, read_annotations
from human_edge_detection.errors import DataError


def test_people_and_crowds_are_read_and_other_categories_ignored(write_coco):
    people = read_annotations(*write_coco())
    first, second = people.images
    assert [person.id for person in first.persons] == [1, 2]
    assert [crowd.id for crowd in first.crowds] == [3]
    assert second.persons == second.crowds == ()
    assert first.persons[0].box == (4, 4, 14, 14)
    assert len(people.fingerprint) == 64


def test_masks_cover_exactly_the_annotated_pixels(write_coco):
    first = read_annotations(*write_coco()).images[0]
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
        first = read_annotations(*write_coco(edit)).images[0]
    assert first.persons[0].box == (4, 4, 14, 14)
    assert first.persons[1].box == (10, 8, 20, 18)
    assert "1 of 3 person annotations have a bbox that is empty or far from their mask" in caplog.text


def test_box_is_clipped_to_the_image(write_coco):
    def edit(data):
        data["annotations"][0]["bbox"] = [-3, -2, 17.5, 17]

    assert read_annotations(*write_coco(edit)).images[0].persons[0].box == (0, 0, 14.5, 15)


def test_an_annotation_without_mask_and_box_is_left_out_and_counted(write_coco, caplog):
    with caplog.at_level(logging.WARNING):
        people = read_annotations(*write_coco(lambda data: data["annotations"][0].update(segmentation=[], bbox=[])))
    assert [person.id for person in people.images[0].persons] == [2]
    assert "1 of 3 person annotations have neither a mask nor a box on their image and are left out" in caplog.text


def test_boxes_without_any_mask_are_refused_in_one_line(write_coco, caplog):
    def edit(data):
        for entry in data["annotations"]:
            entry.update(segmentation=None, iscrowd=0, bbox=[4, 4, 10, 10])

    with pytest.raises(DataError, match=r"all 3 persons have a box and no mask \(first: annotation 1 on 'a.png'\)"):
        read_annotations(*write_coco(edit))
    assert not caplog.records


@pytest.mark.parametrize("value", ["no", 2, [], {}])
def test_exhaustive_is_true_or_false(write_coco, value):
    with pytest.raises(DataError, match=r"image 7: exhaustive is .*, expected true or false"):
        read_annotations(*write_coco(lambda data: data["images"][0].update(exhaustive=value)))


def test_images_that_are_not_exhaustive_are_counted_and_told_by_the_fingerprint(write_coco, caplog):
    plain = read_annotations(*write_coco(lambda data: data["images"][0].update(exhaustive=True)))
    assert plain.images.exhaustive.all() and plain.fingerprint == plain.sha256 and not caplog.records
    with caplog.at_level(logging.INFO):
        other = read_annotations(*write_coco(lambda data: data["images"][0].update(exhaustive=False)))
    assert other.images.exhaustive.tolist() == [False, True]
    assert "1 of 2 images are not exhaustively labelled" in caplog.text
    assert len({plain.fingerprint, other.sha256, other.fingerprint}) == 3


def _bad_polygon(data):
    data["annotations"][0]["segmentation"] = [[1, 1, 9, 9]]


def test_bad_annotations_are_named_with_file_and_image(write_coco):
    file, images = write_coco(_bad_polygon)
    with pytest.raises(DataError) as error:
        read_annotations(file, images)
    assert str(error.value).startswith(f"{file}: 1 of 2 images cannot be used: 'a.png' (annotation 1 of image 7: ")
    assert "--set data.on_bad_sample=skip" in str(error.value)


def _with_more(data):
    """Two more images, so that two may be bad; the last has the one person who is left then."""
    data["images"] += [{"id": 9, "file_name": "c.png", "width": 40, "height": 30}]
    data["images"] += [{"id": 10, "file_name": "d.png", "width": 40, "height": 30}]
    data["annotations"] += [{**data["annotations"][0], "id": 20, "image_id": 8}]
    data["annotations"] += [{**data["annotations"][0], "id": 21, "image_id": 10}]


def test_bad_images_are_skipped_on_demand_and_listed(write_coco, caplog):
    file, images = write_coco(lambda data: (_with_more(data), _bad_polygon(data)))
    (images / "d.png").touch()
    with caplog.at_level(logging.WARNING):
        people = read_annotations(file, images, skip_bad=True)
    assert [image.file_name for image in people.images] == ["b.png", "d.png"]
    polygon, missing = people.skipped
    assert polygon.file_name == "a.png"
    assert polygon.problem.startswith("annotation 1 of image 7: polygon 0 has 4 coordinates")
    assert missing == ("c.png", "is missing")
    assert "2 of 4 images are left out: 'a.png' (annotation 1" in caplog.text


def test_skipping_what_is_good_changes_nothing(write_coco):
    assert read_annotations(*write_coco(), skip_bad=True) == read_annotations(*write_coco())


@pytest.mark.parametrize("spoil", ["half", "persons", "id"])
def test_skipping_does_not_hide_that_a_data_set_is_useless(write_coco, spoil):
    def edit(data):
        _bad_polygon(data)
        if spoil == "half":
            data["images"][1]["file_name"] = "gone.png"
        if spoil == "id":
            data["annotations"][1]["id"] = 3

    message = {
        "half": "2 of 2 images cannot be used, more than half",
        "persons": "no annotated persons in 1 images",
    }
    with pytest.raises(DataError, match=message.get(spoil, "this id is given to two annotations")):
        read_annotations(*write_coco(edit), skip_bad=True)


@pytest.mark.parametrize("crowd", ["", [], 2, "0"])
def test_a_crowd_is_one_or_is_none(write_coco, crowd):
    def edit(data):
        data["annotations"][0]["iscrowd"] = crowd

    with pytest.raises(DataError, match=r"annotation 1 of image 7: iscrowd is .*, expected 0 or 1"):
        read_annotations(*write_coco(edit))


def test_what_is_malformed_leaves_the_others_alone(write_coco):
    def edit(data):
        _with_more(data)
        polygon = data["annotations"][0]["segmentation"][0]
        data["annotations"][0]["segmentation"] = [polygon, polygon, [*polygon[:-1], 10**400]]

    file, images = write_coco(edit)
    for name in ("c.png", "d.png"):
        (images / name).touch()
    people = read_annotations(file, images, skip_bad=True)
    assert [sample.file_name for sample in people.skipped] == ["a.png"]
    assert "has the coordinate 1000000" in people.skipped[0].problem
    assert [len(image.persons) for image in people.images] == [1, 0, 1]
    for image in (people.images[0], people.images[2]):
        assert image.persons[0].segmentation == [[4, 4, 14, 4, 14, 14, 4, 14]]


def test_the_first_invisible_person_is_that_of_the_first_image(write_coco, caplog):
    def edit(data):
        person = data["annotations"][0]
        data["annotations"][:2] = [
            {**person, "image_id": 8},
            {**person, "id": 11, "bbox": [4, 4, 0, 10], "segmentation": []},
            {**person, "id": 12, "bbox": [4, 4, 0, 10], "segmentation": None, "image_id": 8},
        ]

    with caplog.at_level(logging.WARNING):
        read_annotations(*write_coco(edit))
    assert "2 of 4 person annotations have neither a mask nor a box on their image and are left out" in caplog.text
    assert "(first: annotation 12 on 'b.png')" in caplog.text


def test_missing_images_are_counted(write_coco):
    file, images = write_coco(lambda data: data["images"][0].update(file_name="c.png"))
    with pytest.raises(DataError, match=r"1 of 2 images are not in .*images \(first: 'c\.png'\)"):
        read_annotations(file, images)


def test_missing_paths_are_named(write_coco, tmp_path):
    file, images = write_coco()
    with pytest.raises(DataError, match=r"none\.json does not exist"):
        read_annotations(tmp_path / "none.json", images)
    with pytest.raises(DataError, match="cannot be read"):
        read_annotations(tmp_path, images)
    with pytest.raises(DataError, match=r"images folder .*none does not exist"):
        read_annotations(file, tmp_path / "none")
