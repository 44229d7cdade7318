"""The checks of person annotations; what they refuse is in tests/contract/test_bad_data.py."""

import copy

import numpy as np
import pytest

from human_edge_detection.data.annotations import person_checks
from human_edge_detection.data.annotations.person_checks import Place, integer, pack_people, person_entries
from human_edge_detection.data.annotations.polygons_and_rle import decode_mask
from human_edge_detection.errors import DataError


def packed(data):
    return pack_people(data, {image["id"]: image for image in data["images"]})


def test_only_persons_are_checked_and_packed(coco):
    columns, findings = packed(coco)
    assert [number for number, _ in person_entries(coco)] == [0, 1, 2]
    assert columns.annotation_ids.tolist() == [1, 2, 3]
    assert findings.persons == 3
    assert (findings.malformed, findings.moved, findings.invisible) == ((), 0, 0)


def test_boxes_are_those_of_the_file_clipped_to_the_image(coco):
    coco["annotations"][0]["bbox"] = [-2, 4, 16, 10]
    columns, _ = packed(coco)
    assert columns.boxes[:2].tolist() == [[0, 4, 14, 14], [10, 8, 20, 18]]


def test_a_box_far_from_the_mask_is_replaced_and_counted(coco):
    coco["annotations"][1]["bbox"] = [30, 20, 5, 5]
    columns, findings = packed(coco)
    assert columns.boxes[1].tolist() == [10, 8, 20, 18]
    assert (findings.moved, findings.first_moved) == (1, 2)


NO_MASK = [None, [], "missing", [[-30, -20, -20, -20, -20, -10]], {"size": [30, 40], "counts": [1200]}]
NO_BOX = [None, [], "missing", [0, 0, 0, 0], [4, 4, 0, 10], [14, 14, -10, -10], [40, 30, 5, 5]]


def without(entry, field, value):
    entry.pop(field) if value == "missing" else entry.update({field: value})


@pytest.mark.parametrize("mask", NO_MASK)
def test_a_person_with_neither_mask_nor_box_is_left_out_and_counted(coco, mask):
    for box in NO_BOX:
        without(coco["annotations"][0], "segmentation", mask)
        without(coco["annotations"][0], "bbox", box)
        columns, findings = packed(coco)
        assert columns.annotation_ids.tolist() == [2, 3]
        assert (findings.invisible, findings.first_invisible, findings.unmasked) == (1, "annotation 1 on 'a.png'", 0)
        coco["annotations"][0].update(segmentation=None, bbox=None)


@pytest.mark.parametrize("iscrowd", [0, 1])
@pytest.mark.parametrize("mask", NO_MASK)
def test_the_box_of_a_person_without_a_mask_is_an_ignored_region(coco, mask, iscrowd):
    if iscrowd and isinstance(mask, list) and mask:
        pytest.skip("polygons of a crowd are malformed")
    coco["annotations"][0].update(bbox=[4.5, 4, 9.25, 40], iscrowd=iscrowd)
    without(coco["annotations"][0], "segmentation", mask)
    columns, findings = packed(coco)
    assert columns.annotation_ids.tolist() == [2, 1, 3] and columns.first_crowds.tolist() == [1, 3]
    region = columns.image(0).crowds[0]
    expected = np.zeros((30, 40), np.uint8)
    expected[4:, 4:14] = 1
    np.testing.assert_array_equal(decode_mask(region.segmentation, 30, 40), expected)
    assert region.box == (4.5, 4, 13.75, 30)
    (outline,) = region.outlines
    assert [*outline.min(axis=0), *outline.max(axis=0)] == [4, 4, 14, 30]
    assert (findings.unmasked, findings.first_unmasked) == (1, "annotation 1 on 'a.png'")
    assert findings.invisible == 0


def test_polygons_off_the_image_are_no_outline_of_the_region_also_where_nothing_is_traced(coco, monkeypatch):
    monkeypatch.setattr(person_checks, "_MAX_TRACED", 0)
    coco["annotations"][0]["segmentation"] = [[-30, -20, -20, -20, -20, -10]]
    assert packed(coco)[0].image(0).crowds[0].outlines == ()


@pytest.mark.parametrize("box", NO_BOX)
def test_a_mask_without_a_box_has_the_box_of_the_mask(coco, box):
    without(coco["annotations"][0], "bbox", box)
    columns, findings = packed(coco)
    assert columns.boxes[0].tolist() == [4, 4, 14, 14] and columns.annotation_ids.tolist() == [1, 2, 3]
    empty = box not in (None, [], "missing")
    assert (findings.moved, findings.boxless, findings.invisible) == (empty, empty, 0)


def test_an_image_is_exhaustive_unless_it_says_otherwise(coco):
    for value, expected in ((None, True), (True, True), (1, True), (False, False), (0, False)):
        coco["images"][0]["exhaustive"] = value
        columns, _ = packed(coco)
        assert columns.exhaustive.tolist() == [expected, True]


def test_a_place_in_another_file_is_named(coco):
    del coco["annotations"][0]["segmentation"]
    coco["annotations"][0]["where"] = "a word of the user's own"
    assert packed(coco)[1].first_unmasked == "annotation 1 on 'a.png'"
    coco["annotations"][0]["where"] = Place("labels/a.txt, line 2")
    assert packed(coco)[1].first_unmasked == "labels/a.txt, line 2"


def test_persons_come_before_crowd_regions_whatever_their_order_in_the_file(coco):
    annotations = coco["annotations"]
    coco["annotations"] = [annotations[2], *annotations[:2], annotations[3]]
    columns, _ = packed(coco)
    assert columns.annotation_ids.tolist() == [1, 2, 3]
    assert columns.first_crowds.tolist() == [2, 3]


def test_a_malformed_annotation_names_itself_and_its_image(coco):
    coco["annotations"][0]["segmentation"] = "outline"
    _, findings = packed(coco)
    ((name, problem),) = findings.malformed
    assert name == "a.png"
    assert problem.startswith("annotation 1 of image 7: segmentation is a str")


def test_the_data_are_left_as_they_were(coco):
    before = copy.deepcopy(coco)
    packed(coco)
    assert coco == before


def test_run_lengths_are_traced_once(coco):
    coco["annotations"][0]["segmentation"] = {"size": [30, 40], "counts": [124, 10, 30 * 40 - 134]}
    coco["annotations"][0]["bbox"] = [4, 4, 1, 10]
    columns, _ = packed(coco)
    person = columns.image(0).persons[0]
    assert isinstance(person.segmentation, dict)
    assert np.concatenate(person.outlines).min(axis=0).tolist() == [4, 4]


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 2**63])
def test_what_is_no_integer_of_64_bits_is_refused(value):
    with pytest.raises(DataError, match=r"entry 3: 'id' is .*, expected an integer"):
        integer({"id": value}, "id", "entry 3")
    with pytest.raises(DataError, match="entry 3: 'other' is nothing, expected an integer"):
        integer({"id": value}, "other", "entry 3")
