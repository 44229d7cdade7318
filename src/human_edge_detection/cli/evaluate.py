"""``hed evaluate``: every metric of trained models and of exported files, COCO mask AP included."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from human_edge_detection.cli.arguments.checkpoint import add_checkpoint_arguments, given_models, given_split
from human_edge_detection.cli.arguments.experiment import output_file, path_argument
from human_edge_detection.errors import ConfigError

if TYPE_CHECKING:
    from human_edge_detection.engine.evaluation.evaluate_checkpoint import Evaluation


_OF_PYTORCH: Final = ("batch_size", "device", "precision")
"""Flags of networks that PyTorch runs; an exported file has its own arithmetic, and takes one image at a time."""
_SPLITS: Final = {
    "train": "the model was trained on such images: these scores say nothing about new ones",
    "val": "the best epoch was chosen on val, so expect less on new images; --split test scores on others",
    "test": "nothing was trained or chosen on test",
}
"""What scores on each split are worth."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed evaluate``."""
    add_checkpoint_arguments(parser, ["train", "val", "test"])
    parser.add_argument(
        "--model",
        type=path_argument,
        metavar="FILE",
        help="score an exported file instead (.onnx, .tflite); best_model.detect.onnx in the boxes that it finds",
    )
    parser.add_argument(
        "--split",
        choices=tuple(_SPLITS),
        default="val",
        help="default: %(default)s, on which best epochs are chosen; scores of a RUN on test are kept for hed compare",
    )
    parser.add_argument("--batch_size", type=int, metavar="N", help="images in a batch (default: 4)")
    parser.add_argument(
        "--num_workers", type=int, metavar="N", help="processes that load images (default: 1, for a GPU more)"
    )
    parser.add_argument("--device", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), help="arithmetic (default: auto)")
    parser.add_argument(
        "--json", type=output_file, metavar="OUT", help="also write everything to this JSON file; of a RUN a list"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluates; returns 0."""
    evaluations = _of_networks(args) if args.model is None else [_of_file(args)]
    for evaluation in evaluations:
        _show(evaluation)
    _say(f"{args.split}: {_seen(evaluations) or _SPLITS[args.split]}")
    if args.json is not None:
        from human_edge_detection.files.write import write_json

        content = [evaluation.to_json() for evaluation in evaluations]
        write_json(args.json, content if args.run is not None else content[0])
    return 0


def _of_networks(args: argparse.Namespace) -> Sequence[Evaluation]:
    models, data = given_models(args), given_split(args, args.split)
    from human_edge_detection.api.results import evaluate

    given = {name: getattr(args, name) for name in _OF_PYTORCH if getattr(args, name) is not None}
    return evaluate(
        models, split=args.split, data=data, num_workers=args.num_workers, output_dir=args.output_dir, **given
    )


def _of_file(args: argparse.Namespace) -> Evaluation:
    if args.run is not None or args.checkpoint is not None:
        other = "RUN" if args.run is not None else "--checkpoint"
        raise ConfigError(f"{other} and --model FILE: both say which model; give one")
    for name in _OF_PYTORCH:
        if getattr(args, name) is not None:
            raise ConfigError(
                f"--{name}: is of networks in PyTorch, and {args.model} is an exported file; leave it out"
            )
    if not args.model.is_file():  # before PyTorch is loaded
        raise ConfigError(f"--model {args.model}: no such file; give an exported model")
    data = given_split(args, args.split)
    from human_edge_detection.api.results import evaluate_exported

    return evaluate_exported(args.model, split=args.split, data=data, num_workers=args.num_workers)


def _show(evaluation: Evaluation) -> None:
    from rich.table import Table
    from rich.text import Text

    from human_edge_detection.console import TextConsole

    epoch = "" if evaluation.epoch is None else f", epoch {evaluation.epoch}"
    table = Table("metric", "value", title=Text(f"{evaluation.experiment}{epoch}"))
    table.columns[1].justify = "right"
    for name, value in evaluation.metrics.items():
        table.add_row(name, "-" if value is None else f"{value:.4f}")
    TextConsole(markup=False).print(table)
    finds = evaluation.model is not None and "own_mask_AP" in evaluation.metrics
    where = "what the file finds itself, above its min_score" if finds else "masks in the true boxes"
    arithmetic = evaluation.device if evaluation.precision is None else f"{evaluation.device}, {evaluation.precision}"
    _say(
        f"{evaluation.model or evaluation.checkpoint}: {evaluation.images} {evaluation.split} images, "
        f"{evaluation.persons} persons of {evaluation.annotations}; {arithmetic}; AP is of {where}"
    )
    if evaluation.scores_file is not None:
        _say(f"kept for hed compare --split test: {evaluation.scores_file}")


def _seen(evaluations: Sequence[Evaluation]) -> str | None:
    """Which of the test images a model has seen in another split after all; None: none that is known of."""
    counts = Counter[str]()
    for evaluation in evaluations:
        counts |= Counter(evaluation.also_in)
    common = ", ".join(f"{count} in {name}" for name, count in counts.items() if count)
    return (
        f"some images are also in other splits ({common}): these scores say little about new ones" if common else None
    )


def _say(line: str) -> None:
    from human_edge_detection.console import TextConsole

    TextConsole(markup=False).print(line, soft_wrap=True, highlight=False)
