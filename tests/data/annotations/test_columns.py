"""Packed people are the people of the file: the same ids, boxes and pixels, one image or a selection of them."""

import json
import logging
import pickle
import random
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations import coco, person_checks
from human_edge_detection.data.annotations.annotation_set import AnnotationSet, BadImage, split_off, without
from human_edge_detection.data.annotations.bulk_checks import prove_boxes
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.annotations.polygons_and_rle import check_segmentation, decode_mask, mask_area_and_box
from human_edge_detection.data.annotations.rle_to_polygons import trace
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_detection.files.data_folder import find_split

Photo = tuple[int, str, tuple[int, int], list[Any], list[Any]]


def annotated(file: Path) -> list[Photo]:
    """What a COCO file says, each annotation drawn: id, box and pixels of persons and of crowds."""
    data = json.loads(file.read_bytes())
    records: dict[int, Photo] = {
        image["id"]: (image["id"], image["file_name"], (image["height"], image["width"]), [], [])
        for image in data["images"]
    }
    for entry in data["annotations"]:
        record = records[entry["image_id"]]
        height, width = record[2]
        segmentation = check_segmentation(entry["segmentation"], height, width)
        area, box = mask_area_and_box(segmentation, height, width)
        if "bbox" in entry:
            x, y, w, h = entry["bbox"]
            box = max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))
        assert area > 0
        mask = decode_mask(segmentation, height, width)
        group = record[4] if entry["iscrowd"] else record[3]
        group.append((entry["id"], box, mask.tobytes()))
    return list(records.values())


def unpacked(people: AnnotationSet) -> list[Photo]:
    photos: list[Photo] = []
    for record in people.images:
        height, width = record.height, record.width
        persons, crowds = (
            [(one.id, one.box, decode_mask(one.segmentation, height, width).tobytes()) for one in group]
            for group in (record.persons, record.crowds)
        )
        photos.append((record.id, record.file_name, (height, width), persons, crowds))
    return photos


def scatter(file: Path, target: Path) -> Path:
    """The same annotations in another order, with fractions, whole numbers, and boxes of both kinds."""
    data = json.loads(file.read_bytes())
    rng = random.Random(0)
    rng.shuffle(data["annotations"])
    for entry in data["annotations"]:
        if not entry["iscrowd"] and rng.random() < 0.5:
            points = np.array(entry["segmentation"][0], float).reshape(-1, 2) - 0.37
            entry["segmentation"] = [points.ravel().round(2).tolist()]
            low, high = points.min(axis=0), points.max(axis=0)
            entry["bbox"] = np.concatenate([low, high - low]).round(2).tolist()
    target.write_text(json.dumps(data))
    return target


@pytest.fixture(params=["in memory", "mapped"])
def people(request: pytest.FixtureRequest, tiny_coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "mapped":
        monkeypatch.setattr(coco, "_MIN_INDEXED_BYTES", 0)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    paths = find_split(tiny_coco, "train")
    return read_annotations(scatter(paths.annotations, tmp_path / "people.json"), paths.images)


def test_what_is_packed_is_what_the_file_says(people: AnnotationSet) -> None:
    expected = annotated(people.file)
    assert sum(len(record[3]) for record in expected) == 16
    assert [len(record[4]) for record in expected] == [0, 1, 0, 0, 0, 0, 0, 0]
    assert unpacked(people) == expected
    assert people.images.ids.tolist() == [record[0] for record in expected]
    assert people.images.file_names == [record[1] for record in expected]
    assert people.images.sizes.tolist() == [[*record[2]] for record in expected]
    assert people.images.person_counts.tolist() == [len(record[3]) for record in expected]


@pytest.mark.parametrize("indexed", [False, True])
def test_run_lengths_are_traced_once_and_where_there_is_no_room_whenever_they_are_seen(
    write_coco: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    def edit(data: dict[str, Any]) -> None:
        for entry in data["annotations"][:2]:  # the second one touches itself and has a hole
            mask = decode_mask(entry["segmentation"], 30, 40)
            mask[12:14, 16:18] = mask[16:, 18:] = 0
            counts = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
            entry["segmentation"] = {"size": [30, 40], "counts": counts}
        data["annotations"].insert(1, data["annotations"][0] | {"id": 9, "segmentation": [[5, 5, 25, 6, 18, 20]]})

    def samples(people: AnnotationSet) -> list[Any]:
        sizes: dict[str, Any] = {"image_size": (48, 64), "mask_size": (32, 24)}
        dataset = PersonDataset(people, **sizes, augmentation=AugmentationConfig(), max_rois=None, seed=0)
        return [dataset[(epoch, index)] for epoch in range(3) for index in range(2)]

    monkeypatch.setattr(coco, "_MIN_INDEXED_BYTES", 0 if indexed else 2**20)
    paths, found = write_coco(edit), []
    for room, traced in ((2**24, [True, True, True]), (1, [True, True, False]), (0, [False, True, False])):
        monkeypatch.setattr(person_checks, "_MAX_TRACED", room)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache_{room}"))
        people = read_annotations(*paths)
        assert [bool(person.outlines) for person in people.images[0].persons] == traced
        found.append((people, samples(people)))
    for people, made in found[1:]:
        assert people == found[0][0]
        for one, other in zip(made, found[0][1], strict=True):
            assert all(map(np.array_equal, one, other))
    first, polygon, second = found[0][0].images[0].persons
    np.testing.assert_array_equal(polygon.outlines[0], [[5, 5], [25, 6], [18, 20]])
    assert len(second.outlines) == 2
    assert all(map(np.array_equal, first.outlines, trace(first.segmentation)))  # type: ignore[arg-type]


def test_parts_are_selections_in_their_order(people: AnnotationSet) -> None:
    expected = unpacked(people)
    rest, split = split_off(people, 0.4)
    assert len(split.images) == 3
    chosen = {record.id for record in split.images}
    assert unpacked(split) == [record for record in expected if record[0] in chosen]
    assert unpacked(rest) == [record for record in expected if record[0] not in chosen]
    fewer = without(rest, [BadImage(rest.images[1].file_name, "is empty")])
    assert unpacked(fewer) == [one for number, one in enumerate(unpacked(rest)) if number != 1]
    assert fewer.images.person_counts.tolist() == [len(record[3]) for record in unpacked(fewer)]
    assert fewer.images[-1] == rest.images[-1] == tuple(rest.images[3:])[-1]
    assert fewer.images != rest.images
    with pytest.raises(IndexError):
        fewer.images[len(fewer.images)]


def derived(people: AnnotationSet) -> list[AnnotationSet]:
    return [people, *split_off(people, 0.4), without(people, [BadImage(people.images[3].file_name, "is empty")])]


def test_samples_of_a_copy_are_the_same(people: AnnotationSet) -> None:
    def samples(part: AnnotationSet) -> list[Any]:
        dataset = PersonDataset(
            part, image_size=(48, 64), mask_size=(16, 12), augmentation=AugmentationConfig(), max_rois=2, seed=3
        )
        return [dataset[(1, index)] for index in range(len(dataset))]

    for part in derived(people):
        for sample, copy in zip(samples(part), samples(pickle.loads(pickle.dumps(part))), strict=True):
            for a, b in zip(sample, copy, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_see_the_same(people: AnnotationSet, method: str) -> None:
    with get_context(method).Pool(1) as pool:
        for part in derived(people):
            assert tuple(pool.apply(tuple, [part.images])) == tuple(part.images)


def many(images: int, folder: Path) -> tuple[Path, Path]:
    """So many images with four persons each, as a file of over a megabyte."""
    outline = [round(value, 2) for step in range(20) for value in (20 + 9.5 * np.cos(step), 20 + 9.5 * np.sin(step))]
    (folder / "images").mkdir(exist_ok=True, parents=True)
    data: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    for number in range(images):
        (folder / "images" / f"{number}.jpg").touch()
        data["images"].append({"id": number, "file_name": f"{number}.jpg", "height": 40, "width": 40})
        for person in range(4):
            entry = {"id": 4 * number + person, "image_id": number, "category_id": 1, "segmentation": [outline]}
            data["annotations"].append({**entry, "bbox": [10.5, 10.5, 19, 19]})
    (folder / "people.json").write_text(json.dumps(data))
    return folder / "people.json", folder / "images"


def seen(people: AnnotationSet) -> list[None]:
    """Looks at every image and keeps none."""
    return [None for record in people.images if not record]


@pytest.mark.slow
def test_cost_of_a_copy_and_number_of_objects_do_not_grow_with_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allocated: Callable[[Callable[[], Any]], tuple[Any, int]]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pickled, blocks, packed = [], [], []
    for images in (1000, 4000):
        paths = many(images, tmp_path / str(images))
        read_annotations(*paths)
        people, count = allocated(partial(read_annotations, *paths))
        assert len(people.images) == images
        pickled.append(len(pickle.dumps(people)))
        packed.append(len(pickle.dumps(people.images.select(range(images)))))
        blocks.append(count)
        assert allocated(partial(seen, people))[1] < 50
    assert max(pickled) < 1100
    assert abs(pickled[1] - pickled[0]) < 10
    assert packed[1] - packed[0] <= 8 * 3000 + 100
    assert max(blocks) < 1000
    assert abs(blocks[1] - blocks[0]) < 100


@pytest.mark.parametrize("chunk", [1, 3, 8192])
@pytest.mark.parametrize("proven", [True, False])
def test_how_annotations_are_checked_changes_nothing(
    people: AnnotationSet, monkeypatch: pytest.MonkeyPatch, proven: bool, chunk: int
) -> None:
    proofs: list[int] = []
    prove = prove_boxes

    def maybe(*arguments: Any, **options: Any) -> Any:
        output = prove(*arguments, **options) & proven
        proofs.append(int(output.sum()))
        return output

    monkeypatch.setattr(person_checks, "prove_boxes", maybe)
    monkeypatch.setattr(person_checks, "_CHUNK", chunk)
    monkeypatch.setenv("XDG_CACHE_HOME", str(people.file.with_name("other_cache")))
    again = read_annotations(people.file, people.images_dir)
    assert (sum(proofs) > 0) == proven
    assert len(proofs) == -(-17 // chunk)
    assert again == people


def test_annotations_are_read_quietly_when_nothing_is_wrong(
    people: AnnotationSet, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        read_annotations(people.file, people.images_dir)
    assert caplog.text == ""
