"""The checks of person annotations; what they refuse is in tests/contract/test_bad_data.py."""

import copy

import numpy as np
import pytest

from human_edge_detection.data.annotations.person_checks import integer, pack_people, person_entries
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


def test_an_invisible_person_is_left_out_and_counted(coco):
    coco["annotations"][0]["segmentation"] = []
    columns, findings = packed(coco)
    assert columns.annotation_ids.tolist() == [2, 3]
    assert (findings.invisible, findings.first_invisible) == (1, 1)


def test_persons_come_before_crowd_regions_whatever_their_order_in_the_file(coco):
    annotations = coco["annotations"]
    coco["annotations"] = [annotations[2], *annotations[:2], annotations[3]]
    columns, _ = packed(coco)
    assert columns.annotation_ids.tolist() == [1, 2, 3]
    assert columns.first_crowds.tolist() == [2, 3]


def test_a_malformed_annotation_names_itself_and_its_image(coco):
    del coco["annotations"][0]["segmentation"]
    _, findings = packed(coco)
    ((name, problem),) = findings.malformed
    assert name == "a.png"
    assert problem.startswith("annotation 1 of image 7: no 'segmentation'")


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
