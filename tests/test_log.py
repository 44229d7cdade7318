"""The log: a line is one line of text, and a terminal or reader that goes away ends nothing."""

import io
import logging
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from human_edge_detection.engine.training.progress_bar import training_display
from human_edge_detection.log import LOGGER_NAME, log_to_file, setup_logging, shows_progress, stop_logging_to, terminal


@pytest.fixture
def no_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The package's logger as a new process has it, and a console that looks at stderr anew."""
    logger = logging.getLogger(LOGGER_NAME)
    # A logger that does not propagate, as after a command, would be given handlers by pytest.
    for name, value in {"handlers": [], "propagate": True, "level": logger.level}.items():
        monkeypatch.setattr(logger, name, value)
    monkeypatch.setattr("threading.excepthook", sys.__excepthook__)
    monkeypatch.setenv("TERM", "xterm")
    terminal.cache_clear()
    yield logger
    terminal.cache_clear()


def write_to(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes ``descriptor`` stderr. Not in a fixture: pytest gives a test its own stderr after those."""
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.FileIO(descriptor, "w"), write_through=True))


@pytest.mark.parametrize("kind", ["terminal", "pipe in colour", "pipe"])
def test_training_goes_on_without_a_reader(
    no_log: logging.Logger, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.openpty() if kind == "terminal" else os.pipe()
    if kind == "pipe in colour":
        monkeypatch.setenv("FORCE_COLOR", "1")
    write_to(writer, monkeypatch)
    setup_logging()
    assert shows_progress() == (kind != "pipe")
    file = log_to_file(tmp_path / "training_log.txt")
    with training_display("run", total_steps=2, done=0) as display:
        no_log.info("before")
        os.close(reader)
        for epoch in (1, 2):
            no_log.info("epoch %d", epoch)
            display.step(epoch, 2, {"loss": 0.5})
            with display.validating(1):
                display.validated()
    no_log.warning("after")
    stop_logging_to(file)
    said = [line.split(" ", 3)[3] for line in (tmp_path / "training_log.txt").read_text().splitlines()]
    assert said == ["before", "epoch 1", "epoch 2", "after"]


def test_a_terminal_shows_log_and_progress(no_log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.openpty()
    write_to(writer, monkeypatch)
    setup_logging()
    with training_display("run", total_steps=2, done=0):
        no_log.info("said")
    # The terminal passes on what was written when it gets to it, in parts.
    shown = ""
    while not ("said" in shown and "0/2" in shown) and select.select([reader], [], [], 10.0)[0]:
        shown += os.read(reader, 1 << 16).decode()
    os.close(reader)
    assert "said" in shown
    assert "0/2" in shown


def test_a_message_cannot_write_a_second_line_or_an_escape(
    no_log: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging()
    handler = log_to_file(tmp_path / "log.txt")
    try:
        no_log.warning("%s is odd", "a\x1b[31m\nINFO all is well")
        no_log.error("it failed", exc_info=RuntimeError("b\nc"))
    finally:
        stop_logging_to(handler)
    for text in (capsys.readouterr().err, (tmp_path / "log.txt").read_text()):
        first, *rest = text.splitlines()
        assert first.endswith("a\\x1b[31m\\nINFO all is well is odd")
        assert rest[0].endswith("it failed")
        assert rest[1:] == ["RuntimeError: b", "c"]
