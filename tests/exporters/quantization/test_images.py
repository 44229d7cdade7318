"""Which training images are drawn."""

from dataclasses import replace
from pathlib import Path

import pytest
from small_exports import small_export

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.engine.exported import open_exported
from human_edge_detection.errors import DataError
from human_edge_detection.exporters.quantization.images import draw, feeds_of
from human_edge_detection.files.data_folder import find_split


@pytest.fixture
def people(tiny_coco: Path) -> AnnotationSet:
    return read_annotations(*find_split(tiny_coco, "train"))


def ids(part: AnnotationSet) -> set[int]:
    return set(part.images.ids.tolist())


def test_the_parts_have_no_image_in_common_and_each_shows_persons(people: AnnotationSet) -> None:
    drawn = draw(people, 3, seed=0)
    assert len(ids(drawn.calibration)) == 3
    assert ids(drawn.calibration) | ids(drawn.held_out) == ids(people) - {3}, "the third image is empty"
    assert not ids(drawn.calibration) & ids(drawn.held_out)


def test_at_most_half_are_for_ranges_and_the_seed_draws_them(people: AnnotationSet) -> None:
    drawn = [draw(people, 1000, seed=seed) for seed in (0, 0, 1)]
    assert [len(one.calibration.images) for one in drawn] == [3, 3, 3]
    assert ids(drawn[0].calibration) == ids(drawn[1].calibration) != ids(drawn[2].calibration)


def test_without_persons_nothing_can_be_measured(people: AnnotationSet) -> None:
    with pytest.raises(DataError, match="1 of 2 images show persons, and quantisation takes at least 2"):
        draw(replace(people, images=people.images.select([0, 2])), 64, seed=0)


def test_feeds_are_what_the_model_takes(people: AnnotationSet, tmp_path: Path) -> None:
    feeds = feeds_of(open_exported(small_export(tmp_path / "model.onnx")), draw(people, 2, seed=0).calibration)
    assert len(feeds) == 2
    for one in feeds:
        assert one["images"].shape == (1, 3, 64, 64)
        assert 0.0 <= one["images"].min() < one["images"].max() <= 1.0
        assert one["rois"].shape[1] == 5
        assert len(one["rois"]) >= 1
