import json
import logging
from collections import Counter
from dataclasses import replace

import pytest

from human_edge_detection.data.annotations.annotation_set import (
    AnnotationSet,
    BadImage,
    draw_images,
    refusal,
    without,
)
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.errors import DataError


@pytest.fixture
def people(write_coco) -> AnnotationSet:
    return read_annotations(*write_coco())


def test_the_fingerprint_follows_what_is_left_out(people):
    second, other = BadImage("b.png", "is empty"), BadImage("b.png", "is cut off")
    rest = without(people, [second])
    assert [image.file_name for image in rest.images] == ["a.png"]
    assert rest.skipped == (second,)
    assert rest.fingerprint != people.fingerprint == people.sha256
    assert without(people, [other]).fingerprint == rest.fingerprint
    assert without(people, []) == people


def test_the_fingerprint_says_that_something_is_unknown(people):
    for part in (people, replace(people, drawn=(7,)), without(people, [BadImage("b.png", "is empty")])):
        other = replace(part, has_unknown=True)
        assert other.sha256 == part.sha256 and other.fingerprint != part.fingerprint


def test_leaving_out_too_much_is_refused(people):
    with pytest.raises(DataError, match="no annotated persons in 1 images"):
        without(people, [BadImage("a.png", "is empty")])
    with pytest.raises(DataError, match="2 of 2 images cannot be used, more than half"):
        without(without(people, [BadImage("b.png", "is empty")]), [BadImage("a.png", "is empty")])


def test_messages_name_the_first_and_count_the_rest(people, caplog):
    bad = [BadImage(f"{number}.png", "is empty") for number in range(5)]
    message = str(refusal(people, bad))
    assert "5 of 2 images cannot be used: '0.png' (is empty), '1.png' (is empty), '2.png' (is empty) and 2" in message
    with caplog.at_level(logging.WARNING):
        without(people, [BadImage("b.png", "is empty")])
    assert "1 of 2 images are left out: 'b.png' (is empty)" in caplog.text


def test_images_are_drawn_by_seed_and_id_in_their_order(tiny_coco, tmp_path):
    file, images = tiny_coco / "annotations/instances_train.json", tiny_coco / "images/train"
    people = read_annotations(file, images)
    drawn = draw_images(people, 3, seed=5)
    ids = drawn.images.ids.tolist()
    assert len(ids) == 3
    assert ids == [image_id for image_id in people.images.ids.tolist() if image_id in ids]
    assert draw_images(people, 3, seed=5) == drawn
    content = json.loads(file.read_text())
    content["images"].reverse()
    (tmp_path / "reversed.json").write_text(json.dumps(content))
    assert sorted(draw_images(read_annotations(tmp_path / "reversed.json", images), 3, seed=5).images.ids) == sorted(
        ids
    )
    for count in (None, 8, 9):
        assert draw_images(people, count, seed=5) is people


def test_every_image_is_drawn_equally_often(tiny_coco):
    people = read_annotations(tiny_coco / "annotations/instances_train.json", tiny_coco / "images/train")
    times = Counter(
        image_id for seed in range(400) for image_id in draw_images(people, 4, seed=seed).images.ids.tolist()
    )
    assert len(times) == 8
    assert all(150 < count < 250 for count in times.values()), "200 each, five standard deviations of 10"


def test_the_fingerprint_says_which_images_were_drawn(tiny_coco):
    people = read_annotations(tiny_coco / "annotations/instances_train.json", tiny_coco / "images/train")
    drawn = [draw_images(people, count, seed=seed) for count in (4, 5) for seed in (0, 1)]
    assert len({people.fingerprint, *(one.fingerprint for one in drawn)}) == 5
    assert draw_images(people, 4, seed=0).fingerprint == drawn[0].fingerprint
    bad = BadImage(drawn[0].images.file_names[0], "is empty")
    assert without(drawn[0], [bad]).fingerprint != drawn[0].fingerprint


def test_a_draw_without_people_is_refused(tiny_coco):
    people = read_annotations(tiny_coco / "annotations/instances_train.json", tiny_coco / "images/train")
    with pytest.raises(DataError, match=r"the 1 images drawn of 8 show no person; draw more"):
        for seed in range(100):
            draw_images(people, 1, seed=seed)
