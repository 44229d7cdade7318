from pathlib import Path

import numpy as np
import pytest

from human_edge_prediction.errors import ImageFileError, OutputError
from human_edge_prediction.writers.files import jpeg, replacing, write_whole


def test_a_file_stays_as_it_was_when_it_cannot_be_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.txt"
    write_whole(path, b"before")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "deep").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_whole(tmp_path / "deep" / "x.txt", b"")


def test_a_picture_that_is_too_long_for_a_jpeg_is_one_line() -> None:
    with pytest.raises(ImageFileError, match="70000 x 1 pixels is too long for a JPEG"):
        jpeg(np.zeros((1, 70_000, 3), np.uint8))
