"""A folder of images without labels: what is read of it, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from unlabelled_folders import BOX, write_images, write_results

from human_edge_detection.data.annotations.scan import scan_images
from human_edge_detection.data.unlabelled import boxes_in_file, find_unlabelled, with_boxes
from human_edge_detection.errors import DataError


def test_images_below_are_found_and_hidden_ones_are_not(tmp_path: Path) -> None:
    names = write_images(tmp_path)
    shutil.copy(tmp_path / names[0], tmp_path / "._001.png")
    (tmp_path / "notes.txt").touch()
    people = find_unlabelled(tmp_path, skip_bad=False)
    assert people.images.file_names == names == ["001.png", "003.png", "004.png", "005.png", "below/002.png"]
    assert people.images.sizes.tolist() == [[96, 128]] * 5 and not people.images.person_counts.any()


def test_the_fingerprint_is_of_the_files(tmp_path: Path) -> None:
    write_images(tmp_path / "a"), write_images(tmp_path / "b")
    prints = [find_unlabelled(tmp_path / name, skip_bad=False).images_fingerprint for name in "ab"]
    assert prints[0] == prints[1] is not None
    write_images(tmp_path / "b", seed=8)
    assert find_unlabelled(tmp_path / "b", skip_bad=False).images_fingerprint != prints[0]


def test_what_is_no_folder_of_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        find_unlabelled(tmp_path / "nowhere", skip_bad=False)
    with pytest.raises(DataError, match="no image file in it or below"):
        find_unlabelled(tmp_path, skip_bad=False)


def test_unreadable_images_are_refused_or_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = write_images(tmp_path)
    (tmp_path / names[0]).write_bytes(b"no image")
    content = (tmp_path / names[1]).read_bytes()
    (tmp_path / names[1]).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"2 of 5 images cannot be used: '001.png' .*'003.png' .*on_bad_sample=skip"):
        find_unlabelled(tmp_path, skip_bad=False)
    people = find_unlabelled(tmp_path, skip_bad=True)
    assert people.images.file_names == names[2:] and len(people.skipped) == 2
    assert "2 of 5 images are left out" in caplog.text


def test_copies_of_images_of_the_splits_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = write_images(tmp_path / "mine")
    write_images(tmp_path / "val", 1)  # the first of mine
    others = {"val": scan_images(find_unlabelled(tmp_path / "val", skip_bad=False))}
    people = find_unlabelled(tmp_path / "mine", skip_bad=False, others=others)
    assert people.images.file_names == names[1:]
    assert "1 of 5 images are val images, byte for byte (first: '001.png'), and are left out" in caplog.text
    with pytest.raises(DataError, match="all 1 images are val images"):
        find_unlabelled(tmp_path / "val", skip_bad=False, others=others)


def test_boxes_of_results_above_a_score_are_persons(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_images(tmp_path / "images")
    people = find_unlabelled(tmp_path / "images", skip_bad=False)
    file = write_results(tmp_path / "results.json", [1, 2, 3, 4, 5])
    found = with_boxes(people, boxes_in_file(file, people, min_score=0.3))
    assert found.images.person_counts.tolist() == [1] * 5
    assert found.images[4].persons[0].box == tuple(map(float, BOX))
    assert boxes_in_file(file, people, min_score=0.0)[0].shape == (2, 4)
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({"003.png": [BOX, [-5, -5, 500, 0.5]], "below/002.png": []}), encoding="utf-8")
    found = with_boxes(people, boxes_in_file(plain, people, min_score=0.3))
    assert found.images.person_counts.tolist() == [0, 1, 0, 0, 0]  # what has no area inside the image is left out
    assert "3 of 5 images without labels are not in it (first: '001.png')" in caplog.text


def test_annotations_give_boxes_too(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 2)
    people = find_unlabelled(tmp_path / "images", skip_bad=False)
    content = {
        "images": [{"id": 7, "file_name": "001.png", "height": 96, "width": 128}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [20, 10, 50, 70]}],
        "categories": [{"id": 1, "name": "person"}],
    }
    file = tmp_path / "ann.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    (one, nobody) = boxes_in_file(file, people, min_score=0.3)
    np.testing.assert_array_equal(one, [BOX])
    assert nobody.shape == (0, 4)
    content["images"][0]["height"] = 90
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"001.png is 128 x 96 .*128 x 90"):
        boxes_in_file(file, people, min_score=0.3)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[{"image_id": 77, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 1}]', "none of its image ids"),
        ('{"other.png": [[0, 0, 9, 9]]}', "none of the 2 images is in it"),
        ('{"001.png": [[0, 0, 9]]}', "expected four numbers"),
        ('{"001.png": [[0, 0, NaN, 9]]}', "a box of '001.png' is not finite"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 7}]', "a score is no number"),
        ('"boxes"', "expected COCO results"),
        ("no JSON", "no JSON"),
    ],
)
def test_boxes_of_something_else_are_refused(content: str, problem: str, tmp_path: Path) -> None:
    write_images(tmp_path / "images", 2)
    people = find_unlabelled(tmp_path / "images", skip_bad=False)
    file = tmp_path / "boxes.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=problem) as raised:
        boxes_in_file(file, people, min_score=0.3)
    assert str(raised.value).startswith("data.unlabelled.boxes: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize("box", [[0.1, 0.1, 0.9, 0.9], [900, 900, 950, 950]])
def test_boxes_that_leave_nobody_are_warned_about(
    box: list[float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fractions, for example."""
    write_images(tmp_path / "images")
    people = find_unlabelled(tmp_path / "images", skip_bad=False)
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({name: [box] for name in people.images.file_names}), encoding="utf-8")
    boxes_in_file(file, people, min_score=0.3)
    assert "none has a score of 0.3 or more and lies in its image" in caplog.text
