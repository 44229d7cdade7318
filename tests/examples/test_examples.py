"""The examples run as a newcomer runs them, on fewer pictures."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from constant_models import OURS, constant_model
from pycocotools import mask as rle

import human_edge_detection as hed
from human_edge_detection.data.drawn.data_set import draw_image

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_example(name: str, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), "--quick"]
    if name.startswith("compare"):
        command += ["--epochs", "1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_comparing_with_and_without_distillation(tmp_path: Path) -> None:
    run_example("compare_with_without_distillation.py", tmp_path)
    comparison = json.loads((tmp_path / "results" / "distillation_comparison.json").read_text())
    teacher, student, distilled = comparison["experiments"].values()
    assert teacher["parameters"] > student["parameters"] == distilled["parameters"]
    assert all(len(experiment["curves"][0]) == 1 for experiment in comparison["experiments"].values())
    gain = distilled["metrics"]["miou"][0] - student["metrics"]["miou"][0]
    (line,) = (x for x in comparison["paired"]["lines"] if (x["metric"], x["slice"]) == ("miou", "all"))
    assert line["difference"]["mean"] == pytest.approx(gain, abs=1e-6)
    assert (tmp_path / "results" / "distillation_comparison.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_training_with_distillation(tmp_path: Path) -> None:
    shown = run_example("train_with_distillation.py", tmp_path)
    (checkpoint,) = tmp_path.glob("**/my_student/checkpoints/best_model.pth")
    assert checkpoint.with_suffix(".onnx").is_file()
    assert str(checkpoint.with_suffix(".onnx").relative_to(tmp_path)) in shown
    assert json.loads((checkpoint.parents[1] / "result.json").read_text())["teacher_experiment"] == "my_teacher"


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    cells = json.loads((EXAMPLES / "distillation.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    code = code.replace("IMAGES, EPOCHS = 64, 6", "IMAGES, EPOCHS = 8, 1")
    (tmp_path / "notebook.py").write_text(code)
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "notebook.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results/notebook/report.html").is_file()


def test_predicting_without_torch(tmp_path: Path) -> None:
    """On an image with drawn persons; the model takes the left half of every image for one."""
    image, _ = draw_image((120, 160), np.random.default_rng(0), people=2, crowd=False)
    assert cv2.imwrite(str(tmp_path / "drawn.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    logits, people = np.full((1, 3, 4, 4), -9, np.float32), np.zeros((1, 1, 4, 6), np.float32)
    logits[:, 1], people[..., :3] = 9, 1
    model = constant_model(tmp_path / "model.onnx", {"masks": logits, "binary_masks": people}, metadata=OURS, rois=True)
    command = [sys.executable, str(EXAMPLES / "edge_inference.py"), str(model), "drawn.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.stdout == "drawn_persons.png: 1 persons, boxes: person map\n", done.stderr
    overlay = cv2.imread(str(tmp_path / "drawn_persons.png"))
    assert overlay is not None
    drawn = cv2.cvtColor(overlay, cv2.COLOR_BGR2RGB)
    assert (drawn[:, 100:] == image[:, 100:]).all() and (drawn[40:, :70] != image[40:, :70]).any()
    (result,) = json.loads((tmp_path / "drawn_persons.json").read_text())
    assert rle.area(result["segmentation"]) == 120 * 80
    command[-1] = "gone.png"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert (done.returncode, done.stderr) == (1, "error: image gone.png: no such file\n")


def test_every_example_is_tried_here() -> None:
    tried = Path(__file__).read_text()
    assert all(f'"{example.name}"' in tried for example in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda example: example.name)
def test_examples_use_the_front_door_alone(example: Path) -> None:
    for node in ast.walk(ast.parse(example.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("human_edge_detection")
        if isinstance(node, ast.Import):
            own = [name for name in node.names if name.name.startswith("human_edge_detection")]
            assert [(name.name, name.asname) for name in own] in ([], [("human_edge_detection", "hed")])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hed":
            assert node.attr in hed.__all__
