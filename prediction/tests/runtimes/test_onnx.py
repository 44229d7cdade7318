"""ONNX Runtime, and what is wrong with files for it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from human_edge_prediction import ModelFileError
from human_edge_prediction.runtimes import open_runtime


def test_a_name_of_an_onnx_file_that_is_no_text_is_one_line(constant_model: Callable[..., Path]) -> None:
    path = constant_model({"people": np.zeros((1, 1, 4, 6), np.float32)})
    path.write_bytes(path.read_bytes().replace(b"people", b"peopl\xff"))
    with pytest.raises(ModelFileError, match="is damaged"):
        open_runtime(path)
