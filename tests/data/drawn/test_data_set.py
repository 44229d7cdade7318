import json
from typing import Any

import cv2
import numpy as np
import pytest

from human_edge_detection.data.annotations.coco import decode_mask, read_annotations
from human_edge_detection.data.drawn.data_set import draw_image, write_drawn_data
from human_edge_detection.errors import DataError
from human_edge_detection.files.data_folder import find_splits, find_test_split

SMALL: dict[str, Any] = {"train_images": 8, "val_images": 3, "image_size": (96, 128), "seed": 1}


def _content(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_same_seed_gives_the_same_bytes_and_another_seed_others(sample_root, tmp_path):
    assert _content(write_drawn_data(tmp_path / "again", **SMALL)) == _content(sample_root)
    other = write_drawn_data(tmp_path / "other", **SMALL | {"seed": 2})
    name = "images/train/train_00003.jpg"
    assert (other / name).read_bytes() != (sample_root / name).read_bytes()


def test_both_splits_hold_what_real_data_holds(sample_root):
    for paths, count in zip(find_splits(sample_root), (8, 3), strict=True):
        images = read_annotations(*paths).images
        assert len(images) == count
        assert any(not image.persons for image in images)
        assert sum(len(image.crowds) for image in images) >= 1
        assert sum(len(image.persons) for image in images) >= count // 2


def test_polygons_and_run_lengths_both_occur(sample_root):
    data = json.loads((sample_root / "annotations/instances_train_person.json").read_text())
    kinds = {type(entry["segmentation"]) for entry in data["annotations"] if not entry["iscrowd"]}
    assert kinds == {list, dict}


def test_masks_are_where_the_people_are():
    """Without people the same scene is drawn, so the pixels that differ are the people's."""
    size = (120, 160)
    found = []
    for number in range(6):
        image, annotations = draw_image(size, np.random.default_rng(number), people=2, crowd=False)
        empty, none = draw_image(size, np.random.default_rng(number), people=0, crowd=False)
        assert none == []
        masks = [decode_mask(entry["segmentation"], *size) for entry in annotations]
        assert (np.sum(masks, axis=0) > 1).mean() < 0.01  # visible parts share no more than a rim
        changed = cv2.GaussianBlur(np.abs(image.astype(np.float32) - empty).max(axis=2), (5, 5), 0)
        for mask in masks:
            inside = changed[mask > 0]
            found.append(inside.mean() - np.median(changed))
    assert len(found) >= 8
    assert np.mean(found) > 25


def test_existing_folders(sample_root, tmp_path):
    assert write_drawn_data(sample_root, **SMALL) == sample_root
    with pytest.raises(DataError, match="holds sample data made with"):
        write_drawn_data(sample_root, **SMALL | {"seed": 9})
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="is not sample data"):
        write_drawn_data(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_incomplete_sample_data_is_noticed(tmp_path):
    root = write_drawn_data(tmp_path / "people", **SMALL)
    next((root / "images/train").iterdir()).unlink()
    with pytest.raises(DataError, match="incomplete"):
        write_drawn_data(root, **SMALL)


def test_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("human_edge_detection.data.drawn.data_set.draw_image", lambda *_, **__: stop())
    with pytest.raises(KeyboardInterrupt):
        write_drawn_data(tmp_path / "people", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_test_split_leaves_the_others_as_they_are(sample_root, tmp_path):
    root = write_drawn_data(tmp_path / "tested", **SMALL, test_images=2)
    plain, tested = _content(sample_root), _content(root)
    others = {
        path: content for path, content in tested.items() if path.name != "sample.json" and "test" not in str(path)
    }
    assert others == {path: content for path, content in plain.items() if path.name != "sample.json"}
    test = find_test_split(root)
    assert test is not None
    assert len(read_annotations(*test).images) == 2
    assert find_test_split(sample_root) is None
    assert write_drawn_data(root, **SMALL, test_images=2) == root
    with pytest.raises(DataError, match="holds sample data made with"):
        write_drawn_data(root, **SMALL)
