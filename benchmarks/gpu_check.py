"""Says in ten minutes at most whether this GPU trains right and fast: run it before the first long training on one.

    uv run python benchmarks/gpu_check.py --output gpu_check.json

Each part is a process of its own with a time limit, and what it finds is a line of JSON and a row of the table, with a
verdict where there is something to hold. A part that fails or takes too long does not end the others. Without a GPU
nothing is run and the exit code is 0; ``--device cpu`` runs the parts that make sense there, on tiny networks, which
tries the script and no GPU. Exit code 1: a verdict is bad.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

PARTS = Path(__file__).with_name("gpu_parts.py")


class Part(NamedTuple):
    """What is run: a name that ``gpu_parts.py`` knows, its time limit in seconds, and whether a CPU can do it."""

    name: str
    seconds: int
    on_cpu: bool = True


ALL = (
    Part("prepare", 60),
    Part("choices", 15),
    Part("agreement", 45),
    Part("waits", 30, on_cpu=False),
    Part("repeatable", 75),
    Part("half", 40, on_cpu=False),
    Part("memory", 30, on_cpu=False),
    Part("throughput", 120),
    Part("variants", 60, on_cpu=False),
    Part("loader", 50),
    Part("epoch_end", 30),
    Part("elsewhere", 20),
)


def run_part(part: Part, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What a part found; ``error`` where it did not come to its end."""
    command = [sys.executable, str(PARTS), part.name, "--folder", str(folder), "--device", args.device]
    if args.device == "cpu":
        command.append("--tiny")
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=part.seconds * args.patience, check=False
        )
        lines = done.stdout.splitlines()
        found: dict[str, Any] = json.loads(lines[-1]) if done.returncode == 0 and lines else {}
        if done.returncode:
            found["error"] = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        found = {"error": f"not done after {part.seconds * args.patience:.0f} s"}
    return {"part": part.name, "seconds": round(time.monotonic() - started, 1), **found}


def verdicts(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, bool]]:
    """(part, what is held, whether it holds) of everything that was measured; a part with an error holds nothing."""
    rows: list[tuple[str, str, bool]] = []
    for part in found:
        if "error" in part:
            rows.append((part["part"], str(part["error"]), False))
        rows += [(part["part"], text, bool(holds)) for text, holds in part.get("verdicts", {}).items()]
    return rows


def main() -> int:
    """Runs the parts, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:N, or cpu to try the script")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in ALL], metavar="PART")
    parser.add_argument("--patience", type=float, default=1.0, help="times the time limits")
    parser.add_argument("--output", type=Path, default=Path("gpu_check.json"))
    args = parser.parse_args()
    console = Console()
    if args.device != "cpu" and not _gpu_is_there():
        console.print("skipped: PyTorch sees no CUDA device here (hed doctor says why)")
        return 0
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="gpu_check_") as name:
        for part in ALL:
            wanted = args.only is None or part.name in args.only or part.name == "prepare"
            if wanted and (part.on_cpu or args.device != "cpu"):
                found.append(run_part(part, Path(name), args))
                console.print_json(data=found[-1], indent=None)
    args.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    table = Table("part", "held", "verdict")
    rows = verdicts(found)
    for part_name, text, holds in rows:
        table.add_row(part_name, text, "good" if holds else "BAD")
    console.print(table)
    return int(not all(holds for _, _, holds in rows))


def _gpu_is_there() -> bool:
    """Asked of another process: this one must hold no memory of the GPU."""
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", code], env={**os.environ}, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
