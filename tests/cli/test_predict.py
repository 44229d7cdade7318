"""``hed predict`` as the user gets it; what it writes is tested in ``prediction/tests/command``."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from constant_models import OURS, constant_model

from human_edge_detection.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    people = np.zeros((1, 1, 4, 6), np.float32)
    people[:, :, :2, :2] = 0.75
    constant_model(tmp_path / "model.onnx", {"binary_masks": people}, metadata=OURS)
    cv2.imwrite("image.png", np.zeros((20, 30, 3), np.uint8))
    return tmp_path


def test_it_predicts_and_says_who_found_the_persons(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "image.png", "--model", "model.onnx", "--output", "mine"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 image, 1 person; ")
    assert "boxes: person map" in out
    assert (folder / "mine/overlay/image.jpg").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.png", "--model", "model.onnx"], "gone.png: no such file or folder"),
        (["image.png"], "the following arguments are required: --model; see hed predict --help"),
        (["image.png", "--model", "model.onnx", "--overwrit"], "(did you mean '--overwrite'?)"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["predict", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
