"""How long a training step takes under each way in which OpenMP's threads may wait, alone and beside other work.

    uv run python benchmarks/threads.py --output threads.json

A thread of OpenMP that has no work spins for a while before it sleeps. That is quick where the core is free, and takes
the core from whoever could use it where it is not. How long it spins is read from the environment when the library is
loaded, so each variant is a process of its own, with as many threads as cores, which trains a few convolutions:
layers as small as those of an edge student. All take turns of some seconds; who has no turn is stopped (SIGSTOP):

alone
    as far as others leave the machine alone: ``others`` says how many cores they took meanwhile.
beside a busy core
    while a process of one thread computes without end.
two at once
    while a second process of the same variant does the same; a step's seconds are the mean over the steps of both.

The table has the median and the least of wall seconds a step over the turns, and processor seconds a step. It is no
part of ``run_all.py``: its ratios are those of OpenMP and of what else a machine does, not of this code.
"""

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
_LAYERS, _CHANNELS = 8, 32


class Turn(NamedTuple):
    """Some steps: wall and processor seconds a step, and how many cores others took meanwhile."""

    wall: float
    cpu: float
    others: float


class Training:
    """A process of one variant; it is stopped while it has no turn."""

    def __init__(self, variables: Mapping[str, str], threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=serve, args=(there,), daemon=True)
        kept = {key: value for key, value in os.environ.items() if key not in _SPINNING}
        with patch.dict(os.environ, {**kept, THREADS: str(threads), **variables}, clear=True):
            self._process.start()
        self.libraries: list[str] = []

    def wait_until_ready(self) -> None:
        """Until all is imported and the first steps are done."""
        self.libraries = self._pipe.recv()
        self._signal(signal.SIGSTOP)

    def begin(self, seconds: float) -> None:
        """Lets it go on, for so many seconds and one step or more."""
        self._signal(signal.SIGCONT)
        self._pipe.send(seconds)

    def end(self) -> tuple[int, float, float]:
        """How many steps it did, and their wall and processor seconds."""
        done: tuple[int, float, float] = self._pipe.recv()
        self._signal(signal.SIGSTOP)
        return done

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


def serve(asked: Connection) -> None:
    """Does steps for as many seconds as it is told, again and again, and answers with how many and their seconds."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(_LAYERS):
        layers += [nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(_CHANNELS), nn.SiLU()]
    model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    images = torch.randn(8, _CHANNELS, 48, 48).contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()

    step()
    asked.send(openmp_libraries())
    while True:
        seconds = asked.recv()
        steps, wall, cpu = 0, time.perf_counter(), time.process_time()
        while not steps or time.perf_counter() - wall < seconds:
            step()
            steps += 1
        asked.send((steps, time.perf_counter() - wall, time.process_time() - cpu))


def openmp_libraries() -> list[str]:
    """Names of the OpenMP libraries that this process has loaded: they decide which variables have an effect."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    names = {Path(line.split()[-1]).name for line in lines if "/" in line}
    return sorted(name for name in names if name.startswith(("libgomp", "libomp", "libiomp")))


def busy_seconds() -> float:
    """Processor seconds that the whole machine has worked since it started."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def take_turn(trainings: Sequence[Training], seconds: float) -> Turn:
    """One turn of one or two trainings at once."""
    before, started = busy_seconds(), time.perf_counter()
    for training in trainings:
        training.begin(seconds)
    done = [training.end() for training in trainings]
    taken = time.perf_counter() - started
    steps, wall, cpu = (sum(values) for values in zip(*done, strict=True))
    return Turn(wall / steps, cpu / steps, round((busy_seconds() - before - cpu) / taken, 2))


@contextmanager
def busy_core() -> Iterator[None]:
    """A process of one thread that computes without end."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield
        process.kill()


def measure(pairs: Mapping[str, Sequence[Training]], rounds: int, seconds: float) -> dict[str, dict[str, list[Turn]]]:
    """Turns by place and variant."""
    turns: dict[str, dict[str, list[Turn]]] = {place: {name: [] for name in pairs} for place in PLACES}
    for number in range(rounds):
        for name, (first, second) in pairs.items():
            turns["alone"][name].append(take_turn([first], seconds))
            with busy_core():
                turns["beside a busy core"][name].append(take_turn([first], seconds))
            turns["two at once"][name].append(take_turn([first, second], seconds))
            print(number, name, *(f"{by_name[name][-1].wall:.3f}" for by_name in turns.values()), flush=True)
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
    parser.add_argument("--seconds", type=float, default=5, help="of a turn; default: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: a thread a core")
    parser.add_argument("--quick", action="store_true", help="a minute on a free machine: few variants and rounds")
    parser.add_argument("--output", type=Path, default=Path("threads.json"))
    args = parser.parse_args()
    args.rounds, args.seconds = (3, 2) if args.quick else (args.rounds, args.seconds)
    variants = {name: VARIANTS[name] for name in (QUICK if args.quick else VARIANTS)}
    with ExitStack() as started:
        pairs: dict[str, list[Training]] = {}
        for name, variables in variants.items():
            pairs[name] = [Training(variables, args.threads) for _ in range(2)]
            for training in pairs[name]:
                started.callback(training.close)
        for training in (training for pair in pairs.values() for training in pair):
            training.wait_until_ready()
        before = os.getloadavg()
        turns = measure(pairs, args.rounds, args.seconds)
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
