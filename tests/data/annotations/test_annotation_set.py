import logging

import pytest

from human_edge_detection.data.annotations.annotation_set import AnnotationSet, BadSample, refusal, without
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.errors import DataError


@pytest.fixture
def people(write_coco) -> AnnotationSet:
    return read_annotations(*write_coco())


def test_the_fingerprint_follows_what_is_left_out(people):
    second, other = BadSample("b.png", "is empty"), BadSample("b.png", "is cut off")
    rest = without(people, [second])
    assert [image.file_name for image in rest.images] == ["a.png"]
    assert rest.skipped == (second,)
    assert rest.fingerprint != people.fingerprint == people.sha256
    assert without(people, [other]).fingerprint == rest.fingerprint
    assert without(people, []) == people


def test_leaving_out_too_much_is_refused(people):
    with pytest.raises(DataError, match="no annotated persons in 1 images"):
        without(people, [BadSample("a.png", "is empty")])
    with pytest.raises(DataError, match="2 of 2 images cannot be used, more than half"):
        without(without(people, [BadSample("b.png", "is empty")]), [BadSample("a.png", "is empty")])


def test_messages_name_the_first_and_count_the_rest(people, caplog):
    bad = [BadSample(f"{number}.png", "is empty") for number in range(5)]
    message = str(refusal(people, bad))
    assert "5 of 2 images cannot be used: '0.png' (is empty), '1.png' (is empty), '2.png' (is empty) and 2" in message
    with caplog.at_level(logging.WARNING):
        without(people, [BadSample("b.png", "is empty")])
    assert "1 of 2 images are left out: 'b.png' (is empty)" in caplog.text
