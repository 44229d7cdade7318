"""``hed export``: trained models to ONNX, checked against PyTorch."""

from __future__ import annotations

import argparse
import sys

from human_edge_detection.cli.arguments.checkpoint import add_checkpoint_arguments, given_models, given_split
from human_edge_detection.cli.arguments.experiment import output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed export``."""
    add_checkpoint_arguments(parser, ["val"])
    parser.add_argument(
        "--output", type=output_file, metavar="FILE.onnx", help="default: best_model.onnx beside best_model.pth"
    )


def run(args: argparse.Namespace) -> int:
    """Exports; returns 0 when every model was written and its outputs are those of PyTorch."""
    models, data = given_models(args), given_split(args, "val")
    from human_edge_detection.api.results import export

    for destination, report in export(models, output=args.output, data=data, output_dir=args.output_dir):
        sys.stdout.write(
            f"exported: {destination.onnx} ({report.size_bytes / 2**20:.1f} MiB, opset {report.opset})\n"
            f"parity with PyTorch: {report.in_words}, mask IoU {report.mask_iou:.6f}, {len(report.cases)} cases; "
            f"{destination.parity}\n"
        )
        if report.detector is not None:
            sys.stdout.write(
                f"exported: {destination.detector} ({report.detector.size_bytes / 2**20:.1f} MiB), which finds the "
                f"persons itself\nparity with PyTorch: {report.detector.in_words}\n"
            )
    return 0
