"""``hed predict``: persons on images and videos, with a model that was exported or trained."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from human_edge_detection.cli.arguments.experiment import path_argument
from human_edge_detection.errors import ConfigError
from human_edge_detection.signals import exit_code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed predict``, which are those of ``python -m human_edge_prediction``."""
    from human_edge_prediction.command.arguments import add_arguments as add_prediction_arguments

    add_prediction_arguments(parser, models=".onnx, .tflite, .xml, .pth, or a run (name or folder)")
    parser.add_argument(
        "--output_dir",
        type=path_argument,
        default=Path("experiments"),
        metavar="DIR",
        help="where runs that --model names lie (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Predicts and writes; returns 0, or 1 where some images failed."""
    from human_edge_detection.exporters.predictor import Predictor
    from human_edge_prediction import PredictionError
    from human_edge_prediction.command.predict import INTERRUPTED_LINE
    from human_edge_prediction.command.predict import run as predict

    try:
        return predict(args, partial(Predictor, output_dir=args.output_dir))
    except PredictionError as error:
        raise ConfigError(str(error)) from error
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"{INTERRUPTED_LINE}\n")
        return exit_code(interrupt)
