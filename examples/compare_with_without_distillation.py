"""Does distillation help? Trains a teacher and one student twice, without and with the teacher, and draws the answer.

    uv run python examples/compare_with_without_distillation.py

needs no data: it draws its own images of people. It ends in results/distillation_comparison.png and .json, which has
the paired statistics of ``hed compare``: the difference of each metric with its 95 % interval, from the same images
and seeds. Given again, it goes on where it stopped, or draws anew what is there. For your own images add
``--data_root DIR --epochs 50``, and ``--seeds 0 1 2``: one seed says little.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt

import human_edge_detection as hed

# Student and distilled student differ in the distillation section alone: the gain is that of distillation.
EXPERIMENTS = {
    "quickstart_teacher_b3": "teacher (B3)",
    "quickstart_student_b0": "student (B0)",
    "quickstart_distilled_b0_from_b3": "distilled student",
}
COLORS = ("#7f7f7f", "#1f77b4", "#d62728")
METRICS = {
    "miou": "mIoU",
    "iou_target": "IoU of the person",
    "iou_nontarget": "IoU of others",
    "boundary_f1": "boundary F1",
}


def train(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Trains the three, each in a process of its own, the teacher first; returns their rows of the comparison."""
    changes: dict[str, Any] = {} if args.epochs is None else {"training.epochs": args.epochs}
    if args.data_root is None:
        images = 12 if args.quick else 48
        changes |= {"data.sample": {"train_images": images, "val_images": images // 3}, "model.image_size": [64, 64]}
    else:
        changes["data.root"] = args.data_root
    result = hed.run_experiments(EXPERIMENTS, changes=changes, seeds=args.seeds, output_dir=args.results / "runs")
    if not result.good:
        raise SystemExit("\n".join(f"{run.name}: {run.state}: {run.error}" for run in result.outcomes if run.error))
    names = {outcome.name for outcome in result.outcomes}
    return [row for row in result.rows if row["run"] in names]


def summarise(rows: list[dict[str, Any]], runs: Path) -> dict[str, Any]:
    """Metrics and learning curves of the three, seed by seed."""
    experiments = {}
    for name, title in EXPERIMENTS.items():
        own = [row for row in rows if row["experiment"] == name]
        curves = [(runs / row["run"] / "metrics.jsonl").read_text().splitlines() for row in own]
        experiments[name] = {
            "title": title,
            "parameters": own[0]["total_parameters"],
            "seeds": [row["seed"] for row in own],
            "metrics": {metric: [row[metric] for row in own] for metric in METRICS},
            "curves": [[json.loads(line)["val/miou"] for line in curve] for curve in curves],
        }
    return {"experiments": experiments, "paired": compare(rows, runs)}


def compare(rows: list[dict[str, Any]], runs: Path) -> dict[str, Any]:
    """The distilled student against its control, seed by seed and image by image."""
    _, control, method = (
        [str(runs / row["run"]) for row in rows if row["experiment"] == experiment] for experiment in EXPERIMENTS
    )
    # Both students of a seed start from the same weights and see the same images in the same order; of several seeds,
    # the folder above them is named.
    named = [one[0] if len(one) == 1 else str(Path(one[0]).parent) for one in (method, control)]
    report = hed.compare(named[0], against=named[1], output_dir=runs, output=runs.parent / "paired")
    return report.comparison.to_json()


def gain_in_words(paired: dict[str, Any]) -> str:
    """What distillation gained in mIoU over all validation images, and how sure that is."""
    (line,) = (line for line in paired["lines"] if (line["metric"], line["slice"]) == ("miou", "all"))
    gain = line["difference"]
    interval = "" if gain["low"] is None else f" (95 % interval {gain['low']:+.4f} to {gain['high']:+.4f})"
    return f"{gain['mean']:+.4f}{interval}, {gain['verdict']}"


def draw(comparison: dict[str, Any], file: Path) -> None:
    """Bars of the metrics (the mean over seeds; a dot is one seed), and mIoU after each epoch."""
    figure, (bars, curves) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for place, (experiment, color) in enumerate(zip(comparison["experiments"].values(), COLORS, strict=True)):
        for position, values in enumerate(experiment["metrics"].values()):
            if None in values:  # a metric that these data have no answer to
                continue
            x, mean = position + (place - 1) * 0.27, statistics.fmean(values)
            bars.bar(x, mean, 0.25, color=color, label=None if position else experiment["title"])
            bars.plot([x] * len(values), values, "k.", markersize=4)
            bars.annotate(f"{mean:.3f}", (x, max(values)), ha="center", va="bottom", fontsize=8)
        for number, curve in enumerate(experiment["curves"]):
            epochs = range(1, len(curve) + 1)
            curves.plot(
                epochs, curve, color=color, marker="o", markersize=3, label=None if number else experiment["title"]
            )
    bars.set_xticks(range(len(METRICS)), METRICS.values())
    bars.margins(y=0.1)
    bars.set_title("validation, best epoch")
    bars.legend()
    curves.xaxis.get_major_locator().set_params(integer=True)
    curves.set(xlabel="epoch", ylabel="mIoU", title="learning curves")
    curves.grid(alpha=0.3)
    figure.suptitle(f"gain of distillation in mIoU: {gain_in_words(comparison['paired'])}")
    figure.savefig(file, dpi=120)


def main() -> None:
    """Trains, compares, draws."""
    parser = argparse.ArgumentParser(description="Compare a student with and without distillation.")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where everything goes (%(default)s)")
    parser.add_argument("--data_root", help="your images; default: drawn ones")
    parser.add_argument("--epochs", type=int, help="default: 8 for the teacher, 6 for the students")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--quick", action="store_true", help="so few images that only the machinery is tried")
    args = parser.parse_args()
    hed.setup_logging()
    rows = train(args)
    comparison = summarise(rows, args.results / "runs")
    file = args.results / "distillation_comparison.json"
    file.write_text(json.dumps(comparison, indent=2) + "\n")
    draw(comparison, file.with_suffix(".png"))
    print(f"gain of distillation in mIoU: {gain_in_words(comparison['paired'])}")
    print(f"written: {file.with_suffix('.png')} and {file}")


if __name__ == "__main__":
    try:
        main()
    except hed.HumanEdgeDetectionError as error:
        raise SystemExit(f"error: {error}") from None
