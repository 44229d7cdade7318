"""What a user waits for before anything happens: help, lists, a typo, the first step of a training, an export.

    uv run python benchmarks/startup.py --output startup.json

Each in a process of its own, the least of the rounds; what is compared takes turns. What a start costs depends on disk
and processor, and most of it is imports: so a ratio is to an import, of pydantic or of all that models need.

help, list_configs, typo
    CPU seconds of the commands. The typo is in the name of an experiment.
first step
    Wall seconds from the launch of ``hed train`` to the end of its first step, on drawn people: B0 alone or distilled
    from a B3, which is measured on the validation data first; the data are there already, or to be drawn.
export
    Wall seconds of ``hed export`` of B0 and of B3 with weights as they are before training.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from measuring import Seconds, cpu_seconds, machine

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "hed --help": ["-m", "human_edge_detection", "--help"],
    "hed train --help": ["-m", "human_edge_detection", "train", "--help"],
    "hed train typo": ["-m", "human_edge_detection", "train", "--config", "quickstart_studnet_b0"],
    "hed evaluate --help": ["-m", "human_edge_detection", "evaluate", "--help"],
    "run_experiments.py --help": ["run_experiments.py", "--help"],
    "run_experiments.py --list_configs": ["run_experiments.py", "--list_configs"],
    "run_experiments.py typo": ["run_experiments.py", "--configs", "quickstat"],
    "train_advanced.py --help": ["train_advanced.py", "--help"],
    "train_advanced.py --list_configs": ["train_advanced.py", "--list_configs"],
}
# As `hed train`, but the end of its first step is the end of it.
FIRST_STEP = """
import os, sys
from human_edge_detection.cli.main import main
from human_edge_detection.engine.training.trainer import Trainer
step = Trainer.train_step
def first_step(*arguments):
    step(*arguments)
    os._exit(77)
Trainer.train_step = first_step
sys.exit(main(sys.argv[1:]))
"""
SMALL_BASE, LARGE_BASE = "import pydantic", "import segmentation_models_pytorch"
STUDENT, DISTILLED, TEACHER = "quickstart_student_b0", "quickstart_distilled_b0_from_b3", "quickstart_teacher_b3"
SAVE_UNTRAINED = """
import sys
from dataclasses import replace
from pathlib import Path
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.experiments.registry import get_config
config = get_config(sys.argv[1])
save_checkpoint(Path(sys.argv[2]), Checkpoint(config, build_model(config.model).state_dict(), 0, {}, "untrained"))
"""

Task = Callable[[], float]


def wall_seconds(arguments: list[str], *, expected: int) -> float:
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode != expected:
        raise SystemExit(f"{arguments[1:]} ended with {done.returncode}:\n{done.stderr}")
    return seconds


class Folder:
    """Where trainings and exports happen."""

    def __init__(self, root: Path, *, few_pictures: bool) -> None:
        self.runs = root / "runs"
        self.checkpoints = {name: root / name / "checkpoints" / "best_model.pth" for name in (STUDENT, TEACHER)}
        self.sample = ["--set", "data.sample={train_images: 16, val_images: 4}"] if few_pictures else []

    def save_untrained(self) -> None:
        for name, path in self.checkpoints.items():
            path.parent.mkdir(parents=True)
            wall_seconds(["-c", SAVE_UNTRAINED, name, str(path)], expected=0)

    def first_step(self, name: str, *, cached: bool) -> float:
        shutil.rmtree(self.runs / "experiments", ignore_errors=True)
        if not cached:
            shutil.rmtree(self.runs, ignore_errors=True)
        arguments = ["train", "--config", name, "--output_dir", str(self.runs / "experiments"), *self.sample]
        if name == DISTILLED:
            arguments += ["--teacher_checkpoint", str(self.checkpoints[TEACHER])]
        return wall_seconds(["-c", FIRST_STEP, *arguments], expected=77)

    def export(self, name: str) -> float:
        data = next((self.runs / "sample_data").iterdir())
        arguments = ["export", "--checkpoint", str(self.checkpoints[name]), "--data_root", str(data)]
        return wall_seconds(["-m", "human_edge_detection", *arguments], expected=0)


def wall_tasks(folder: Folder, *, quick: bool) -> dict[str, Task]:
    tasks: dict[str, Task] = {
        LARGE_BASE: partial(wall_seconds, ["-c", LARGE_BASE], expected=0),
        "first step, B0": partial(folder.first_step, STUDENT, cached=True),
    }
    if quick:
        return tasks
    return tasks | {
        "first step, B0 from B3": partial(folder.first_step, DISTILLED, cached=True),
        "first step, B0, data to be drawn": partial(folder.first_step, STUDENT, cached=False),
        "export, B0": partial(folder.export, STUDENT),
        "export, B3": partial(folder.export, TEACHER),
    }


def measure(tasks: Mapping[str, Task], rounds: int) -> Seconds:
    """Like ``take_turns``, for tasks that measure themselves."""
    taken = [[task() for task in tasks.values()] for _ in range(rounds)]
    return dict(zip(tasks, map(list, zip(*taken, strict=True)), strict=True))


def show(seconds: Seconds, kind: str) -> dict[str, float]:
    """Prints the least, as other work only ever adds; returns the ratios to the first, the base."""
    base = next(iter(seconds))
    ratios = {name: min(taken) / min(seconds[base]) for name, taken in seconds.items()}
    print(f"{'':40}{kind:>12}  x {base}")
    for name, taken in seconds.items():
        print(f"{name:40}{min(taken):12.2f}{ratios[name]:10.2f}")
    return {f"{name} / {base}": ratio for name, ratio in ratios.items() if name != base}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="under a minute: few pictures, no teacher, no export")
    parser.add_argument("--output", type=Path, default=Path("startup.json"))
    args = parser.parse_args()
    args.rounds = 2 if args.quick else args.rounds
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = str(Path(name) / "cache")
        commands = {SMALL_BASE: ["-c", SMALL_BASE]} | COMMANDS
        cpu = {name: partial(cpu_seconds, [sys.executable, *words], cwd=ROOT) for name, words in commands.items()}
        folder = Folder(Path(name), few_pictures=args.quick)
        if not args.quick:
            folder.save_untrained()
        of_commands = measure(cpu, args.rounds + 1)
        folder.first_step(STUDENT, cached=False)
        of_runs = measure(wall_tasks(folder, quick=args.quick), args.rounds)
    ratios = show(of_commands, "CPU seconds") | show(of_runs, "seconds")
    result = {
        "machine": machine(),
        "arguments": vars(args),
        "cpu_seconds": {name: min(taken) for name, taken in of_commands.items()},
        "seconds": {name: min(taken) for name, taken in of_runs.items()},
        "ratios": ratios,
        "lower_is_better": list(ratios),
    }
    args.output.write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
