import pytest

from human_edge_detection.data.images.header import read_header
from human_edge_detection.errors import DataError


def test_what_is_wrong_is_a_matter_of_the_data() -> None:
    with pytest.raises(DataError, match="is empty"):
        read_header(b"")
