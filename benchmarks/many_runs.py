"""What thousands of run folders cost: the comparison, ``hed status``, ``hed report``, and planning a sweep.

    uv run python benchmarks/many_runs.py --output many_runs.json

Three real runs, a teacher, a student and a distilled one, are trained for two epochs on drawn data, with 200
validation images (``--template DIR`` takes the output folder of an earlier start instead). Their folders are then
multiplied: other seeds, settings, scores and weights, 20 epochs of history, and as many files as a run of such length
leaves. Of a hundred runs two say that they are running, one has failed, and of one a file is cut off. Checkpoints have
their size and no content, which only those who hash them would notice.

Times are processor seconds of one process, its start included where it is a command.

comparison
    ``write_comparison``: what ``hed run`` writes at its end, and ``hed compare`` without names.
status
    The command ``hed status``.
report
    ``write_page``: what ``hed report`` writes; also the size of the page.
planning
    ``hed run --dry_run`` of a sweep of so many runs, none of which is there.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from measuring import cpu_seconds, exponent, in_a_process, machine

ROOT = Path(__file__).parents[1]
TEACHER, STUDENT, DISTILLED = "quickstart_teacher_b3", "quickstart_student_b0", "quickstart_distilled_b0_from_b3"
SEEDS = 5
"""Runs of one folder; so many folders are a fifth of the runs."""
EPOCHS = 20
AIMS = {"comparison": 10.0, "status": 2.0, "report": 20.0}
"""Seconds for 10,000 runs."""
COPIED = ("provenance.json", "training_views.json", "results.csv", "progress.png", "logs", "visualizations")
SIZED = ("best_model.pth", "best_model.onnx", "latest.pth", "untrained_model.pth")


def train_template(folder: Path, *, quick: bool) -> Path:
    """Three real runs; returns the folder that they are in."""
    images = "{train_images: 8, val_images: 24}" if quick else "{train_images: 16, val_images: 200}"
    command = [sys.executable, "-m", "human_edge_detection", "run", "--configs", STUDENT, DISTILLED]
    command += ["--epochs", "1" if quick else "2", "--set", f"data.sample={images}"]
    command += ["--output_dir", str(folder / "experiments"), *([] if quick else ["--export_onnx"])]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "experiments"


class Room(NamedTuple):
    """Of a disk, bytes."""

    total: int
    used: int
    free: int


# --- multiplied folders ---


def make_runs(template: Path, output_dir: Path, count: int) -> Path:
    """``count`` run folders; those of seeds lie together, students and distilled ones by turns."""
    if output_dir.is_dir():
        return output_dir
    teacher = output_dir / TEACHER
    shutil.copytree(template / TEACHER, teacher)
    models = {name: Model(template / name, teacher) for name in (STUDENT, DISTILLED)}
    for number in range(count - 1):
        group, seed = divmod(number, SEEDS)
        name = (STUDENT, DISTILLED)[group % 2]
        models[name].write(output_dir / f"{name}+{group // 2:08x}" / f"seed_{seed}", number, seed, group // 2)
    return output_dir


class Model:
    """One trained run, to be written again and again as others."""

    def __init__(self, folder: Path, teacher: Path) -> None:
        self.folder = folder
        self.teacher = teacher
        names = ("config", "contents", "status", "result", "parity", "latency")
        files = {name: folder / f"{name}.json" for name in names}
        self.fields = {name: json.loads(file.read_bytes()) for name, file in files.items() if file.is_file()}
        self.counted = {name: (folder / name).read_text() for name in ("per_image.json", "predictions.json")}
        self.summary = json.loads((folder / "checkpoints" / "best_model.json").read_bytes())
        self.epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    def write(self, root: Path, number: int, seed: int, variant: int) -> None:
        """The run with this ``seed`` and the ``variant``th learning rate."""
        checkpoints = root / "checkpoints"
        checkpoints.mkdir(parents=True)
        sha256 = hashlib.sha256(str(number).encode()).hexdigest()
        miou = round(0.2 + int(sha256[:8], 16) / 2**33, 6)
        for name, fields in self.changed(sha256, miou, seed, variant, number).items():
            (root / f"{name}.json").write_text(json.dumps(fields, indent=2))
        history = [self.epochs[epoch % len(self.epochs)] | {"epoch": epoch + 1} for epoch in range(EPOCHS)]
        (root / "metrics.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in history))
        for name, text in self.counted.items():
            (root / name).write_text(text.replace(self.summary["sha256"], sha256))
        summary = self.summary | {"sha256": sha256, "metrics": {**self.summary["metrics"], "miou": miou}}
        for name in ("best_model", "latest", *(f"checkpoint_epoch_{epoch:04d}" for epoch in (EPOCHS - 1, EPOCHS))):
            (checkpoints / f"{name}.json").write_text(json.dumps(summary))
        for name in SIZED:
            if (self.folder / "checkpoints" / name).is_file():
                with (checkpoints / name).open("wb") as file:  # a hole: as large as the file, and takes no room
                    file.truncate((self.folder / "checkpoints" / name).stat().st_size)
        self.link(root)
        if number % 100 == 3:
            (root / "result.json").write_text('{"experiment": ')

    def changed(self, sha256: str, miou: float, seed: int, variant: int, number: int) -> dict[str, dict[str, Any]]:
        fields: dict[str, dict[str, Any]] = json.loads(json.dumps(self.fields))
        fields["config"]["training"] |= {"seed": seed, "learning_rate": 1e-3 * (1 + variant / 1e6)}
        if fields["config"]["distillation"]:
            fields["config"]["distillation"]["teacher_checkpoint"] = str(self.teacher / "checkpoints/best_model.pth")
            fields["result"]["teacher_checkpoint"] = str(self.teacher / "checkpoints/best_model.pth")
        fields["result"] |= {"seed": seed, "metrics": {**fields["result"]["metrics"], "miou": miou}}
        state = {0: "running", 1: "running", 2: "failed"}.get(number % 100, "finished")
        fields["status"] |= {"state": state, "error": "loss is not finite" if state == "failed" else None}
        if state != "finished":
            del fields["result"]
        if "parity" in fields:
            fields["parity"]["checkpoint_sha256"] = sha256
        return fields

    def link(self, root: Path) -> None:
        """What is equal in all runs; a link costs whoever opens it the same as a file."""
        for name in COPIED:
            source = self.folder / name
            if source.is_dir():
                shutil.copytree(source, root / name, copy_function=os.link)
            elif source.is_file():
                os.link(source, root / name)


# --- what is measured ---


def processor_seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def of_comparison(output_dir: Path) -> float:
    from human_edge_detection.runner.comparison.table import write_comparison

    return processor_seconds(lambda: write_comparison(output_dir))


def of_report(output_dir: Path) -> float:
    from human_edge_detection.runner.report.page import write_page

    return processor_seconds(lambda: write_page(output_dir))


def of_status(output_dir: Path) -> float:
    return cpu_seconds([sys.executable, "-m", "human_edge_detection", "status", str(output_dir)])


def of_planning(runs: int, output_dir: Path) -> float:
    from human_edge_detection.cli.main import main as main_of_hed

    alphas = ",".join(f"{number / (runs + 1):.6f}" for number in range(1, runs + 1))
    command = ["run", "--configs", DISTILLED, "--output_dir", str(output_dir), "--dry_run"]
    command += ["--sweep", f"distillation.alpha={alphas}"]

    def plan() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            code = main_of_hed(command)
        assert code == 0

    with patch("shutil.disk_usage", return_value=Room(1 << 60, 0, 1 << 60)):  # else ten thousand runs do not fit here
        return processor_seconds(plan)


def measure(template: Path, folder: Path, counts: list[int]) -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {name: [] for name in (*AIMS, "planning", "page MB")}
    print(f"{'runs':>8}{'comparison':>12}{'status':>9}{'report':>9}{'planning':>10}{'page MB':>9}")
    for count in counts:
        output_dir = make_runs(template, folder / str(count) / "experiments", count)
        rows["comparison"].append(in_a_process(of_comparison, output_dir))
        rows["status"].append(of_status(output_dir))
        rows["report"].append(in_a_process(of_report, output_dir))
        rows["planning"].append(in_a_process(of_planning, count, folder / "none"))
        rows["page MB"].append((output_dir / "report.html").stat().st_size / 1e6)
        last = {name: values[-1] for name, values in rows.items()}
        print("{:8d}{comparison:12.2f}{status:9.2f}{report:9.2f}{planning:10.2f}{page MB:9.1f}".format(count, **last))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--template", type=Path, help="output folder of a batch with the three runs")
    parser.add_argument("--quick", action="store_true", help="two minutes: smaller sizes, no export")
    parser.add_argument("--output", type=Path, default=Path("many_runs.json"))
    args = parser.parse_args()
    counts = [200, 800] if args.quick else args.runs
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = str(Path(name) / "cache")
        template = args.template or train_template(Path(name), quick=args.quick)
        rows = measure(template, Path(name), counts)
    # Below 1 it says how much of the cost is constant, which is nothing to defend.
    names = (*AIMS, "planning")
    ratios = {f"exponent of {name}": max(1.0, exponent(counts, rows[name])) for name in names if len(counts) > 1}
    result = {
        "machine": machine(),
        "arguments": vars(args),
        "runs": counts,
        "seconds": rows,
        "aims for 10,000 runs": AIMS,
        "ratios": ratios,
        "lower_is_better": list(ratios),
    }
    args.output.write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
