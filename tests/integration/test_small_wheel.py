"""``human-edge-prediction`` in an environment that holds it and what it asks for, and nothing else: no torch.

The packages that it asks for are copied from the environment of these tests, file by file, so no network is needed.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from importlib.metadata import Distribution, distribution
from pathlib import Path

import cv2
import numpy as np
import pytest
from constant_models import OURS, constant_model
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
MOST_MB, MOST_IMPORT_S = 300, 0.5
PREDICT = """
import sys
from human_edge_prediction import Predictor
found = Predictor("model.onnx")("image.png", boxes=[[0, 0, 30, 40], [10, 10, 60, 40]])
print(len(found), [len(result["segmentation"]["counts"]) > 0 for result in found.to_coco(1)])
print(sorted({"torch", "PIL", "human_edge_detection", "pycocotools"} & {*sys.modules}))
"""
IMPORT = "import time, {packages}; print(time.process_time())"


def needed(name: str, found: dict[str, Distribution]) -> dict[str, Distribution]:
    """The distribution ``name`` and all that it asks for, without extras."""
    if name not in found:
        found[name] = distribution(name)
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed(requirement.name, found)
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("small")
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    venv, python = folder / "venv", sys.executable
    for arguments in (
        ("build", "--package", "human-edge-prediction", "--wheel", "--no-build-isolation", "--python", python),
        ("venv", str(venv), "--python", python),
    ):
        extra = ("--out-dir", str(folder)) if arguments[0] == "build" else ()
        subprocess.run([uv, *arguments, *extra, "--offline"], cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    install = ("pip", "install", "--no-deps", "--offline", "--python", str(venv / "bin" / "python"), str(wheel))
    subprocess.run([uv, *install], check=True, capture_output=True)
    packages = venv / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    others = needed("human-edge-prediction", {})
    del others["human-edge-prediction"]
    for other in others.values():
        for file in other.files or ():
            source, target = Path(str(file.locate())), packages / file
            if ".." not in file.parts and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    return venv


@pytest.fixture(scope="module")
def run(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """``run(code)`` in the new environment and an empty folder with a model and an image; what it wrote."""
    folder = tmp_path_factory.mktemp("elsewhere")
    logits = np.zeros((2, 3, 4, 4), np.float32)
    logits[:, 1] = 5
    outputs = {"masks": logits, "binary_masks": np.ones((1, 1, 4, 6), np.float32)}
    constant_model(folder / "model.onnx", outputs, metadata=OURS, rois=True)
    cv2.imwrite(str(folder / "image.png"), np.zeros((40, 60, 3), np.uint8))

    def ran(code: str) -> str:
        command = [str(environment / "bin" / "python"), "-I", "-c", code]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        assert ended.returncode == 0, ended.stderr[-3000:]
        return ended.stdout

    return ran


def test_it_predicts_without_torch(run: Callable[[str], str]) -> None:
    assert run(PREDICT) == "2 [True, True]\n[]\n"
    assert "ModuleNotFoundError" in run("try:\n import torch\nexcept ImportError as error: print(repr(error))")


def test_it_is_small(environment: Path) -> None:
    size = sum(file.stat().st_size for file in environment.rglob("*") if file.is_file() and not file.is_symlink())
    assert size < MOST_MB * 1e6, f"{size / 1e6:.0f} MB"


def test_its_import_takes_half_a_second_of_the_processor_at_most(run: Callable[[str], str]) -> None:
    """Or, on a slow one, little more than the imports of numpy and OpenCV, which are not ours to mend."""
    own, others = (
        min(float(run(IMPORT.format(packages=packages))) for _ in range(5))
        for packages in ("human_edge_prediction", "numpy, cv2")
    )
    assert own < max(MOST_IMPORT_S, 1.25 * others), f"{own:.2f} s, of which {others:.2f} s are numpy and OpenCV"
