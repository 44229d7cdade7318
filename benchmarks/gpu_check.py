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
import re
import signal
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
    """What a part found, up to where it came; ``error`` where it did not come to its end."""
    command = [sys.executable, str(PARTS), part.name, "--folder", str(folder), "--device", args.device]
    if args.device == "cpu":
        command.append("--tiny")
    started = time.monotonic()
    output, said, code = run_within(command, part.seconds * args.patience)
    found = last_json(output)
    if code is None:
        found["error"] = f"not done after {part.seconds * args.patience:.0f} s"
    elif code:
        found["error"] = the_error(said) or f"exit code {code}"
    return {"part": part.name, "seconds": round(time.monotonic() - started, 1), **found}


def run_within(command: Sequence[str], seconds: float) -> tuple[str, str, int | None]:
    """Standard output, standard error and exit code; None: it took longer, and was killed with all its children.

    A child that went on would take the GPU from the parts that follow.
    """
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        try:
            output, said = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            output, said = child.communicate()
            return output, said, None
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    return output, said, child.returncode


def the_error(said: str) -> str | None:
    """The line of a traceback that names the error; after it, PyTorch may have advice. Else the last line."""
    lines = said.strip().splitlines()
    return next(
        (line for line in reversed(lines) if re.match(r"[\w.]+(Error|Exception)\b", line)), next(reversed(lines), None)
    )


def last_json(output: str) -> dict[str, Any]:
    """The last whole line of ``output``; a part says after each of its sizes what it has found so far."""
    for line in reversed(output.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


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
    parser.add_argument("--patience", type=float, default=1.0, help="times the time limits (default: 1)")
    parser.add_argument("--output", type=Path, default=Path("gpu_check.json"), help="default: gpu_check.json")
    args = parser.parse_args()
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", args.device):
        parser.error(f"--device: expected cpu, cuda or cuda:N, got {args.device!r}")
    if not args.patience > 0.0:
        parser.error(f"--patience: expected more than 0, got {args.patience}")
    if args.output.is_dir() or not args.output.resolve().parent.is_dir():
        parser.error(f"--output {args.output}: not a file in a folder that there is")
    for number in (signal.SIGTERM, signal.SIGHUP):  # as at Ctrl-C, the part under way is ended too
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    console = Console()
    count = 0 if args.device == "cpu" else _gpus()
    if args.device != "cpu" and not count:
        console.print("skipped: PyTorch sees no CUDA device here (hed doctor says why)")
        return 0
    if int(args.device.partition(":")[2] or 0) >= max(count, 1):
        parser.error(f"--device {args.device}: PyTorch sees {count} CUDA devices here, cuda:0 to cuda:{count - 1}")
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


def _gpus() -> int:
    """How many there are. Asked of another process: this one must hold no memory of a GPU."""
    code = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
    asked = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return int(asked.stdout)


if __name__ == "__main__":
    sys.exit(main())
