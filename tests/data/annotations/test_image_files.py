import pytest

from human_edge_detection.data.annotations.image_files import find_files
from human_edge_detection.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "one/b.jpg", "two/b.jpg", "one/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "d.jpg").mkdir()
    return tmp_path


def test_files_under_their_names_are_neither_taken_nor_missing(folder):
    found = find_files(["a.jpg", "one/b.jpg"], folder)
    assert (found.taken, found.missing) == ({}, {})


def test_the_longest_common_end_decides(folder):
    found = find_files(["data/one/B.jpg", "c.jpg", "x\\two\\b.jpg"], folder)
    assert found.taken == {"data/one/B.jpg": "one/b.jpg", "c.jpg": "one/c.jpg", "x\\two\\b.jpg": "two/b.jpg"}


def test_what_is_not_clear_is_missing_with_what_is_near(folder):
    assert find_files(["three/b.jpg"], folder).missing == {"three/b.jpg": "'one/b.jpg', 'two/b.jpg'"}
    assert find_files(["z.jpg", "d.jpg"], folder).missing == {"z.jpg": "", "d.jpg": ""}
    # Both may be the one file.
    assert find_files(["x/c.jpg", "y/c.jpg"], folder).taken == {}
    # The file is another image's, and a folder in front says that this is not that image.
    assert find_files(["a.jpg", "other/a.jpg"], folder).missing.keys() == {"other/a.jpg"}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="none does not exist"):
        find_files(["a.jpg"], tmp_path / "none")
