"""``hed tensorboard``: which folder it is started on, and what is refused before it is."""

import importlib.util
import os
import socket
from pathlib import Path

import pytest

from human_edge_detection.cli.main import main


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """What took this process's place: nothing; the words it was given."""
    calls: list[list[str]] = []

    def execv(path: str, words: list[str]) -> None:
        calls.append(words[1:])
        raise KeyboardInterrupt  # it never returns

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "experiments" / "mine"
    run.mkdir(parents=True)
    for name in ("config.json", "status.json"):
        (run / name).write_text("{}")
    return calls


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("place", "folder"), [((), "experiments"), (("mine",), "experiments/mine"), (("experiments/mine",), None)]
)
def test_it_starts_on_a_run_or_on_all(
    started: list[list[str]], place: tuple[str, ...], folder: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    assert main(["tensorboard", *place, "--port", str(port)]) == 130
    ((*_, flag, logdir, _, host, _, number),) = started
    assert (flag, logdir, host, number) == ("--logdir", folder or place[0], "localhost", str(port))
    assert f"http://localhost:{port}" in capsys.readouterr().out


def test_what_is_wrong_is_one_line(
    started: list[list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("localhost", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        for words, said in (
            (["--port", taken], f"error: --port {taken}: Address already in use"),
            (["--port", "70000"], "expected 1 to 65535"),
            (["--host", "no host"], "error: --host no host: "),
            (["mime"], "no run 'mime' (did you mean 'mine'?)"),
            (["--output_dir", "nothing"], "error: --output_dir nothing: no such folder"),
        ):
            assert main(["tensorboard", *words]) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert said in line
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["tensorboard"]) == 2
    assert "TensorBoard is not installed" in capsys.readouterr().err
    assert started == []
