from pathlib import Path

import pytest

from human_edge_prediction.errors import OutputError
from human_edge_prediction.writers.files import replacing, write_whole


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
