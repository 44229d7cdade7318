"""The view of a batch: in a terminal alone, with what children say above it and never in it."""

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from human_edge_detection.experiments.registry import get_config
from human_edge_detection.log import LOGGER_NAME, setup_logging, terminal
from human_edge_detection.runner.backends.start import begin
from human_edge_detection.runner.execution.outcome import Outcome
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.watching.batch_view import BatchView
from human_edge_detection.runs.lookup.identity import RunContents
from human_edge_detection.runs.paths import RunPaths

SAYS = "import sys; print('said', *range(40)); sys.stderr.write('warned\\x1b[31m\\n'); print(end='last words')"


@pytest.fixture
def plan(tmp_path: Path, write_run: Callable[..., RunPaths]) -> list[PlannedRun]:
    config = get_config("quickstart_student_b0")
    runs = [
        PlannedRun(name, tmp_path, config, config, RunContents(encoder_weights="none"))
        for name in ("one", "two", "three")
    ]
    write_run(runs[0].paths.root, config, state="failed")  # by an earlier batch
    write_run(runs[2].paths.root, config)
    return runs


class Screen:
    """A terminal in the place of stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.parts: list[bytes] = []

    def open(self) -> None:
        """Not in a fixture: pytest gives a test its own stderr after those."""
        self.reader, writer = os.openpty()
        self.stream = io.TextIOWrapper(io.FileIO(writer, "w"), write_through=True)
        self.monkeypatch.setattr(sys, "stderr", self.stream)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        with suppress(OSError):  # the other end is closed
            while part := os.read(self.reader, 1 << 16):
                self.parts.append(part)

    def close(self) -> str:
        """All that was written."""
        self.monkeypatch.setattr(sys, "stderr", sys.__stderr__)
        self.stream.close()
        self.thread.join(5.0)
        os.close(self.reader)
        return b"".join(self.parts).decode()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    logger = logging.getLogger(LOGGER_NAME)
    for name, value in {"handlers": [], "propagate": True, "level": logger.level}.items():
        monkeypatch.setattr(logger, name, value)
    monkeypatch.setattr("threading.excepthook", sys.__excepthook__)
    for variable, text in {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}.items():
        monkeypatch.setenv(variable, text)
    for variable in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    terminal.cache_clear()
    yield Screen(monkeypatch)
    terminal.cache_clear()


def test_children_write_above_the_view_and_every_run_is_in_it(plan: list[PlannedRun], screen: Screen) -> None:
    screen.open()
    setup_logging()
    with BatchView(plan) as view:
        assert view.children is not None
        view.started("one")
        assert [run.state for run in view.runs()] == ["starting", "waiting", "finished"]
        assert begin([sys.executable, "-c", SAYS], output=view.children).wait() == 0
        logging.getLogger(LOGGER_NAME).warning("from the batch itself")
        view.settled(Outcome("one", "failed", "out of luck"))
        first, *_ = view.runs()
        assert (first.state, first.error) == ("failed", "out of luck")
    text = screen.close()
    lines = [line.rstrip("\r") for line in text.split("\n")]
    for said in ("said " + " ".join(map(str, range(40))), "warned\\x1b[31m", "last words"):
        assert any(line.endswith(said) for line in lines), said  # whole, and nothing after it
    assert "from the batch itself" in text
    assert "1 of 3 finished" in text


@pytest.mark.parametrize("why", ["no terminal", "NO_COLOR", "TERM", "no log"])
def test_elsewhere_nothing_is_shown_and_children_keep_their_stderr(
    plan: list[PlannedRun], screen: Screen, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen.open()
    if why == "no terminal":
        monkeypatch.setattr(sys, "stderr", io.StringIO())
    elif why == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    elif why == "TERM":
        monkeypatch.setenv("TERM", "dumb")
    if why != "no log":  # a Python program that has not asked for one
        setup_logging()
    with BatchView(plan) as view:
        assert view.children is None
    assert screen.close() == ""
