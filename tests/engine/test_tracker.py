import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from human_edge_detection.engine.evaluation.visualize import encode_png
from human_edge_detection.engine.tracker import open_tracker
from human_edge_detection.engine.training.writers import RunWriters
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive


class Fake(SimpleNamespace):
    """Stands for trackio and wandb; writes down what it is called with, and fails on demand."""

    def __init__(self) -> None:
        super().__init__(calls=[], broken=False)

    def _call(self, called: str, **told: Any) -> None:
        sys.stdout.write("* talks of itself\n")
        if self.broken:
            raise RuntimeError("the server\nis gone")
        self.calls.append((called, told))

    def init(self, **told: Any) -> None:
        self._call("init", **told)

    def log(self, values: dict[str, Any], step: int) -> None:
        self._call("log", values=values, step=step)

    def finish(self) -> None:
        self._call("finish")

    def Image(self, image: Image.Image) -> tuple[str, tuple[int, int]]:
        return ("image", image.size)


@pytest.fixture(params=["trackio", "wandb"])
def fake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    fake.kind = request.param
    monkeypatch.setitem(sys.modules, request.param, fake)
    return fake


def writers_of(config: ExperimentConfig, fake: Fake, folder: Path, first_step: int = 1) -> RunWriters:
    tracked = derive(config, name="tracked", training={"tracker": fake.kind})
    tracker = open_tracker(tracked, name="tracked/seed_0", log_dir=folder)
    return RunWriters(folder, first_step=first_step, resumed=first_step > 1, tracker=tracker)


def test_all_that_tensorboard_gets_and_the_config(
    tiny_config: ExperimentConfig, fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with writers_of(tiny_config, fake, tmp_path) as writers:
        writers.scalars(1, {"step/total": 0.5})
        writers.epoch({"epoch": 1, "step": 2, "val/miou": 0.25, "absent": None}, step=2)
        writers.figure(2, "validation", encode_png(np.zeros((4, 5, 3), np.uint8)))
    (init, begun), *logs, (finish, _) = fake.calls
    assert (init, finish) == ("init", "finish")
    assert begun["config"]["training"]["epochs"] == 2
    assert begun["name"].startswith("tracked/seed_0 ")
    assert [told for _, told in logs] == [
        {"values": {"step/total": 0.5}, "step": 1},
        {"values": {"epoch": 1.0, "val/miou": 0.25}, "step": 2},
        {"values": {"validation": ("image", (5, 4))}, "step": 2},
    ]
    assert capsys.readouterr().out == "", "what our commands say is read by programs"


def test_a_resumed_run_goes_on_under_its_name(tiny_config: ExperimentConfig, fake: Fake, tmp_path: Path) -> None:
    for folder, first_step in ((tmp_path / "a", 1), (tmp_path / "a", 5), (tmp_path / "b", 1)):
        writers_of(tiny_config, fake, folder, first_step).close()
    first, again, other = (told for name, told in fake.calls if name == "init")
    assert first == again
    assert first["resume"] == "allow"
    assert first["name"] != other["name"]
    assert ("id" in first) == (fake.kind == "wandb")


def test_a_tracker_that_fails_costs_an_epoch_and_never_the_run(
    tiny_config: ExperimentConfig, fake: Fake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    fake.broken = True
    with writers_of(tiny_config, fake, tmp_path) as writers:
        writers.scalars(1, {"a": 1.0})
        fake.broken = False
        writers.scalars(2, {"a": 2.0})
        writers.epoch({"epoch": 1}, step=3)
        writers.scalars(4, {"a": 4.0})
        fake.broken = True
    assert [told.get("step") for _, told in fake.calls] == [None, 3, 4]
    assert caplog.text.count(f"{fake.kind}: what it was to get of this epoch is lost: the server is gone") == 2


def test_nothing_but_tensorboard_without_one(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    assert open_tracker(tiny_config, name="tiny", log_dir=tmp_path) is None
