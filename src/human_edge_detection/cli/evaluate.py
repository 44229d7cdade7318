"""``hed evaluate``: every metric of trained models, COCO mask AP included."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from human_edge_detection.cli.arguments.checkpoint import add_checkpoint_arguments, given_models, given_split
from human_edge_detection.cli.arguments.experiment import output_file

if TYPE_CHECKING:
    from human_edge_detection.engine.evaluation.evaluate_checkpoint import Evaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed evaluate``."""
    add_checkpoint_arguments(parser, ["train", "val"])
    parser.add_argument("--split", choices=("train", "val"), default="val", help="default: %(default)s")
    parser.add_argument("--batch_size", type=int, default=4, metavar="N", help="images in a batch (default: 4)")
    parser.add_argument(
        "--num_workers", type=int, metavar="N", help="processes that load images (default: 1, for a GPU more)"
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument(
        "--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="arithmetic (default: auto)"
    )
    parser.add_argument(
        "--json", type=output_file, metavar="OUT", help="also write everything to this JSON file; of a RUN a list"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluates; returns 0."""
    models, data = given_models(args), given_split(args, args.split)
    from human_edge_detection.api.results import evaluate
    from human_edge_detection.files.write import write_json

    evaluations = evaluate(
        models,
        split=args.split,
        data=data,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        device=args.device,
        precision=args.precision,
        output_dir=args.output_dir,
    )
    for evaluation in evaluations:
        _show(evaluation)
    if args.json is not None:
        content = [evaluation.to_json() for evaluation in evaluations]
        write_json(args.json, content if args.checkpoint is None else content[0])
    return 0


def _show(evaluation: Evaluation) -> None:
    from rich.table import Table
    from rich.text import Text

    from human_edge_detection.console import TextConsole

    table = Table("metric", "value", title=Text(f"{evaluation.experiment}, epoch {evaluation.epoch}"))
    table.columns[1].justify = "right"
    for name, value in evaluation.metrics.items():
        table.add_row(name, "-" if value is None else f"{value:.4f}")
    console = TextConsole(markup=False)
    console.print(table)
    console.print(
        f"{evaluation.checkpoint}: {evaluation.images} images, {evaluation.persons} persons of "
        f"{evaluation.annotations}; {evaluation.device}, {evaluation.precision}; AP is of masks in the true boxes",
        soft_wrap=True,
        highlight=False,
    )
