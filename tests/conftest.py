"""Shared fixtures: a drawn COCO data set of a few pictures and a tiny experiment on it.

Nothing here imports torch, so that the tests of the command line stay quick.
"""

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult, RunStatus

pytest_plugins = ["run_fixtures", "batch_children", "browser_fixtures", "made_up_probes"]

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""One thread: sums do not depend on the machine, and many small tests are quicker."""
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
"""Where more are asked for, those without work leave the processor to the other tests."""

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
"""Bytecode is kept: the many processes that import torch would compile it anew each time, for ten seconds."""

PICTURE = (96, 128)
_LONG = tuple(f"tests/{name}/" for name in ("stress", "integration", "exporters", "runner", "golden"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that at the end no process waits for another one's last file."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


@pytest.fixture(scope="session", autouse=True)
def signals() -> None:
    """Ctrl-C is heeded, also where the tests run in the background of a shell, which sets it to be ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from or left in the user's own caches, and no data or weights of theirs are used."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("HED_DATA_ROOT", "HED_ENCODER_WEIGHTS"):
            patch.delenv(variable, raising=False)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture(scope="session")
def tiny_coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data root: 8 training and 4 validation pictures, 96 x 128, of people made of ellipses.

    The third picture of each split is empty, the second training picture has a crowd region.
    """
    root = tmp_path_factory.mktemp("tiny_coco")
    for split, count in (("train", 8), ("val", 4)):
        _write_split(root, split, count, np.random.default_rng(len(split)))
    return root


@pytest.fixture
def tested_coco(tiny_coco: Path, tmp_path: Path) -> Path:
    """A copy of :func:`tiny_coco` with a test split of four other pictures."""
    root = tmp_path / "tested_coco"
    shutil.copytree(tiny_coco, root)
    _write_split(root, "test", 4, np.random.default_rng(len("test")))
    return root


def _write_split(root: Path, split: str, count: int, rng: np.random.Generator) -> None:
    folder = root / "images" / split
    folder.mkdir(parents=True)
    images, annotations = [], []
    for image_id in range(1, count + 1):
        picture = np.full((*PICTURE, 3), rng.integers(40, 120, 3), np.uint8)
        for _ in range(0 if image_id == 3 else 1 + image_id % 3):
            polygon = _draw_person(picture, rng)
            annotations.append({"image_id": image_id, "iscrowd": 0, "segmentation": [polygon]})
        if split == "train" and image_id == 2:
            crowd = {"size": list(PICTURE), "counts": [100 * 96, 20 * 96, 8 * 96]}
            annotations.append({"image_id": image_id, "iscrowd": 1, "segmentation": crowd})
        name = f"{image_id:06d}.png"
        cv2.imwrite(str(folder / name), picture)
        images.append({"id": image_id, "file_name": name, "height": PICTURE[0], "width": PICTURE[1]})
    numbered = [{"id": number, "category_id": 1, **entry} for number, entry in enumerate(annotations, start=1)]
    content = {"images": images, "annotations": numbered, "categories": [{"id": 1, "name": "person"}]}
    file = root / "annotations" / f"instances_{split}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def _draw_person(picture: np.ndarray[Any, Any], rng: np.random.Generator) -> list[int]:
    centre = (int(rng.integers(20, 108)), int(rng.integers(30, 66)))
    axes = (int(rng.integers(10, 18)), int(rng.integers(20, 34)))
    outline = np.asarray(cv2.ellipse2Poly(centre, axes, int(rng.integers(-20, 20)), 0, 360, 15))
    cv2.fillPoly(picture, [outline], [int(value) for value in rng.integers(140, 256, 3)])
    return [int(value) for value in outline.reshape(-1)]


@pytest.fixture(scope="session")
def tiny_config(tiny_coco: Path) -> ExperimentConfig:
    """Two epochs of four updates on :func:`tiny_coco`, fp32 on the CPU."""
    return build_config(
        {
            "name": "tiny",
            "data": {"root": str(tiny_coco), "num_workers": 0, "max_rois_per_image": 3},
            "model": {
                "encoder": "mobilenet_v2",
                "encoder_weights": "none",
                "image_size": [64, 64],
                "roi_size": [16, 12],
                "mask_size": [32, 24],
                "head_channels": 8,
            },
            "training": {
                "epochs": 2,
                "batch_size": 2,
                "learning_rate": 2e-3,
                "device": "cpu",
                "precision": "fp32",
                "visualize_images": 0,
                "log_every_steps": 1,
            },
        }
    )


@pytest.fixture(scope="session")
def write_run() -> Callable[..., RunPaths]:
    """Writes a run folder as training would leave it: ``write_run(root, config, state="finished", **result)``."""
    return _write_run


def _write_run(root: Path, config: ExperimentConfig, *, state: str = "finished", **result: Any) -> RunPaths:
    paths = RunPaths(root)
    write_json(paths.config, config.model_dump(mode="json"))
    status = {
        "state": state,
        "epoch": 2,
        "epochs": config.training.epochs,
        "error": "out of luck" if state == "failed" else None,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": "2030-01-01T00:00:00+00:00",
        "updated": "2030-01-01T00:01:00+00:00",
    }
    write_json(paths.status, RunStatus.model_validate(status).model_dump(mode="json"))
    if state == "finished":
        fields = _result(config, paths) | result
        write_json(paths.result, RunResult.model_validate(fields).model_dump(mode="json"))
        paths.best.parent.mkdir(parents=True, exist_ok=True)
        paths.best.touch()
    return paths


def _result(config: ExperimentConfig, paths: RunPaths) -> dict[str, Any]:
    return {
        "experiment": config.name,
        "run_name": paths.root.name,
        "seed": config.training.seed,
        "encoder": config.model.encoder,
        "unet_parameters": 6_250_000,
        "total_parameters": 6_500_000,
        "best_epoch": 2,
        "epochs": config.training.epochs,
        "metrics": {"miou": 0.5, "iou_target": 0.4, "boundary_f1": None},
        "seconds": 75.0,
        "images_per_second": 3.5,
        "best_checkpoint": "checkpoints/best_model.pth",
        "data_fingerprint": "data",
    }
