"""Model files of a few nodes, made here."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from constant_models import OURS
from constant_models import constant_model as write_constant_model

# FFmpeg looks at it once in a process, and some tests write videos before the package reads one.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


@pytest.fixture
def constant_model(tmp_path: Path) -> Callable[..., Path]:
    """``constant_model({"name": array})``: a model that always gives these arrays, whatever image it is given."""
    return partial(write_constant_model, tmp_path / "model.onnx")


@pytest.fixture
def own_metadata() -> dict[str, str]:
    """What an export of human-edge-detection says of itself, as far as it is looked at."""
    return OURS
