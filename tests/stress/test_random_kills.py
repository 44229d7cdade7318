"""Real processes, killed at random moments: the same command again ends in the same bits.

The fast part runs with the other tests; ``uv run pytest -m long -n 0 -s tests/stress`` is the long one, which says what
it did.
A run is ``hed train`` with small networks, in a process forked from a server that has imported everything, so that a
kill hits the work and not the start of Python.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from small_networks import hed

from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunStatus, read_section
from human_edge_detection.selfcheck.bitwise import first_difference
from human_edge_detection.selfcheck.small_run import as_config_file

WORKERS = (0, 1, 2)
PATIENCE = 120.0


@dataclass
class Plan:
    """A teacher and a student, and where they lie."""

    folder: Path
    configs: dict[str, Path]
    workers: int

    def run(self, name: str) -> RunPaths:
        return RunPaths(self.folder / name)

    def arguments(self, name: str) -> list[str]:
        taught = ["--teacher_checkpoint", str(self.run("teacher").best)] if name == "student" else []
        where = ["--output_dir", str(self.folder), "--run_name", name, "--num_workers", str(self.workers)]
        return ["train", "--config_file", str(self.configs[name]), *where, *taught]


@dataclass
class Tally:
    kills: int = 0
    runs: int = 0
    killed_in: Counter[str] = field(default_factory=Counter)
    """How far the run was: before anything was saved, within the first epoch, later."""


@pytest.fixture(scope="session")
def server() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["small_networks", "human_edge_detection.engine.session.execute"])
    return context


@pytest.fixture(scope="session")
def configs(tiny_config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Config files of a teacher and of a student with all that has a state."""
    folder = tmp_path_factory.mktemp("configs")
    sizes = {"image_size": [32, 32], "roi_size": [8, 8], "mask_size": [16, 12]}
    # A save after every step: the most that there is to kill.
    training = {"checkpoint_minutes": 1e-6, "epochs": 2}
    teacher = derive(tiny_config, name="teacher", model={**sizes, "encoder": "resnet18"}, training=training)
    student = derive(tiny_config, name="student", model=sizes, training={**training, "ema": {"decay": 0.9}})
    files = {}
    for config in (teacher, student):
        files[config.name] = folder / f"{config.name}.json"
        write_json(files[config.name], as_config_file(config))
    return files


def start(server: Any, plan: Plan, name: str) -> Any:
    process = server.Process(target=hed, args=(plan.arguments(name), str(plan.folder / "output.txt")))
    process.start()
    return process


def finish(server: Any, plan: Plan, name: str) -> float:
    """Trains to the end; returns the seconds it took."""
    begun = time.perf_counter()
    process = start(server, plan, name)
    process.join(PATIENCE)
    assert process.exitcode == 0, (plan.folder / "output.txt").read_text()[-2000:]
    return time.perf_counter() - begun


def kill_at_random(server: Any, plan: Plan, name: str, seconds: float, rng: random.Random) -> bool:
    """Kills a run within ``seconds`` of its start; False when it was quicker."""
    process = start(server, plan, name)
    process.join(rng.uniform(0.0, seconds))
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), (plan.folder / "output.txt").read_text()[-2000:]
    return bool(process.exitcode != 0)


def how_far(run: RunPaths) -> str:
    if not run.latest.exists():
        return "before the first save"
    return "within the first epoch" if not run.epoch_checkpoints() else "later"


def train_with_kills(server: Any, plan: Plan, kills: int, seconds: float, rng: random.Random, tally: Tally) -> None:
    """The chain of teacher and student; ``kills`` each before it may finish."""
    for name in ("teacher", "student"):
        tally.runs += 1
        for _ in range(kills):
            if kill_at_random(server, plan, name, seconds, rng):
                tally.kills += 1
                tally.killed_in[how_far(plan.run(name))] += 1
        finish(server, plan, name)


class Straight(NamedTuple):
    """Chains without kills, by number of data workers, and the longest time that a student took."""

    plans: dict[int, Plan]
    seconds: float

    def run(self, name: str, workers: int = 0) -> RunPaths:
        return self.plans[workers].run(name)


@pytest.fixture(scope="session")
def straight(server: Any, configs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Straight:
    plans, seconds = {}, []
    for workers in WORKERS:
        plans[workers] = Plan(tmp_path_factory.mktemp("straight"), configs, workers)
        finish(server, plans[workers], "teacher")
        seconds.append(finish(server, plans[workers], "student"))
    return Straight(plans, max(seconds))


def assert_identical(plan: Plan, straight: Straight) -> None:
    for name in ("teacher", "student"):
        assert first_difference(straight.run(name, plan.workers), plan.run(name)) is None
    # The number of workers is in the config inside the teacher's file, and so in the file's sha256, and nowhere else.
    assert first_difference(straight.run("teacher"), plan.run("teacher")) is None
    assert not list(plan.folder.rglob(".*.tmp"))


MOST_RUNS = 8
"""The machine decides how far a run gets until it is killed; where all kills fall into one phase, so many will do."""


@pytest.mark.slow
def test_kills_leave_no_trace(server: Any, configs: dict[str, Path], straight: Straight, tmp_path: Path) -> None:
    rng, tally = random.Random(1), Tally()
    for number in range(MOST_RUNS):
        plan = Plan(tmp_path / str(number), configs, workers=WORKERS[number % len(WORKERS)])
        plan.folder.mkdir()
        train_with_kills(server, plan, 2, straight.seconds, rng, tally)
        assert_identical(plan, straight)
        if tally.kills >= 4 and len(tally.killed_in) >= 2:
            break
    assert tally.kills


@pytest.mark.slow
@pytest.mark.parametrize("change", ["weight", "optimizer", "metrics"])
def test_a_difference_of_one_bit_is_seen(change: str, straight: Straight, tmp_path: Path) -> None:
    """The negative control of all that is said to be identical here."""
    expected = straight.run("student")
    run = RunPaths(tmp_path / "run")
    for file in (expected.latest, expected.best):
        copy = run.checkpoints / file.name
        checkpoint, _ = read_checkpoint(file)
        save_checkpoint(copy, checkpoint)
    run.metrics.write_bytes(expected.metrics.read_bytes())
    run.result.write_bytes(expected.result.read_bytes())
    assert first_difference(expected, run) is None
    checkpoint, _ = read_checkpoint(run.latest)
    assert checkpoint.training is not None
    if change == "metrics":
        run.metrics.write_text(run.metrics.read_text().replace("1", "2", 1))
    else:
        state = checkpoint.training["optimizer"]["state"][0]["exp_avg"] if change == "optimizer" else None
        tensor = next(iter(checkpoint.model.values())) if state is None else state
        tensor.view(torch.int32).as_strided((1,), (1,))[0] ^= 1
        save_checkpoint(run.latest, checkpoint)
    assert first_difference(expected, run) is not None


@pytest.mark.slow
def test_a_run_that_forgets_its_optimizer_is_seen(
    server: Any, configs: dict[str, Path], straight: Straight, tmp_path: Path
) -> None:
    """Kills, and a checkpoint whose optimizer is made new in between, as trainers do that resume inexactly."""
    plan, rng = Plan(tmp_path, configs, workers=0), random.Random(2)
    while not (plan.run("teacher").latest.exists() and _step(plan.run("teacher")) > 2):
        kill_at_random(server, plan, "teacher", straight.seconds, rng)
    checkpoint, _ = read_checkpoint(plan.run("teacher").latest)
    assert checkpoint.training is not None
    for state in checkpoint.training["optimizer"]["state"].values():
        state["exp_avg"].zero_()
    save_checkpoint(plan.run("teacher").latest, checkpoint)
    finish(server, plan, "teacher")
    assert first_difference(straight.run("teacher"), plan.run("teacher")) is not None


def _step(run: RunPaths) -> int:
    return int(json.loads(run.latest.with_suffix(".json").read_text())["step"])


@pytest.mark.slow
def test_a_folder_stays_small_over_many_kills(
    server: Any, configs: dict[str, Path], straight: Straight, tmp_path: Path
) -> None:
    sizes = kill_cycles(server, Plan(tmp_path, configs, workers=0), 6, straight.seconds)
    assert sizes[-1] <= 1.5 * size_of(straight.run("teacher").root)


def kill_cycles(server: Any, plan: Plan, cycles: int, seconds: float) -> list[int]:
    """Bytes of the teacher's run folder after each of ``cycles`` kills; it is set back when it finishes."""
    rng, sizes = random.Random(3), []
    run = plan.run("teacher")
    for _ in range(cycles):
        kill_at_random(server, plan, "teacher", seconds, rng)
        sizes.append(size_of(run.root))
        if run.result.exists():  # once more, from the first epoch's state
            run.result.unlink()
            run.status.unlink()
            for path in (run.latest, *run.epoch_checkpoints()[1:]):
                path.unlink()
    return sizes


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0


def send(process: subprocess.Popen[bytes], seconds: float, number: signal.Signals, *, group: bool) -> int:
    """Sends a signal after ``seconds`` and waits for the end; returns the exit code."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        (os.killpg if group else os.kill)(process.pid, number)
    return process.wait(PATIENCE)


COMMAND = """
import sys
from human_edge_detection.signals import exit_code, heed_signals

heed_signals()  # what main() does first: all that takes time is imported after it
try:
    from small_networks import hed

    hed({arguments!r}, {output!r})
except KeyboardInterrupt as interrupt:
    sys.exit(exit_code(interrupt))
"""


def spawn(plan: Plan, name: str) -> subprocess.Popen[bytes]:
    support = str(Path(__file__).parents[1] / "support")
    environment = os.environ | {"PYTHONPATH": support}
    output = plan.folder / "output.txt"
    code = COMMAND.format(arguments=plan.arguments(name), output=str(output))
    with output.open("ab") as file:
        command = [sys.executable, "-c", code]
        return subprocess.Popen(command, env=environment, start_new_session=True, stdout=file, stderr=file)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "workers", "group", "code"),
    [
        (signal.SIGTERM, 2, True, 75),
        (signal.SIGUSR1, 1, True, 75),
        (signal.SIGINT, 2, True, 130),
    ],
    ids=["SIGTERM to the group", "SIGUSR1 to the group", "Ctrl-C"],
)
def test_a_signal_saves_the_state_and_says_who_sent_it(
    number: signal.Signals,
    workers: int,
    group: bool,
    code: int,
    configs: dict[str, Path],
    server: Any,
    straight: Straight,
    tmp_path: Path,
) -> None:
    plan = Plan(tmp_path, configs, workers)
    process = spawn(plan, "teacher")
    run = plan.run("teacher")
    wait_for(lambda: run.latest.with_suffix(".json").exists() and _step(run) >= 3)  # written after the checkpoint
    step = _step(run)
    assert send(process, 0.0, number, group=group) == code, (tmp_path / "output.txt").read_text()[-2000:]
    status = read_section(RunStatus, run.status)
    assert status is not None
    assert (status.state, status.error) == ("interrupted", None)
    assert status.step == _step(run) >= step
    finish(server, plan, "teacher")
    assert first_difference(straight.run("teacher"), run) is None


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_a_disk_that_takes_no_checkpoint_stops_the_run_with_one_line(
    server: Any, configs: dict[str, Path], straight: Straight, tmp_path: Path
) -> None:
    """A limit on the size of files, which the kernel enforces, stands for the disk that is full."""
    plan = Plan(tmp_path, configs, workers=0)
    run = plan.run("teacher")
    limit = straight.run("teacher").latest.stat().st_size // 2
    process = server.Process(target=hed, args=(plan.arguments("teacher"), str(plan.folder / "output.txt"), limit))
    process.start()
    process.join(PATIENCE)
    said = (plan.folder / "output.txt").read_text()
    assert process.exitcode == 1, said
    assert [line for line in said.splitlines() if line.startswith("error: ") and "File too large" in line]
    assert "Traceback" not in said
    assert not list(run.root.rglob(".*.tmp"))
    finish(server, plan, "teacher")
    assert first_difference(straight.run("teacher"), run) is None


@pytest.mark.slow
def test_thirty_kills_leave_no_trace(server: Any, configs: dict[str, Path], straight: Straight, tmp_path: Path) -> None:
    rng, tally = random.Random(1), Tally()
    for workers in WORKERS:
        plan = Plan(tmp_path / str(workers), configs, workers)
        plan.folder.mkdir()
        train_with_kills(server, plan, 5, straight.seconds, rng, tally)
        assert_identical(plan, straight)


@pytest.mark.long
def test_two_hundred_kills_in_fifty_runs(
    server: Any, configs: dict[str, Path], straight: Straight, tmp_path: Path
) -> None:
    rng, tally = random.Random(4), Tally()
    number = 0
    while tally.kills < 200 or tally.runs < 50:
        plan = Plan(tmp_path / str(number), configs, workers=WORKERS[number % len(WORKERS)])
        plan.folder.mkdir()
        train_with_kills(server, plan, 5, straight.seconds, rng, tally)
        assert_identical(plan, straight)
        number += 1
    sys.stdout.write(f"\n{tally.kills} kill -9 in {tally.runs} runs, all identical; killed {dict(tally.killed_in)}\n")


@pytest.mark.long
def test_fifty_sigterm_from_the_first_moment_on(
    server: Any, configs: dict[str, Path], straight: Straight, tmp_path: Path
) -> None:
    rng, codes = random.Random(5), Counter[int]()
    for number in range(50):
        plan = Plan(tmp_path / str(number), configs, workers=WORKERS[number % len(WORKERS)])
        plan.folder.mkdir()
        # Every other one within the first two seconds, while Python is still importing.
        seconds = rng.uniform(0.0, 2.0 if number % 2 else 12.0)
        codes[send(spawn(plan, "teacher"), seconds, signal.SIGTERM, group=bool(number % 3))] += 1
        output = plan.folder / "output.txt"
        assert "Traceback" not in output.read_text(), output.read_text()[-2000:]
        finish(server, plan, "teacher")
        assert first_difference(straight.run("teacher"), plan.run("teacher")) is None
    assert set(codes) <= {0, 75, -signal.SIGTERM}, codes
    sys.stdout.write(f"\n50 SIGTERM, all identical; exit codes {dict(codes)} (-15: while Python itself was starting)\n")


@pytest.mark.long
def test_a_hundred_kills_keep_a_folder_small(
    server: Any, configs: dict[str, Path], straight: Straight, tmp_path: Path
) -> None:
    sizes = kill_cycles(server, Plan(tmp_path, configs, workers=0), 100, straight.seconds)
    whole = size_of(straight.run("teacher").root)
    assert max(sizes[50:]) <= 1.5 * whole
    sys.stdout.write(
        f"\n100 kills: largest folder in the first 50 {max(sizes[:50])} bytes, in the last 50 {max(sizes[50:])}, "
        f"of a run without kills {whole}\n"
    )


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums do not depend on the machine; children inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
