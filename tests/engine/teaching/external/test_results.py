"""Files of COCO results: who is a person, on which image, and what is no such file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from external_answers import Results, training_people, true_mask, true_results, write_results

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.engine.teaching.external.read_answers import read_answers
from human_edge_detection.engine.teaching.external.results import ResultAnswers, read_results
from human_edge_detection.errors import DataError


@pytest.fixture(scope="module")
def people(tiny_coco: Path) -> AnnotationSet:
    return training_people(tiny_coco)


@pytest.fixture
def results(people: AnnotationSet) -> Results:
    return true_results(people)


def read(content: Any, people: AnnotationSet, tmp_path: Path) -> ResultAnswers:
    return read_results(write_results(tmp_path / "results.json", content), people)


def test_persons_come_with_their_masks_and_scores(
    results: Results, people: AnnotationSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = read(results, people, tmp_path)
    for index, record in enumerate(people.images):
        said = answers.of(index)
        assert said is not None
        assert said.person_map is None
        assert len(said.instances) == len(record.persons)
        for instance, person in zip(said.instances, record.persons, strict=True):
            mask = np.zeros((96, 128))
            values, top, left, size, is_binary = instance.map
            mask[top : top + values.shape[0], left : left + values.shape[1]] = values
            assert np.array_equal(mask, true_mask(record, person.id))
            assert instance.score == pytest.approx(0.9)
            assert instance.annotation_id is None
            assert (size, is_binary) == ((96, 128), True)
    assert "entries left out: 1 with another category" in caplog.text


def test_an_image_that_is_not_mentioned_has_no_answer(results: Results, people: AnnotationSet, tmp_path: Path) -> None:
    """One with dogs alone was looked at; one of another data set does no harm."""
    foreign = {**results[0], "image_id": 999}
    answers = read([*(entry for entry in results if entry["image_id"] != 1), foreign], people, tmp_path)
    assert answers.of(0) is None
    looked_at = answers.of(2)
    assert looked_at is not None
    assert looked_at.instances == ()
    assert answers.others == 1


def test_polygons_run_lengths_and_names_of_images_will_do(people: AnnotationSet, tmp_path: Path) -> None:
    person = people.images[0].persons[0]
    rle = {"size": [96, 128], "counts": [96, 96, 96 * 126]}
    entries = [
        {"image_id": "000001.png", "category_id": 1, "segmentation": person.segmentation, "score": 1},
        {"image_id": "000001", "category_id": 1, "segmentation": rle, "score": 0.0},
    ]
    said = read(entries, people, tmp_path).of(0)
    assert said is not None
    assert [instance.score for instance in said.instances] == [1.0, 0.0]
    assert said.instances[1].map.values.sum() == 96


def test_an_annotation_file_is_taken_by_file_names(tiny_coco: Path, people: AnnotationSet, tmp_path: Path) -> None:
    data = json.loads((tiny_coco / "annotations" / "instances_train.json").read_text())
    for image in data["images"]:
        image["id"] += 100
    for entry in data["annotations"]:
        entry["image_id"] += 100
        entry["category_id"] = 7
    data["categories"] = [{"id": 7, "name": "Person"}, {"id": 1, "name": "dog"}]
    answers = read(data, people, tmp_path)
    counts = [len(said.instances) for said in map(answers.of, range(8)) if said is not None]
    assert counts == people.images.person_counts.tolist()  # crowds are no persons
    assert set(answers.scores.tolist()) == {1.0}


def test_the_persons_of_the_data_are_found_where_one_is_a_dog(tiny_coco: Path, tmp_path: Path) -> None:
    data = json.loads((tiny_coco / "annotations" / "instances_train.json").read_text())
    data["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "person"}]
    for entry in data["annotations"]:
        entry["category_id"] = 2
    (tmp_path / "data" / "annotations").mkdir(parents=True)
    (tmp_path / "data" / "images").symlink_to(tiny_coco / "images")
    for split in ("train", "val"):
        (tmp_path / "data" / "annotations" / f"instances_{split}.json").write_text(json.dumps(data))
    people = training_people(tmp_path / "data")
    results = [entry | {"category_id": 2} for entry in true_results(people)]
    dogs = [entry | {"category_id": 1} for entry in results]
    said = read([*results, *dogs], people, tmp_path).of(0)
    assert said is not None
    assert len(said.instances) == 2
    with pytest.raises(DataError, match=r"no entry of category 2, which is person; found 1 \("):
        read([*dogs, dogs[0] | {"category_id": 5}], people, tmp_path)


ENTRY = {"image_id": 1, "category_id": 1, "segmentation": [[5, 5, 20, 5, 20, 20]], "score": 0.5}
BAD: dict[str, tuple[Any, str]] = {
    "nothing": ([], "an empty list, expected COCO results"),
    "a text": ("persons", "a JSON str, expected COCO results"),
    "LabelMe": ({"shapes": [], "imagePath": "a.jpg"}, r"'shapes', 'imagePath' \(it seems to be of LabelMe\), expected"),
    "an object": ({"boxes": []}, r"a JSON object with 'boxes', expected COCO results"),
    "a list of lists": ([[1, 2]], "entry 0 is a list, expected COCO results"),
    "detections of another kind": (
        [{"label": "person", "box": []}],
        "entry 0 has no image_id and no category_id and no",
    ),
    "no score": ([{k: v for k, v in ENTRY.items() if k != "score"}], "entry 0 has no score, only 'image_id'"),
    "other images": (
        [ENTRY | {"image_id": 77}],
        r"results of 1 other images \(first: 77\); those of .* have ids as 1, 2",
    ),
    "a score in percent": ([ENTRY | {"score": 50}], r"entry 0 has the score 50, expected a number in \[0, 1\]"),
    "no number as score": ([ENTRY | {"score": None}], "entry 0 has the score None"),
    "another size": (
        [ENTRY | {"segmentation": {"size": [48, 64], "counts": [48 * 64]}}],
        r"entry 0, image 1: RLE has size \[48, 64\], expected \[height, width\] = \[96, 128\]",
    ),
    "far outside": (
        [ENTRY | {"segmentation": [[0, 0, 9e9, 0, 5, 5]]}],
        "entry 0, image 1: polygon 0 has the coordinate",
    ),
    "twice": ([ENTRY, ENTRY], "entry 1 is the same person of image 1 as entry 0; list each once"),
    "boxes": ([{**ENTRY, "segmentation": [], "bbox": [1, 2, 3, 4]}], "1 persons with boxes and no masks"),
    "other categories": ([ENTRY | {"category_id": 0}], r"no entry of category 1, which is person; found 0 \(1\)"),
    "annotations of other images": (
        {"images": [{"id": 1, "file_name": "x.jpg"}], "annotations": [], "categories": []},
        r"annotations of 1 other images \(first: 'x\.jpg'\); those of .* are called as 000001\.png",
    ),
    "malformed annotations": (
        {"images": [{"id": 1}], "annotations": [], "categories": []},
        "a malformed COCO annotation file",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_result_is_named_in_one_line(case: str, people: AnnotationSet, tmp_path: Path) -> None:
    content, message = BAD[case]
    with pytest.raises(DataError, match=message) as raised:
        read(content, people, tmp_path)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "results.json"))


def test_what_is_no_file_at_all_is_named(people: AnnotationSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json: no such file; give COCO results \(JSON\), or a folder of maps"):
        read_answers(tmp_path / "gone.json", people)
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07\xff")
    with pytest.raises(DataError, match=r"model\.onnx: a model file and no answers; give it as --teacher_checkpoint"):
        read_answers(tmp_path / "model.onnx", people)


def test_masks_without_a_pixel_are_no_persons(
    results: Results, people: AnnotationSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two of them are not the same person twice; all of them are polygons in fractions, or the like."""
    first = results[0]
    nothing = {**first["segmentation"], "counts": [96 * 128]}
    empty = {**first, "segmentation": nothing}
    answers = read([*results, empty, empty], people, tmp_path)
    assert int(answers.first[-1]) == sum(entry["category_id"] == 1 for entry in results)
    assert "2 with no pixel in its mask" in caplog.text
    with pytest.raises(DataError, match=r"none of 2 masks has a pixel in its image; write polygons in pixels"):
        read([empty, empty], people, tmp_path)


def test_annotations_of_images_of_another_size_are_refused(people: AnnotationSet, tmp_path: Path) -> None:
    data = json.loads(people.file.read_text(encoding="utf-8"))
    assert read(data, people, tmp_path).answered.all()
    images = [{**image, "width": 2 * image["width"], "height": 2 * image["height"]} for image in data["images"]]
    with pytest.raises(DataError, match=r"is 256 x 192 \(width x height\) in it, and 128 x 96 in "):
        read({**data, "images": images}, people, tmp_path)
