"""How long a training step takes under each way in which OpenMP's threads may wait, alone and beside other work.

    uv run python benchmarks/threads.py --output threads.json

A thread of OpenMP that has no work spins for a while before it sleeps. That is quick where the core is free, and takes
the core from whoever could use it where it is not. How long it spins is read from the environment when the library is
loaded, so each variant is a process of its own, with as many threads as cores, which trains the quickstart's student on
drawn people. All take turns; who has no turn is stopped (SIGSTOP). Each turn is a few steps

alone
    as far as others leave the machine alone: ``others`` says how many cores they took meanwhile.
beside a busy core
    while a process of one thread computes without end.
two at once
    while a second process of the same variant does the same steps; seconds of a step are the mean of both.

The table has the median and the least of wall seconds a step over the turns, and processor seconds a step.
"""

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from measuring import machine, median_ratio

THREADS = "OMP_NUM_THREADS"
DEFAULT, PASSIVE, ONE_THREAD = "as OpenMP comes", "OMP_WAIT_POLICY=passive", "OMP_NUM_THREADS=1"
QUICK = (DEFAULT, PASSIVE, "GOMP_SPINCOUNT=1000", ONE_THREAD)
VARIANTS: dict[str, dict[str, str]] = {
    DEFAULT: {},
    PASSIVE: {"OMP_WAIT_POLICY": "passive"},
    "OMP_WAIT_POLICY=active": {"OMP_WAIT_POLICY": "active"},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "KMP_BLOCKTIME=0": {"KMP_BLOCKTIME": "0"},
    ONE_THREAD: {THREADS: "1"},
}
PLACES = ("alone", "beside a busy core", "two at once")
_SPINNING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", THREADS)
_BATCHES = 4


class Turn(NamedTuple):
    """Some steps: wall and processor seconds a step, and how many cores others took meanwhile."""

    wall: float
    cpu: float
    others: float


class Training:
    """A process of one variant; it is stopped while it has no turn."""

    def __init__(self, name: str, variables: Mapping[str, str], threads: int, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=serve, args=(name, folder, there), daemon=True)
        kept = {key: value for key, value in os.environ.items() if key not in _SPINNING}
        with patch.dict(os.environ, {**kept, THREADS: str(threads), **variables}, clear=True):
            self._process.start()
        self.libraries: list[str] = []

    def wait_until_ready(self) -> None:
        """Until all is imported and the first steps are done."""
        self.libraries = self._pipe.recv()
        self._signal(signal.SIGSTOP)

    def begin(self, steps: int) -> None:
        """Lets it go on, with so many steps."""
        self._signal(signal.SIGCONT)
        self._pipe.send(steps)

    def end(self) -> tuple[float, float]:
        """Wall and processor seconds that the steps took."""
        seconds: tuple[float, float] = self._pipe.recv()
        self._signal(signal.SIGSTOP)
        return seconds

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


def serve(name: str, folder: Path, asked: Connection) -> None:
    """Does as many steps as it is told, again and again, and answers with their seconds."""
    from human_edge_detection.data.loader import training_batches
    from human_edge_detection.engine.session.prepare import prepare_training
    from human_edge_detection.experiments.registry import get_config
    from human_edge_detection.experiments.schema.experiment import derive
    from human_edge_detection.runs.paths import RunPaths

    sample = {"train_images": 32, "val_images": 2}
    config = derive(get_config("quickstart_student_b0"), name=name, data={"sample": sample, "num_workers": 0})
    trainer = prepare_training(config, RunPaths(folder / name), resume=None, sample_root=folder / "sample")
    trainer.progress.batch = 1  # the first batch of an epoch also measures the shares of the gradient
    settings = config.training
    stream = training_batches(
        trainer.parts.training_set,
        batch_size=settings.batch_size,
        seed=settings.seed,
        start_epoch=0,
        start_batch=0,
        epochs=1,
        num_workers=0,
    )
    batches = list(islice(stream, _BATCHES))
    for batch in batches:
        trainer.train_step([batch])
    asked.send(openmp_libraries())
    while True:
        steps = asked.recv()
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(steps):
            trainer.train_step([batches[number % len(batches)]])
        asked.send((time.perf_counter() - wall, time.process_time() - cpu))


def openmp_libraries() -> list[str]:
    """Names of the OpenMP libraries that this process has loaded: they decide which variables have an effect."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    names = {Path(line.split()[-1]).name for line in lines if "/" in line}
    return sorted(name for name in names if name.startswith(("libgomp", "libomp", "libiomp")))


def busy_seconds() -> float:
    """Processor seconds that the whole machine has worked since it started."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def take_turn(trainings: Sequence[Training], steps: int) -> Turn:
    """One turn of one or two trainings at once."""
    before, started = busy_seconds(), time.perf_counter()
    for training in trainings:
        training.begin(steps)
    seconds = [training.end() for training in trainings]
    taken = time.perf_counter() - started
    cpu = sum(own for _, own in seconds)
    others = (busy_seconds() - before - cpu) / taken
    each = steps * len(trainings)
    return Turn(sum(wall for wall, _ in seconds) / each, cpu / each, round(others, 2))


@contextmanager
def busy_core() -> Iterator[None]:
    """A process of one thread that computes without end."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield
        process.kill()


def measure(pairs: Mapping[str, Sequence[Training]], rounds: int, steps: int) -> dict[str, dict[str, list[Turn]]]:
    """Turns by place and variant."""
    turns: dict[str, dict[str, list[Turn]]] = {place: {name: [] for name in pairs} for place in PLACES}
    for _ in range(rounds):
        for name, (first, second) in pairs.items():
            turns["alone"][name].append(take_turn([first], steps))
            with busy_core():
                turns["beside a busy core"][name].append(take_turn([first], steps))
            turns["two at once"][name].append(take_turn([first, second], steps))
    return turns


def show(turns: Mapping[str, Mapping[str, Sequence[Turn]]]) -> None:
    for place, by_name in turns.items():
        print(f"\n{place:28}{'median':>10}{'least':>10}{'x default':>11}{'cpu':>8}{'others':>8}")
        default = [turn.wall for turn in by_name[DEFAULT]]
        for name, taken in by_name.items():
            wall = [turn.wall for turn in taken]
            cpu, others = (statistics.median(turn[field] for turn in taken) for field in (1, 2))
            ratio = median_ratio(wall, default)
            print(f"{name:28}{statistics.median(wall):10.3f}{min(wall):10.3f}{ratio:11.2f}{cpu:8.3f}{others:8.2f}")


def ratios_of(turns: Mapping[str, Mapping[str, Sequence[Turn]]]) -> dict[str, float]:
    """Wall seconds of a step, of each variant to those of OpenMP as it comes, in the same rounds."""
    ratios = {}
    for place, by_name in turns.items():
        default = [turn.wall for turn in by_name[DEFAULT]]
        for name, taken in by_name.items():
            if name != DEFAULT:
                ratios[f"{place}: {name} / default"] = median_ratio([turn.wall for turn in taken], default)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="steps of a turn; default: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: a thread a core")
    parser.add_argument("--quick", action="store_true", help="a minute on a free machine: few variants and rounds")
    parser.add_argument("--output", type=Path, default=Path("threads.json"))
    args = parser.parse_args()
    args.rounds, args.steps = (3, 2) if args.quick else (args.rounds, args.steps)
    root = Path(__file__).parents[1]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root / "src"), os.environ.get("PYTHONPATH")]))
    variants = {name: VARIANTS[name] for name in (QUICK if args.quick else VARIANTS)}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as started:
        pairs: dict[str, list[Training]] = {}
        for number, (name, variables) in enumerate(variants.items()):
            pair = [Training(f"{which}{number}", variables, args.threads, Path(folder)) for which in "ab"]
            for training in pair:
                started.callback(training.close)
            pairs[name] = pair
        for training in (training for pair in pairs.values() for training in pair):
            training.wait_until_ready()
        before = os.getloadavg()
        turns = measure(pairs, args.rounds, args.steps)
        libraries = pairs[DEFAULT][0].libraries
    print(f"OpenMP: {', '.join(libraries) or 'none'}; load {before[0]:.2f} before, {os.getloadavg()[0]:.2f} after")
    show(turns)
    ratios = ratios_of(turns)
    result: dict[str, Any] = {
        "machine": machine(),
        "arguments": vars(args),
        "openmp": libraries,
        "turns": turns,
        "ratios": ratios,
        "lower_is_better": list(ratios),
    }
    args.output.write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
