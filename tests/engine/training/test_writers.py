import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.summary.writer import event_file_writer
from torch.utils.tensorboard import SummaryWriter

from human_edge_detection.engine.evaluation.visualize import encode_png
from human_edge_detection.engine.training.writers import RunWriters, write_metrics


@pytest.fixture(autouse=True)
def files_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard sorts files by name: second, process, then a counter without leading zeros, where 10 is before 9.

    A run's processes differ in the second; the many writers of one test do not.
    """
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(1_000_000))


def read_events(folder: Path) -> Any:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read_events(folder).Scalars(name)]


def test_metrics_are_one_line_an_epoch_and_always_whole(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    first = {"epoch": 1, "miou": 0.5, "worst": math.nan, "absent": None}
    write_metrics(metrics, [first])
    assert json.loads(metrics.read_text()) == {"epoch": 1, "miou": 0.5, "worst": None, "absent": None}
    write_metrics(metrics, [first, {"epoch": 2, "miou": math.inf}])
    assert [json.loads(line)["miou"] for line in metrics.read_text().splitlines()] == [0.5, None]
    write_metrics(metrics, [])
    assert metrics.read_bytes() == b""


def test_numbers_and_figures_are_in_tensorboard(tmp_path: Path) -> None:
    with RunWriters(tmp_path, first_step=1, resumed=False) as writers:
        writers.epoch({"epoch": 1, "miou": 0.5, "absent": None}, step=10)
        writers.scalars(11, {"loss/main": 0.25})
        writers.figure(11, "validation/image", encode_png(np.zeros((4, 5, 3), np.uint8)))
    assert points(tmp_path, "miou") == [(10, 0.5)]
    assert points(tmp_path, "loss/main") == [(11, 0.25)]
    tags = read_events(tmp_path).Tags()
    assert tags["images"] == ["validation/image"]
    (image,) = read_events(tmp_path).Images("validation/image")
    assert (image.height, image.width) == (4, 5)
    assert sorted(tags["scalars"]) == ["epoch", "loss/main", "miou"]


def test_settings_and_final_scores_are_on_the_page_that_compares_runs(tmp_path: Path) -> None:
    settings = {"training.epochs": 6, "model.encoder": "b0", "model.image_size": [96, 64], "training.ema": None}
    with RunWriters(tmp_path, first_step=1, resumed=False) as writers:
        writers.hyperparameters(settings, {"miou": 0.5}, step=12)
    content = read_events(tmp_path).SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    told = HParamsPluginData.FromString(content).session_start_info.hparams
    assert told["training.epochs"].number_value == 6
    assert told["model.encoder"].string_value == "b0"
    assert told["model.image_size"].string_value == "[96, 64]"
    assert "training.ema" not in told
    assert points(tmp_path, "final/miou") == [(12, 0.5)]


def test_tensorboard_forgets_what_a_resumed_run_does_again(tmp_path: Path) -> None:
    with RunWriters(tmp_path, first_step=1, resumed=False) as writers:
        for step in (1, 2, 3):
            writers.scalars(step, {"loss": step / 10})
    with RunWriters(tmp_path, first_step=2, resumed=True) as writers:
        writers.scalars(2, {"loss": 0.5})
    assert points(tmp_path, "loss") == [(1, pytest.approx(0.1)), (2, 0.5)]


def test_events_of_a_run_that_is_killed_again_and_again_do_not_pile_up(tmp_path: Path) -> None:
    with RunWriters(tmp_path, first_step=1, resumed=False) as writers:
        writers.scalars(1, {"loss": 1.0})
    for _ in range(5):
        with RunWriters(tmp_path, first_step=2, resumed=True) as writers:
            writers.scalars(2, {"loss": 0.5})
    assert len(list(tmp_path.iterdir())) == 2
    assert [step for step, _ in points(tmp_path, "loss")] == [1, 2]


def test_a_full_disk_costs_curves_until_the_next_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with RunWriters(tmp_path, first_step=1, resumed=False) as writers:
        with monkeypatch.context() as patch:
            patch.setattr(SummaryWriter, "add_scalar", fail)
            writers.scalars(1, {"loss": 1.0})
        writers.scalars(2, {"loss": 1.0})
        writers.epoch({"epoch": 1}, step=3)
        writers.scalars(4, {"loss": 0.5})
    assert points(tmp_path, "loss") == [(4, 0.5)]
