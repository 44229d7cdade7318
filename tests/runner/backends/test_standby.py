"""A child that was started before its command was known: it does what a fresh one does, or nothing at all."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from human_edge_detection.runner.backends import standby as module
from human_edge_detection.runner.backends.backend import Ended, Work
from human_edge_detection.runner.backends.local import LocalBackend
from human_edge_detection.runner.backends.standby import LEAST_MEMORY, Standby

PROGRAM = dedent(
    """
    import json, os, signal, sys, time
    from pathlib import Path
    from human_edge_detection.cli import main
    from human_edge_detection.cli.children import standby

    imported = []
    folder = Path(sys.argv[0]).parent

    def import_module(name):  # PyTorch takes seconds
        imported.append(name)
        (folder / "imports").touch()

    standby.import_module = import_module

    def command(name, argv, program):
        done = {"pid": os.getpid(), "argv": sys.argv[1:], "imported": imported, "mark": os.environ.get("MARK")}
        with (folder / "done").open("a") as file:
            file.write(json.dumps(done) + "\\n")
        if argv[0] == "wait":
            (folder / "waits").touch()
            time.sleep(30)
        return int(argv[0])

    main._run = command
    sys.exit(main.main())
    """
)
"""The package's main program, but for what its commands do and for slow imports."""


class Program:
    """``program`` in place of the package, and what its processes did."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "program.py").write_text(PROGRAM)
        self.prefix = [sys.executable, str(folder / "program.py")]

    def command(self, *words: str) -> list[str]:
        return [*self.prefix, "train", *words]

    @property
    def done(self) -> list[dict[str, Any]]:
        file = self.folder / "done"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    made = Program(tmp_path)
    monkeypatch.setattr(module, "_PROGRAM", made.prefix)
    monkeypatch.setattr(module, "available_memory", lambda: LEAST_MEMORY)
    return made


def launch(standby: Standby, command: list[str]) -> Ended:
    """What a batch does with a command, until its child has ended."""
    backend = LocalBackend(standby=standby)
    job = backend.submit(Work("run", Path(), tuple(command)))
    until(lambda: backend.poll(job))
    return backend.result(job)


@pytest.fixture
def standby(program: Program) -> Iterator[Standby]:
    with Standby(exports=False) as made:
        yield made


def waiting(standby: Standby) -> int | None:
    """The process that stands by."""
    return None if standby._waiting is None else standby._waiting.process.pid


def has_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has asked about since is a zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(("exports", "more"), [(False, []), (True, ["human_edge_detection.exporters.onnx"])])
def test_a_command_is_done_by_the_child_that_stands_by(
    program: Program, exports: bool, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARK", "of this batch")
    with Standby(exports=exports) as standby:
        standby.prepare()
        pid = waiting(standby)
        assert pid is not None
        standby.prepare()
        assert waiting(standby) == pid
        ended = launch(standby, program.command("0", "--name", "Zoë"))
        assert ended == Ended(pid, 0)
        imported = ["human_edge_detection.engine.session.execute", *more]
        argv = ["train", "0", "--name", "Zoë"]
        assert program.done == [{"pid": pid, "argv": argv, "imported": imported, "mark": "of this batch"}]
        assert waiting(standby) is None
        launch(standby, program.command("0"))
    assert program.done[1]["pid"] != pid
    assert program.done[1]["imported"] == []


@pytest.mark.parametrize("memory", [LEAST_MEMORY - 1, None])
def test_none_stands_by_when_memory_is_short_or_unknown(
    program: Program, standby: Standby, memory: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: memory)
    standby.prepare()
    assert waiting(standby) is None
    assert launch(standby, program.command("0")).returncode == 0
    assert len(program.done) == 1


def test_it_ends_with_the_batch(program: Program) -> None:
    with pytest.raises(KeyboardInterrupt), Standby(exports=False) as standby:
        standby.prepare()
        pid = waiting(standby)
        raise KeyboardInterrupt
    assert pid is not None
    assert has_gone(pid)
    assert program.done == []


BATCH = dedent(
    """
    import sys, time
    from human_edge_detection.runner.backends import standby
    standby._PROGRAM = sys.argv[1:]
    standby.available_memory = lambda: standby.LEAST_MEMORY
    one = standby.Standby(exports=False)
    one.prepare()
    print(one._waiting.process.pid, flush=True)
    time.sleep(60)
    """
)


def test_it_ends_when_the_batch_is_killed(program: Program) -> None:
    command = [sys.executable, "-c", BATCH, *program.prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as batch:
        assert batch.stdout is not None
        pid = int(batch.stdout.readline())
        assert not has_gone(pid)
        batch.kill()
    until(lambda: has_gone(pid))
    assert program.done == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_one_that_was_ended_before_it_took_the_command_is_replaced(
    program: Program, standby: Standby, number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    standby.prepare()
    pid = waiting(standby)
    assert pid is not None
    until((program.folder / "imports").exists)  # the interpreter itself does not end without a word
    os.kill(pid, number)
    until(lambda: has_gone(pid))
    ended = launch(standby, program.command("0"))
    assert ended.returncode == 0
    assert [done["pid"] for done in program.done] == [ended.pid]
    assert ended.pid != pid
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("by_batch", [True, False])
def test_one_that_is_interrupted_before_it_took_the_command_is_not_replaced(
    program: Program, standby: Standby, by_batch: bool
) -> None:
    backend = LocalBackend(standby=standby)
    standby.prepare()
    assert standby._waiting is not None
    os.kill(standby._waiting.process.pid, signal.SIGSTOP)  # it imports
    job = backend.submit(Work("run", Path(), tuple(program.command("0"))))
    if by_batch:
        backend.cancel(job, at_once=True)
    else:  # Ctrl-C in the terminal, which the batch is about to see, too
        job.process.send_signal(signal.SIGINT)
        job.process.send_signal(signal.SIGCONT)
    until(lambda: backend.poll(job))
    assert backend.result(job).returncode < 0
    assert program.done == []


def test_one_that_dies_with_its_command_untaken_is_replaced(program: Program, standby: Standby) -> None:
    backend = LocalBackend(standby=standby)
    standby.prepare()
    assert standby._waiting is not None
    os.kill(standby._waiting.process.pid, signal.SIGSTOP)
    job = backend.submit(Work("run", Path(), tuple(program.command("0"))))
    job.process.kill()
    until(lambda: backend.poll(job))
    assert backend.result(job).returncode == 0
    assert len(program.done) == 1


def test_signals_that_come_after_the_command_reach_it(program: Program, standby: Standby) -> None:
    backend = LocalBackend(standby=standby)
    standby.prepare()
    pid = waiting(standby)
    job = backend.submit(Work("run", Path(), tuple(program.command("wait"))))
    until((program.folder / "waits").exists)
    assert not backend.poll(job)
    backend.cancel(job)
    until(lambda: backend.poll(job))
    assert backend.result(job) == Ended(pid or 0, 75)


@pytest.mark.parametrize(
    ("last_words", "stays", "goes_on"),
    [("sys.exit(0)", True, True), ("sys.exit(1)", False, True), ("os.kill(os.getpid(), 9)", False, False)],
)
def test_after_a_bad_end_the_next_child_is_a_fresh_one(
    standby: Standby, last_words: str, stays: bool, goes_on: bool
) -> None:
    standby.prepare()
    prepared = waiting(standby)
    assert prepared is not None
    launch(standby, [sys.executable, "-c", f"import os, sys; {last_words}"])  # no command of the package
    assert waiting(standby) == (prepared if stays else None)
    assert has_gone(prepared) != stays
    standby.prepare()
    assert (waiting(standby) is not None) == goes_on
