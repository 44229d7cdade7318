import importlib.util

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.exporters.formats.openvino import OpenVino


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"not installed; uv sync --inexact --extra openvino, or pip install openvino$"
    ):
        OpenVino().check_packages()
