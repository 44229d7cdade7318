"""``hed evaluate``: every metric of a checkpoint, COCO mask AP included."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from human_edge_detection.cli.arguments.checkpoint import add_checkpoint_arguments, given_checkpoint, given_split
from human_edge_detection.cli.arguments.experiment import output_file
from human_edge_detection.errors import ConfigError

if TYPE_CHECKING:
    from human_edge_detection.engine.evaluation.evaluate_checkpoint import Evaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed evaluate``."""
    add_checkpoint_arguments(parser, ["train", "val"])
    parser.add_argument("--split", choices=("train", "val"), default="val", help="default: %(default)s")
    parser.add_argument("--batch_size", type=int, default=4, metavar="N", help="images in a batch (default: 4)")
    parser.add_argument("--num_workers", type=int, default=1, metavar="N", help="processes that load (default: 1)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.add_argument(
        "--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="arithmetic (default: auto)"
    )
    parser.add_argument("--json", type=output_file, metavar="OUT", help="also write everything to this JSON file")


def run(args: argparse.Namespace) -> int:
    """Evaluates; returns 0."""
    _check(args)
    checkpoint = given_checkpoint(args)
    data = given_split(args, args.split)
    from human_edge_detection.engine.checkpoints.load import load_trained, read_annotations_for
    from human_edge_detection.engine.device import choose_device, choose_precision
    from human_edge_detection.engine.evaluation.evaluate_checkpoint import evaluate_checkpoint
    from human_edge_detection.files.write import write_json

    device = choose_device(args.device)
    trained = load_trained(checkpoint)
    people = read_annotations_for(trained, args.split, data)
    evaluation = evaluate_checkpoint(
        trained,
        people,
        batch_size=args.batch_size,
        device=device,
        precision=choose_precision(args.precision, device),  # measured the first time, so mistakes are found before
        num_workers=args.num_workers,
    )
    _show(evaluation)
    if args.json is not None:
        write_json(args.json, evaluation.to_json())
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.batch_size < 1:
        raise ConfigError(f"--batch_size: expected at least 1, got {args.batch_size}")
    if not 0 <= args.num_workers <= 64:
        raise ConfigError(f"--num_workers: expected 0 to 64, got {args.num_workers}")


def _show(evaluation: Evaluation) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "value", title=f"{evaluation.experiment}, epoch {evaluation.epoch}")
    table.columns[1].justify = "right"
    for name, value in evaluation.metrics.items():
        table.add_row(name, "-" if value is None else f"{value:.4f}")
    console = Console()
    console.print(table)
    console.print(
        f"{evaluation.images} images, {evaluation.persons} persons of {evaluation.annotations}; "
        f"{evaluation.device}, {evaluation.precision}; AP is of masks in the true boxes",
        soft_wrap=True,
        highlight=False,
    )
