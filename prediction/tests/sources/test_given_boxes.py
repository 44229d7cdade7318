import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from human_edge_prediction.errors import BoxError, SourceError
from human_edge_prediction.sources.frames import Frame
from human_edge_prediction.sources.given_boxes import Annotations, annotated_boxes, read_boxes
from human_edge_prediction.sources.listing import Source

COCO: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "val/a.jpg", "height": 40, "width": 60},
        {"id": 9, "file_name": "0012.jpg", "height": 40, "width": 60},
    ],
    "categories": [{"id": 3, "name": "person"}, {"id": 1, "name": "dog"}],
    "annotations": [
        {"image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20]},
        {"image_id": 7, "category_id": 1, "bbox": [0, 0, 5, 5]},
        {"image_id": 7, "category_id": 3, "bbox": [0, 0, 50, 30], "iscrowd": 1},
        {"image_id": 7, "category_id": 3, "bbox": [30, 0, 10, 30]},
        {"image_id": 7, "category_id": 3, "bbox": [30, 0, 0, 30]},
    ],
}
RESULTS = [
    {"image_id": 12, "category_id": 1, "bbox": [1, 2, 10, 20], "score": 0.9},
    {"image_id": 12, "category_id": 2, "bbox": [1, 2, 10, 20], "score": 0.8},
    {"image_id": 12, "category_id": 1, "bbox": [3, 4, 5, 6], "score": 0.25},
]


def written(folder: Path, content: Any) -> Path:
    path = folder / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def source(path: str, name: str | None = None) -> Source:
    return Source(Path(path), name or Path(path).stem, is_video=path.endswith(".mp4"))


def frame(of: Source, size: tuple[int, int] = (40, 60), index: int | None = None) -> Frame:
    return Frame(of, np.zeros((*size, 3), np.uint8), index)


def test_annotations_give_boxes_of_persons_and_ids(tmp_path: Path) -> None:
    annotations = Annotations(written(tmp_path, COCO))
    a, b = source("/data/val/a.jpg"), source("0012.jpg")
    assert {name: image.id for name, image in annotations.images([a, b]).items()} == {"a": 7, "0012": 9}
    given = annotated_boxes(annotations, [a, b])
    np.testing.assert_array_equal(given.of(frame(a)).boxes, [[1, 2, 11, 22], [30, 0, 40, 30]])
    assert given.of(frame(a)).scores is None
    assert given.left_out == 1, "it has no area"
    assert given.of(frame(b)).boxes.shape == (0, 4), "nobody is on it"


def test_an_image_of_another_size_than_its_annotation_is_refused(tmp_path: Path) -> None:
    a = source("val/a.jpg")
    given = annotated_boxes(Annotations(written(tmp_path, COCO)), [a])
    with pytest.raises(BoxError, match=r"is 30 x 20 \(width x height\), and 60 x 40 in"):
        given.of(frame(a, (20, 30)))


def test_lists_by_name_are_found_by_as_many_folders_as_they_have(tmp_path: Path) -> None:
    a, other, clip = source("/one/x.jpg", "one/x"), source("/two/x.jpg", "two/x"), source("clip.mp4")
    path = written(tmp_path, {"one/x.jpg": [[1, 2, 3, 4]], "two/x": [], "clip/000001": [[5, 6, 7, 8]]})
    given = read_boxes(path, None, [a, other, clip])
    np.testing.assert_array_equal(given.of(frame(a)).boxes, [[1, 2, 3, 4]])
    assert not len(given.of(frame(other)).boxes)
    np.testing.assert_array_equal(given.of(frame(clip, index=1)).boxes, [[5, 6, 7, 8]])
    with pytest.raises(BoxError, match=r"is not in .*boxes\.json; add it there"):
        given.of(frame(clip, index=2))


def test_results_are_found_by_the_number_of_the_image_or_by_annotations(tmp_path: Path) -> None:
    path = written(tmp_path, RESULTS)
    numbered, empty = source("/data/000000000012.jpg"), source("/data/13.jpg")
    boxes, scores = read_boxes(path, None, [numbered, empty]).of(frame(numbered))
    np.testing.assert_array_equal(boxes, [[1, 2, 11, 22], [3, 4, 8, 10]])
    assert scores is not None
    np.testing.assert_allclose(scores, [0.9, 0.25])
    assert not len(read_boxes(path, None, [numbered, empty]).of(frame(empty)).boxes)

    ann = tmp_path / "ann.json"
    ann.write_text(json.dumps(COCO))
    mine = [{**entry, "image_id": 7, "category_id": 3} for entry in RESULTS]
    a = source("val/a.jpg")
    assert len(read_boxes(written(tmp_path, mine), Annotations(ann), [a]).of(frame(a)).boxes) == 3


def test_results_may_call_an_image_by_its_name(tmp_path: Path) -> None:
    named = [{**entry, "image_id": "one/x.jpg"} for entry in RESULTS]
    one, other = source("/one/x.jpg", "one/x"), source("/two/x.jpg", "two/x")
    given = read_boxes(written(tmp_path, named), None, [one, other])
    np.testing.assert_array_equal(given.of(frame(one)).boxes[:2], [[1, 2, 11, 22], [3, 4, 8, 10]])
    assert not len(given.of(frame(other)).boxes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ("7", "expected COCO results or"),
        ({"y.jpg": []}, r"none of the 1 images is in it \(such as x.jpg\)"),
        ({"x.jpg": [[1, 2, 3]]}, "x.jpg: expected four numbers for each box"),
        ({"x.jpg": "nobody"}, r"x.jpg: expected \[\[x1, y1, x2, y2\], ...\], got str"),
        ([{"image_id": 5, "bbox": [1, 2, 3, 4], "score": 0.5}], "none of its image ids is of these images; give file"),
        (
            [{"image_id": "y.jpg", "bbox": [1, 2, 3, 4], "score": 0.5}],
            r"none of the 1 images is in it \(such as x.jpg\)",
        ),
        ([{"image_id": 5, "bbox": [1, 2, 3, 4]}], "entry 0 of persons is no box"),
        ({"x.jpg": [[1, 2, 3, 10**400]]}, "x.jpg: expected four numbers for each box"),
        ([{"image_id": float("inf"), "bbox": [1, 2, 3, 4], "score": 0.5}], "entry 0 of persons is no box"),
        ([{"image_id": 5, "bbox": [1, 2, 3, 4], "score": 10**400}], r"image 5: a score is no number"),
        ([{"image_id": 5, "bbox": [1, 2, 3, 4], "score": 5}], r"image 5: a score is no number in \[0, 1\]"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message) as error:
        read_boxes(written(tmp_path, content), None, [source("x.jpg")])
    assert "\n" not in str(error.value)


def test_a_name_that_fits_two_images_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"x.jpg": []})
    with pytest.raises(SourceError, match=r"'x\.jpg' may be /one/x\.jpg or /two/x\.jpg; name them with their folders"):
        read_boxes(path, None, [source("/one/x.jpg", "one/x"), source("/two/x.jpg", "two/x")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no COCO instances file"),
        ({**COCO, "images": [{"id": float("inf"), "file_name": "a.jpg"}]}, "no COCO instances file"),
        ({**COCO, "images": [{"id": 7, "file_name": name} for name in "ab"]}, "two images have the id 7"),
        ({**COCO, "images": [{"id": number, "file_name": "a"} for number in (1, 2)]}, "or the name 'a'"),
        ({**COCO, "categories": [{"id": 1, "name": "dog"}]}, "no category is named 'person'; it has dog"),
    ],
)
def test_bad_annotations_are_one_line(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        Annotations(written(tmp_path, content))
