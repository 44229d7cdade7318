"""Draws ``docs/figures/*.png`` of the distillation guide.

    uv run python run_experiments.py --configs quickstart
    uv run python docs/make_figures.py

The figure of the temperature shows logits of the quickstart's teacher, on the first validation image with persons; the
others need nothing. ``--only`` draws some of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("agg")
import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

import human_edge_detection as hed
from human_edge_detection.engine.teaching.distillation_schedule import Curve, adaptive_alpha, scheduled

FOLDER: Final = Path(__file__).parent / "figures"
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#e69f00", "#009e73", "#777777"
CLASSES: Final = (("background", GREY), ("this person", BLUE), ("other people", ORANGE))
TEMPERATURES: Final = (1.0, 2.0, 4.0, 8.0)


def main() -> None:
    """Draws what is asked for."""
    figures: Mapping[str, Callable[[argparse.Namespace], None]] = {
        "architecture": lambda _: architecture(),
        "loss_terms": lambda _: loss_terms(),
        "schedules": lambda _: schedules(),
        "temperature": lambda args: temperature(args.teacher, args.data_root),
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=figures, default=list(figures))
    parser.add_argument("--teacher", default="quickstart_teacher_b3", help="run, run folder or checkpoint")
    parser.add_argument("--data_root", type=Path, help="default: the drawn data of the quickstart in sample_data")
    args = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name in args.only:
        figures[name](args)


def architecture() -> None:
    """From an image and boxes to the outputs of the network."""
    figure, axes = plt.subplots(figsize=(9.6, 3.6))
    axes.set(xlim=(0, 96), ylim=(0, 36))
    axes.axis("off")
    _box(axes, (1, 22, 11, 9), "image", GREY)
    _box(axes, (1, 4, 11, 9), "boxes\n(rois)", GREY)
    _box(axes, (17, 20, 20, 13), "encoder, decoder\nU-Net or feature pyramid,\nonce for the image", BLUE)
    _box(axes, (43, 4, 16, 11), "RoIAlign\nimage, features and\nperson logit, each box", BLUE)
    _box(axes, (64, 4, 12, 11), "head\na small U-Net\nfor each box", BLUE)
    _box(axes, (80, 0.5, 15.5, 18), "main\nbg_fg\ntarget_nontarget\n(contour, distance)", GREEN)
    _box(axes, (80, 22, 15.5, 11), "full_image\n(detector: centres,\nboxes of persons)", GREEN)
    for start, end in (
        ((12, 26.5), (17, 26.5)),
        ((12, 8.5), (43, 8.5)),
        ((37, 23), (47, 15)),
        ((37, 28), (80, 28)),
        ((59, 9.5), (64, 9.5)),
        ((76, 9.5), (80, 9.5)),
    ):
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "#333333"})
    _save(figure, "architecture")


def loss_terms() -> None:
    """From an image to the loss: which part gives which term."""
    figure, axes = plt.subplots(figsize=(9.6, 4.6))
    axes.set(xlim=(0, 96), ylim=(-3, 46))
    axes.axis("off")
    _box(axes, (1, 16, 14, 13), "image\nboxes (rois)\nannotations", GREY)
    _box(axes, (24, 27, 20, 15), "teacher\nfrozen, from its\nown checkpoint", ORANGE)
    _box(axes, (24, 4, 20, 15), "student\nlearns", BLUE)
    heads = "main   bg_fg\ntarget_nontarget\nfull_image   (detector)"
    _box(axes, (50, 27, 19, 15), f"logits of the heads\n{heads}", ORANGE)
    _box(axes, (50, 4, 19, 15), f"logits of the heads\n{heads}", BLUE)
    _box(axes, (76, 22, 19, 14), "soft = alpha x L_distill\nKL of softened logits,\neach head x its weight", ORANGE)
    _box(axes, (76, 2, 19, 14), "hard = (1 - alpha) x L_base\ncross-entropy, Dice ...\neach head x its weight", BLUE)
    for start, end in (
        ((15, 24), (24, 34)),
        ((15, 21), (24, 12)),
        ((44, 34), (50, 34)),
        ((44, 11), (50, 11)),
        ((69, 34), (76, 31)),
        ((69, 14), (76, 25)),
        ((69, 10), (76, 9)),
    ):
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "#333333"})
    axes.plot((8, 8, 85), (16, -1.5, -1.5), color=GREY, lw=1)
    axes.annotate("", (85, 2), (85, -1.7), arrowprops={"arrowstyle": "-|>", "color": GREY})
    axes.text(45, -1.1, "labels from the annotations", color="#444444", fontsize=8, ha="center", va="bottom")
    axes.text(85.5, 19, "+", fontsize=16, ha="center", va="center")
    axes.text(85.5, 40, "total = soft + hard", fontsize=10, ha="center", weight="bold")
    _save(figure, "loss_terms")


def _box(axes: Axes, place: tuple[float, float, float, float], text: str, colour: str) -> None:
    left, bottom, width, height = place
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom), width, height, boxstyle="round,pad=0,rounding_size=1", fc="white", ec=colour, lw=2
        )
    )
    axes.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=8.5, linespacing=1.5)


def schedules() -> None:
    """Temperature over epochs for each curve, and adaptive alpha over the student's share of the teacher's score."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.2))
    curves: tuple[tuple[Curve, str, str], ...] = (
        ("linear", BLUE, "-"),
        ("cosine", ORANGE, "--"),
        ("exponential", GREEN, ":"),
        ("constant", GREY, "-."),
    )
    for curve, colour, style in curves:
        values = [scheduled(curve, 4.0, 1.0, epoch=epoch, epochs=50) for epoch in range(50)]
        left.plot(range(1, 51), values, style, color=colour, label=curve, lw=2)
    left.set(xlabel="epoch of 50", ylabel="temperature", title="temperature_schedule: from 4 to end: 1")
    left.legend(frameon=False)
    shares = np.linspace(0.6, 1.1, 200)
    alphas = [adaptive_alpha(share, 1.0, low=0.1, high=0.9, from_share=0.8) for share in shares]
    right.plot(100 * shares, alphas, color=BLUE, lw=2)
    right.set(
        xlabel="student's mIoU, % of the teacher's", ylabel="alpha", title="adaptive_alpha: its defaults", ylim=(0, 1)
    )
    _save(figure, "schedules")


def temperature(teacher: str, data_root: Path | None) -> None:
    """Softened classes of two pixels of a teacher's logits, this person and another, at several temperatures."""
    image, box = _first_person(data_root or next(Path("sample_data").iterdir()))
    model = hed.load_model(teacher)
    height, width = 96, 96
    pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    images = torch.from_numpy(pixels).float()[None] / 255.0
    with torch.no_grad():
        logits = model(images, torch.tensor([[0.0, *box]])).logits[0]
    probabilities = logits.softmax(dim=0)
    sure = int(probabilities[1].argmax())
    other = int(probabilities[2].argmax())
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.2), gridspec_kw={"width_ratios": (0.8, 1, 1)})
    axes[0].imshow(probabilities[1].numpy(), cmap="cividis", vmin=0, vmax=1)
    axes[0].set(title="probability of this person (T = 1)", xticks=[], yticks=[])
    columns = logits.shape[-1]
    for name, pixel, axis in (("a", sure, axes[1]), ("b", other, axes[2])):
        axes[0].annotate(
            name,
            (pixel % columns, pixel // columns),
            color="white",
            weight="bold",
            ha="center",
            va="center",
            bbox={"boxstyle": "circle,pad=0.2", "fc": "black", "ec": "white"},
        )
        values = logits.flatten(1)[:, pixel]
        for number, (label, colour) in enumerate(CLASSES):
            heights = [float((values / t).softmax(dim=0)[number]) for t in TEMPERATURES]
            places = np.arange(len(TEMPERATURES)) + 0.27 * (number - 1)
            axis.bar(places, heights, 0.25, color=colour, label=label)
        shown = ", ".join(f"{value:.1f}" for value in values.tolist())
        axis.set(
            title=f"pixel {name}, logits {shown}",
            ylim=(0, 1),
            ylabel="probability",
            xticks=range(len(TEMPERATURES)),
            xticklabels=[f"T = {t:g}" for t in TEMPERATURES],
        )
    axes[2].legend(frameon=False, fontsize=8)
    _save(figure, "temperature")


def _first_person(data_root: Path) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], tuple[float, ...]]:
    """The first validation image that has two persons or more, RGB, and the box of its largest, as fractions."""
    data = json.loads((data_root / "annotations" / "instances_val_person.json").read_text(encoding="utf-8"))
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        if not annotation["iscrowd"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
    entry = next(image for image in data["images"] if len(by_image.get(image["id"], ())) > 1)
    x, y, width, height = max(by_image[entry["id"]], key=lambda annotation: annotation["area"])["bbox"]
    pixels = cv2.imread(str(data_root / "images" / "val" / entry["file_name"]))
    if pixels is None:
        raise FileNotFoundError(entry["file_name"])
    across, down = entry["width"], entry["height"]
    box = (x / across, y / down, (x + width) / across, (y + height) / down)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8), box


def _save(figure: Any, name: str) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(9)
    figure.tight_layout()
    figure.savefig(FOLDER / f"{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
