"""What folders say at a glance: states, time left, and which folders are runs."""

import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.experiments.registry import get_config
from human_edge_detection.files.lock import hold
from human_edge_detection.runner.watching.glance import Glance, chosen, glance, look, seconds_left
from human_edge_detection.runs.paths import BATCH_LOCK, RunPaths
from human_edge_detection.runs.records import RunStatus, read_section
from human_edge_detection.runs.standing import standing_of

WriteRun = Callable[..., RunPaths]


def a_status(state: str = "running", **fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    given = {"epoch": 2, "epochs": 4, "step": 20, "steps": 40, "seconds_per_step": 3.0, "error": None}
    own = {"state": state, "pid": os.getpid(), "host": socket.gethostname(), "started": now, "updated": now}
    return {**own, **given, **fields}


def write(folder: Path, **files: Any) -> RunPaths:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return RunPaths(folder)


def seen(paths: RunPaths, *, batch_at_work: bool = False) -> Glance:
    return glance(paths, "run", batch_at_work=batch_at_work)


def test_a_run_under_way_says_how_far_it_is_and_how_long_it_takes(tmp_path: Path) -> None:
    earlier = (datetime.now(UTC) - timedelta(seconds=20)).isoformat()
    paths = write(tmp_path / "run", status=a_status(updated=earlier))
    write(paths.checkpoints, best_model={"metrics": {"miou": 0.25}})
    with hold(paths.lock, "run", advice=""):
        run = seen(paths)
    assert (run.state, run.epoch, run.epochs, run.miou) == ("running", 2, 4, 0.25)
    assert run.seconds_per_epoch == 30.0
    assert run.seconds_left == pytest.approx(40.0, abs=5.0)  # 60 when it was written
    assert seen(paths).state == "killed"  # nobody holds its lock


def test_it_stands_where_everybody_else_says_it_stands(tmp_path: Path, write_run: WriteRun) -> None:
    config = get_config("quickstart_student_b0")
    for state in ("finished", "failed", "interrupted", "running"):
        paths = write_run(tmp_path / state, config, state=state)
        standing = standing_of(paths, read_section(RunStatus, paths.status))
        assert (seen(paths).state, seen(paths).error) == standing
    paths = RunPaths(tmp_path / "finished")
    paths.best.write_bytes(b"cut")
    write(paths.checkpoints, best_model={"size_bytes": 7, "metrics": {}})
    assert seen(paths).state == "damaged"
    assert "3 bytes, 7 were written" in str(seen(paths).error)


def test_a_run_that_has_not_begun_waits_while_a_batch_is_at_work(tmp_path: Path) -> None:
    paths = write(tmp_path / "run", config={"training": {"epochs": 5}}, contents={})
    assert seen(paths) == Glance("run", "not started", epochs=5)
    with hold(tmp_path / BATCH_LOCK, "batch", advice=""):
        (batch,) = look(tmp_path)
    assert batch.holder is not None
    assert str(os.getpid()) in batch.holder
    assert batch.runs == (Glance("run", "waiting", epochs=5),)


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 5000, "{}", json.dumps(a_status(epoch=-1))])
def test_a_damaged_status_is_one_line_and_hides_no_other_run(tmp_path: Path, content: str) -> None:
    write(tmp_path / "damaged", status=content)
    write(tmp_path / "whole", status=a_status("failed", error="out of\nluck \x1b[31m"))
    (batch,) = look(tmp_path)
    damaged, whole = batch.runs
    assert damaged.state == "unreadable"
    assert str(damaged.error).startswith("status.json: ")
    assert (whole.state, whole.error) == ("failed", "out of\\nluck \\x1b[31m")


def test_all_batches_below_a_folder_are_found_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "one" / "experiments" / "a", status=a_status("interrupted"))
    write(tmp_path / "two" / "b" / "seed_10", status=a_status("interrupted"))
    write(tmp_path / "two" / "b" / "seed_9", status=a_status("interrupted"))
    write(tmp_path / "two" / ".trash_7" / "c", status=a_status())
    write(tmp_path / "some_model", config={})
    found = {batch.folder: [run.name for run in batch.runs] for batch in look(tmp_path)}
    assert found == {tmp_path / "one" / "experiments": ["a"], tmp_path / "two": ["b/seed_9", "b/seed_10"]}
    (batch,) = look(tmp_path / "two" / "b")
    assert [run.name for run in batch.runs] == ["b/seed_9", "b/seed_10"]


def test_what_waits_takes_as_long_as_the_others_take() -> None:
    done = Glance("done", "finished", None, 4, 4, seconds_per_epoch=20.0)
    running = Glance("running", "running", None, 1, 4, seconds_left=30.0, seconds_per_epoch=10.0)
    waiting = Glance("waiting", "waiting", None, None, 2)
    assert seconds_left([done, running, waiting]) == 30.0 + 2 * 15.0
    assert seconds_left([done]) is None
    assert seconds_left([waiting]) is None


def test_where_there_is_no_room_those_under_way_and_what_went_wrong_stay() -> None:
    states = ["finished", "failed", "finished", "running", "waiting", "waiting"]
    runs = [Glance(str(number), state) for number, state in enumerate(states)]
    assert [run.name for run in chosen(runs, 3)] == ["1", "3", "4"]
    assert chosen(runs, 6) == runs


def test_a_look_at_a_run_opens_two_files(tmp_path: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """So thousands take a moment."""
    for number in range(5):
        paths = write_run(tmp_path / f"run_{number}", get_config("quickstart_student_b0"))
        write(paths.checkpoints, best_model={"metrics": {"miou": 0.25}})
    opened: list[str] = []
    real = Path.open

    def noted(path: Path, *args: Any, **options: Any) -> Any:
        opened.append(path.name)
        return real(path, *args, **options)

    monkeypatch.setattr(Path, "open", noted)
    (batch,) = look(tmp_path)
    assert [run.miou for run in batch.runs] == [0.25] * 5
    assert sorted(opened) == ["best_model.json"] * 5 + ["status.json"] * 5
