"""``hed.Predictor`` with runs and checkpoints; with files it is that of ``human_edge_prediction``, tested there."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import human_edge_detection as hed
from human_edge_detection.errors import ConfigError
from human_edge_prediction import ArgumentError, PredictionError

pytestmark = pytest.mark.usefixtures("small_networks")
IMAGE = np.full((90, 70, 3), 100, np.uint8)


def test_it_takes_a_run_a_folder_and_a_checkpoint(trained_runs: Path) -> None:
    boxes = [[5, 5, 60, 80], [0, 0, 30, 30]]
    named, folder, file = (
        hed.Predictor(source, threads=1)(IMAGE, boxes)
        for source in ("alone", Path("experiments", "alone"), "experiments/alone/checkpoints/best_model.pth")
    )
    assert (len(named), named.boxes_from) == (2, "given")
    assert named.person_map is not None and named.person_map.shape == (90, 70)
    for other in (folder, file):
        assert (other.masks == named.masks).all()
    assert hed.Predictor("alone", threads=1)(IMAGE).boxes_from == "person map"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"model": "tny"}, ConfigError, r"no run 'tny' \(did you mean 'tiny'\?\)"),
        ({"model": "tiny"}, ConfigError, "tiny: 2 runs of several seeds; give the folder of one of them"),
        ({"model": "alone", "adapter": {}}, ArgumentError, "adapter: alone is a run or a checkpoint, which needs none"),
        ({"model": "alone", "provider": "GPU"}, ArgumentError, "runs in PyTorch; export it first"),
        ({"model": "gone.onnx"}, PredictionError, "no such file"),
    ],
)
def test_mistakes(trained_runs: Path, arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        hed.Predictor(**arguments)


def test_the_example_is_one_line_that_can_be_typed() -> None:
    assert re.search(r'hed\.Predictor\(".*"\)\("image\.jpg", boxes=', hed.Predictor.__doc__ or "")
