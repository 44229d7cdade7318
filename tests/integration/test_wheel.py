"""The wheel in an environment of its own, used from another folder: what it holds, a training, an export.

The environment sees the packages that these tests run with, but not this repository, so no network is needed.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import human_edge_detection as hed

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
Installed = Callable[..., str]


def uv(*arguments: str) -> None:
    command = [os.environ.get("UV") or shutil.which("uv") or "uv", *arguments, "--offline"]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both distributions' wheels."""
    folder = tmp_path_factory.mktemp("dist")
    everything = ("--all-packages", "--wheel", "--no-build-isolation")
    uv("build", *everything, "--python", sys.executable, "--out-dir", str(folder))
    return folder


@pytest.fixture(scope="module")
def wheel(wheels: Path) -> Path:
    (file,) = wheels.glob("human_edge_detection-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """``installed(program, *arguments)`` runs a program of the new environment in an empty folder; what it wrote."""
    venv, folder = tmp_path_factory.mktemp("installed") / "venv", tmp_path_factory.mktemp("elsewhere")
    uv("venv", str(venv), "--python", sys.executable)
    files = map(str, wheels.glob("*.whl"))
    uv("pip", "install", "--no-deps", "--python", str(venv / "bin" / "python"), *files)
    packages = venv / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (packages / "the_packages_of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(program: str, *arguments: str) -> str:
        command = [str(venv / "bin" / program), *arguments]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        assert ended.returncode == 0, ended.stderr[-3000:]
        return ended.stdout

    return run


def test_it_holds_the_whole_package_and_the_configs(wheel: Path) -> None:
    """Types, presets and all else that git knows below the package, and nothing of tests or benchmarks."""
    git = shutil.which("git")
    assert git is not None
    listed = subprocess.run([git, "ls-files", "src", "configs"], cwd=REPOSITORY, capture_output=True, text=True)
    expected = {
        name.removeprefix("src/") if name.startswith("src/") else f"human_edge_detection/{name}"
        for name in listed.stdout.splitlines()
        if (REPOSITORY / name).exists()
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == expected
    assert {"human_edge_detection/py.typed", "human_edge_detection/configs/quick_test.yaml"} <= held


def test_the_wheel_of_prediction_holds_its_package_and_the_full_one_asks_for_it(wheels: Path, wheel: Path) -> None:
    (small,) = wheels.glob("human_edge_prediction-*.whl")
    held = {name for name in zipfile.ZipFile(small).namelist() if ".dist-info/" not in name}
    package = REPOSITORY / "prediction" / "src"
    sources = [*package.rglob("*.py"), *package.rglob("py.typed")]
    assert held == {file.relative_to(package).as_posix() for file in sources}
    full = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in full.namelist() if name.endswith(".dist-info/METADATA"))
    assert "Requires-Dist: human-edge-prediction\n" in full.read(metadata).decode()


def test_it_works_from_any_folder(installed: Installed) -> None:
    assert installed("hed", "--version") == f"human-edge-detection {hed.__version__}\n"
    code = "import human_edge_detection as hed, importlib.metadata as m; print(hed.__file__, m.version(hed.__name__))"
    file, version = installed("python", "-c", code).split()
    assert "installed" in file and not Path(file).is_relative_to(REPOSITORY)
    assert version == hed.__version__
    assert "quickstart_student_b0" in installed("hed", "train", "--list_configs")
    shipped = ("--configs", "configs/quick_test.yaml", "configs/distillation.yaml", "--drawn_data", "--dry_run")
    assert "(would be new)" in installed("hed", "run", *shipped)


def test_it_trains_exports_and_compares(installed: Installed) -> None:
    data = "data.sample={train_images: 4, val_images: 2}"
    small = (data, "model.image_size=[64, 64]", "model.encoder=mobilenet_v2", "training.epochs=1")
    flags = [word for change in small for word in ("--set", change)]
    installed("hed", "run", "--configs", "quickstart_student_b0", *flags)
    assert "parity with PyTorch" in installed("hed", "export", "quickstart_student_b0")
    rows = installed("python", "-c", "import human_edge_detection as hed; print(*hed.comparison_table().rows)")
    assert "'parity_probability_difference'" in rows
