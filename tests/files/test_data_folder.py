import pytest

from human_edge_detection.errors import DataError
from human_edge_detection.files.data_folder import find_split, find_splits, find_test_split


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/instances_{}_person.json", "images/{}"),
        ("annotations/instances_{}.json", "{}"),
        ("annotations/instances_{}2017.json", "{}2017"),
        ("annotations/instances_{}2017.json", "images/{}2017"),
    ],
)
def test_known_layouts_are_found(tmp_path, annotations, images):
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        (tmp_path / annotations.format(split)).touch()
        (tmp_path / images.format(split)).mkdir(parents=True)
    train, val = find_splits(tmp_path)
    assert train == (tmp_path / annotations.format("train"), tmp_path / images.format("train"))
    assert val == (tmp_path / annotations.format("val"), tmp_path / images.format("val"))


def test_message_lists_what_was_tried(tmp_path):
    with pytest.raises(DataError, match=r"no train annotations; tried annotations/instances_train_person\.json, "):
        find_splits(tmp_path)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_train.json").touch()
    with pytest.raises(DataError, match="no train images; tried images/train, "):
        find_splits(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        find_splits(tmp_path / "none")


def test_a_test_split_is_optional(tmp_path):
    assert find_test_split(tmp_path / "none") is None
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_test.json").touch()
    assert find_test_split(tmp_path) is None, "no images"
    with pytest.raises(DataError, match="no test images; tried images/test, "):
        find_split(tmp_path, "test")
    (tmp_path / "images/test").mkdir(parents=True)
    assert find_test_split(tmp_path) == (tmp_path / "annotations/instances_test.json", tmp_path / "images/test")
