"""``hed export``: trained models to ONNX and other formats, checked against PyTorch."""

from __future__ import annotations

import argparse
import sys

from human_edge_detection.cli.arguments.checkpoint import add_checkpoint_arguments, given_models, given_split
from human_edge_detection.cli.arguments.experiment import output_file
from human_edge_detection.exporters.formats.names import FORMAT_NAMES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed export``."""
    add_checkpoint_arguments(parser, ["val"])
    parser.add_argument(
        "--format",
        choices=FORMAT_NAMES,
        default=FORMAT_NAMES[0],
        help="default: %(default)s, which takes any number of images and boxes; onnx-portable, openvino and litert "
        "take one image and four boxes at a time",
    )
    parser.add_argument(
        "--output",
        type=output_file,
        metavar="FILE",
        help="default: best_model.onnx, .float16.onnx, .portable.onnx, .xml or .tflite beside best_model.pth",
    )
    group = parser.add_argument_group("the second file of a model with a detector, best_model.detect.onnx")
    group.add_argument(
        "--min_score",
        type=float,
        metavar="X",
        help="least score of a person (default: model.detector.min_score)",
    )
    group.add_argument(
        "--max_persons", type=int, metavar="N", help="most persons of an image (default: model.detector.max_persons)"
    )


def run(args: argparse.Namespace) -> int:
    """Exports; returns 0 when every model was written and its outputs are those of PyTorch."""
    models, data = given_models(args), given_split(args, "val")
    from human_edge_detection.api.results import export

    exports = export(
        models,
        format=args.format,
        output=args.output,
        data=data,
        min_score=args.min_score,
        max_persons=args.max_persons,
        output_dir=args.output_dir,
    )
    for destination, report in exports:
        sys.stdout.write(
            f"exported: {destination.onnx} ({report.size_bytes / 2**20:.1f} MiB, "
            f"{report.runtime or f'opset {report.opset}'})\n"
            f"parity with PyTorch: {report.in_words}, mask IoU {report.mask_iou:.6f}, {len(report.cases)} cases; "
            f"{destination.parity}\n"
        )
        if report.detector is not None:
            sys.stdout.write(
                f"exported: {destination.detector} ({report.detector.size_bytes / 2**20:.1f} MiB), which finds the "
                f"persons itself\nparity with PyTorch: {report.detector.in_words}\n"
            )
    return 0
