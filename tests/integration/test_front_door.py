"""``hed train`` as one person types it, one command after the other in one folder: which run each of them means."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.engine.session import execute as execute_module
from human_edge_detection.experiments.config_file import config_file_text
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.checks import is_finished
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.selfcheck.small_run import as_config_file

pytestmark = pytest.mark.usefixtures("small_networks")

Hed = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path, tiny_coco: Path, tiny_config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: ``data``, and ``tiny.yaml``, an experiment that names no data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HED_DATA_ROOT", raising=False)
    shutil.copytree(tiny_coco, "data")
    fields = as_config_file(tiny_config)
    fields["data"]["root"] = None
    fields["training"] |= {"epochs": 2, "keep_every": 1}
    Path("tiny.yaml").write_text(config_file_text(fields))
    return tmp_path


@pytest.fixture
def train(folder: Path) -> Hed:
    return lambda *flags: main(["train", "--config", "tiny.yaml", *flags])


def run(name: str = "tiny") -> RunPaths:
    return RunPaths(Path("experiments", name))


def training(paths: RunPaths) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(paths.config.read_text())["training"]
    return fields


def epochs(paths: RunPaths) -> list[int]:
    return [json.loads(line)["epoch"] for line in paths.metrics.read_text().splitlines()]


def folders() -> list[str]:
    return sorted(path.name for path in Path("experiments").iterdir() if path.is_dir())


def test_data_in_the_folder_are_used_and_the_same_data_elsewhere_are_the_same_run(
    train: Hed, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train() == 0
    assert folders() == ["tiny"]
    for spelled in ("./data", "data/", str(folder / "data")):
        assert train("--data_root", spelled) == 0
        assert "finished earlier" in capsys.readouterr().err
    (folder / "data").rename(folder / "moved")
    monkeypatch.setenv("HED_DATA_ROOT", "moved")
    assert train() == 0
    assert "finished earlier" in capsys.readouterr().err
    assert folders() == ["tiny"]


def test_more_epochs_grow_the_run_and_the_schedule_is_that_of_the_new_total(train: Hed, folder: Path) -> None:
    assert train() == 0
    assert train("--epochs", "4") == 0
    assert (training(run())["epochs"], training(run())["segments"]) == (4, [2, 4])
    assert epochs(run()) == [1, 2, 3, 4]
    rates = [json.loads(line)["train/learning_rate"] for line in run().metrics.read_text().splitlines()]
    assert rates[2] > rates[1]  # a cosine over two epochs had come down; the one over four is at its half
    assert train("--epochs", "2") == 0
    assert len(folders()) == 2
    assert folders()[1].startswith("tiny+")


def test_another_setting_is_another_run(train: Hed, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--epochs", "1") == 0
    assert train("--epochs", "1", "--batch_size", "1") == 0
    assert train("--epochs", "1", "--num_workers", "2") == 0
    assert "finished earlier" in capsys.readouterr().err
    assert len(folders()) == 2


def test_going_back_sets_aside_what_is_later_and_grows(train: Hed, folder: Path) -> None:
    assert train("--epochs", "3") == 0
    first = str(run().epoch_checkpoint(1))
    assert train("--resume", first, "--epochs", "4") == 0
    assert (training(run())["epochs"], training(run())["segments"]) == (4, [1, 4])
    assert epochs(run()) == [1, 2, 3, 4]
    (aside,) = run().checkpoints.glob("set_aside_*")
    assert {"checkpoint_epoch_0002.pth", "checkpoint_epoch_0003.pth", "metrics.jsonl"} <= {
        path.name for path in aside.iterdir()
    }
    stamp = run().latest.stat().st_mtime_ns
    assert train("--resume", first, "--epochs", "4") == 0  # the same command again trains nothing
    assert run().latest.stat().st_mtime_ns == stamp


def test_an_edited_config_is_refused(train: Hed, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train() == 0
    fields = json.loads(run().config.read_text())
    fields["training"]["learning_rate"] = 0.5
    run().config.write_text(json.dumps(fields))
    assert train("--resume", str(run().root), "--epochs", "3", "--set", "training.learning_rate=0.5") == 2
    assert "differ: training.learning_rate is 0.5 and" in capsys.readouterr().err


def test_a_command_that_is_refused_leaves_its_name_free(
    train: Hed, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("data", "broken")
    for image in Path("broken", "images", "train").iterdir():
        image.write_bytes(b"no image")
    assert train("--data_root", "broken") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
    assert not Path("experiments").exists()  # no lock either
    assert train("--epochs", "1") == 0
    assert folders() == ["tiny"]


class Killed(BaseException):
    """In place of kill -9."""


def test_killed_between_reservation_and_first_step_the_same_command_goes_on(
    train: Hed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(execute_module, "execute_run", die)
        patch.setattr("human_edge_detection.runs.lookup.reservation.release", die)
        with pytest.raises(Killed):
            train()
    assert {path.name for path in run().root.iterdir()} == {"config.json", "contents.json"}
    assert train("--batch_size", "1", "--epochs", "1") == 0  # another run does not take the folder
    assert train() == 0
    assert is_finished(run())
    assert len(folders()) == 2


def test_a_run_that_another_process_has_just_begun_is_left_alone(
    train: Hed, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("human_edge_detection.runs.lookup.reservation._PROBE_SECONDS", 0.1)

    def meanwhile(*_: object, **__: object) -> None:
        assert train() == 2
        assert run().config.is_file()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(execute_module, "execute_run", meanwhile)
        with pytest.raises(Killed):
            train()
    assert "is in use by process" in capsys.readouterr().err


def test_a_run_folder_deleted_by_hand_is_trained_anew_and_a_copy_elsewhere_continues(train: Hed, folder: Path) -> None:
    assert train("--epochs", "1") == 0
    shutil.move("experiments", "elsewhere")
    assert train("--epochs", "1") == 0
    assert is_finished(run())
    assert main(["train", "--resume", "elsewhere/tiny", "--epochs", "2"]) == 0
    assert epochs(RunPaths(Path("elsewhere", "tiny"))) == [1, 2]


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--epochs", "1", "--total_epochs", "2"), "--epochs"),
        (("--data_root", "data", "--drawn_data"), "--drawn_data"),
        (("--resume", "experiments/nothing"), "no such run folder or checkpoint"),
        (("--set", "training.segments=[1, 2]"), "is written when a run grows"),
        (("--config_file", "tiny.yaml"), "two config files"),
    ],
)
def test_mistakes_are_one_line(
    train: Hed, folder: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], problem: str
) -> None:
    assert train(*flags) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.splitlines()[-1].startswith("error: ")
    assert not Path("experiments").exists()
