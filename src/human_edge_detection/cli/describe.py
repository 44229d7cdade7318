"""``hed describe``: an experiment's resolved config, and what its networks cost."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from human_edge_detection.cli.arguments.experiment import add_change_arguments, given_overrides, path_argument
from human_edge_detection.files.strict_json import strict_json

if TYPE_CHECKING:
    from rich.table import Table

    from human_edge_detection.engine.model_cost import Shape

_OPERATIONS = "convolutions and matrix products, a multiply-add counted as 2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed describe``."""
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="experiment, or a file as for --config_file")
    parser.add_argument(
        "--probe",
        action="store_true",
        help="also train five steps on the experiment's data, and show time and memory of a training on this machine",
    )
    parser.add_argument(
        "--views",
        type=path_argument,
        nargs="?",
        const=Path("views.png"),
        metavar="FILE.png",
        help="also draw training views of some images, and what was done to each (default file: views.png)",
    )
    parser.add_argument("--json", action="store_true", help="write JSON and nothing else to the standard output")
    add_change_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Describes; returns 0."""
    from human_edge_detection.api.experiments import describe

    described = describe(args.config, changes=given_overrides(args), probe=args.probe, views=args.views)
    description = {**described.to_json(), "gflops_count": _OPERATIONS}
    if args.json:
        sys.stdout.write(strict_json(description, indent=2) + "\n")
    else:
        _show(description)
    return 0


def _show(description: Mapping[str, Any]) -> None:
    from human_edge_detection.console import TextConsole

    console = TextConsole(highlight=False, markup=False)
    console.print(_config_table(description["config"]))
    console.print(_cost_table(description))
    console.print(f"GFLOPs: {description['gflops_count']}; for one image, and for each roi.", soft_wrap=True)
    console.print(_shape_table(description["model"]))
    if description["epoch"] is not None:
        console.print(description["epoch"], soft_wrap=True)
    if description["probe"] is not None:
        console.print(_probe_table(description["probe"]))
    if description["views"] is not None:
        console.print(f"training views: {description['views']}", soft_wrap=True)


def _config_table(config: Mapping[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("field", "value", title=Text(config["name"]))
    table.columns[0].overflow = table.columns[1].overflow = "fold"
    for path, value in _leaves(config):
        table.add_row(Text(path), Text(value if isinstance(value, str) else json.dumps(value)))
    return table


def _leaves(fields: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _cost_table(description: Mapping[str, Any]) -> Table:
    """One column for the model, and for a distillation one for its teacher and one for their ratio."""
    from rich.table import Table

    teacher, ratios = description["teacher"], description["compression"] or {}
    models = [description["model"], *([teacher] if teacher else [])]
    table = Table("", "model", *(["teacher", "compression"] if teacher else []), title="cost")
    for column in table.columns:
        column.overflow = "fold"
    for column in table.columns[1:]:
        column.justify = "right"

    def add(label: str, key: str, cells: list[str]) -> None:
        table.add_row(label, *cells, *([f"{ratios[key]:.1f}x" if key in ratios else ""] if teacher else []))

    add("encoder", "", [model["encoder"] for model in models])
    detects = any(model["detector_parameters"] for model in models)
    labels = {"unet": "U-Net", "head": "head", **({"detector": "detector"} if detects else {}), "total": "all"}
    for part, label in labels.items():
        key = f"{part}_parameters"
        add(f"{label} parameters", key, [f"{model[key] / 1e6:.2f} M" for model in models])
    for key, label in (
        ("encoder", "encoder"),
        ("decoder", "decoder"),
        *([("detector", "detector")] if detects else []),
        ("head_per_roi", "head, each roi"),
        ("total", "one image, one roi"),
    ):
        ratio_key = "gflops" if key == "total" else ""
        add(f"GFLOPs {label}", ratio_key, [f"{model['gflops'][key]:.3f}" for model in models])
    return table


def _shape_table(model: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table("tensor", "shape", title="inputs and outputs (B images, N rois)")
    for kind in ("inputs", "outputs"):
        for name, shape in model[kind].items():
            table.add_row(f"{kind[:-1]} {name}", _shape_text(shape))
    return table


def _shape_text(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _probe_table(probe: Mapping[str, Any]) -> Table:
    """Time and memory of a training here, and what they were measured with."""
    from rich.table import Table

    from human_edge_detection.wording import duration, gib

    table = Table("training here", "", title=f"probe: {probe['steps']} training steps, after one to warm up")
    table.columns[1].overflow = "fold"
    steps, batches = probe["steps_per_epoch"], probe["validation_batches"]
    peak, available = (
        "unknown" if probe[key] is None else gib(probe[key]) for key in ("peak_bytes", "available_bytes")
    )
    holder = "of this process" if probe["device"] == "cpu" else "of its tensors on the GPU"
    for label, text in {
        "device": f"{probe['device']} ({probe['machine']}), {probe['precision']}",
        "batch size": f"{probe['batch_size']}, of {probe['training_images']} training images",
        "a step": f"{probe['seconds_per_step']:.3g} s (median)",
        "one epoch": f"about {duration(probe['seconds_per_epoch'])}: {steps} steps, {batches} batches of validation",
        f"all {probe['epochs']} epochs": f"about {duration(probe['seconds'])}, without saving and drawing",
        "peak memory": f"{peak} {holder}; {available} were available",
    }.items():
        table.add_row(label, text)
    return table
