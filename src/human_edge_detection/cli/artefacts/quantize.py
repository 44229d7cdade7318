"""``hed quantize``: an exported model in 8-bit integers, refused where it is no gain."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from human_edge_detection.cli.arguments.checkpoint import add_data_arguments, given_split
from human_edge_detection.cli.arguments.experiment import path_argument, text_argument
from human_edge_detection.wording import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed quantize``."""
    parser.add_argument(
        "model", type=text_argument, metavar="MODEL", help="best_model.onnx of hed export, or the run that has it"
    )
    parser.add_argument(
        "--calibration_images",
        type=int,
        default=64,
        metavar="N",
        help="training images to measure ranges of activations on (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draws them (default: %(default)s)")
    parser.add_argument(
        "--max_loss",
        type=float,
        default=0.005,
        metavar="X",
        help="what mIoU on the validation images may lose (default: %(default)s, half a point)",
    )
    parser.add_argument(
        "--scan_minutes",
        type=float,
        default=5.0,
        metavar="X",
        help="for trying which layers hurt, if all in int8 lose too much (default: %(default)s)",
    )
    parser.add_argument(
        "--output_dir", type=path_argument, default=Path("experiments"), metavar="DIR", help="default: %(default)s"
    )
    add_data_arguments(parser, ["train", "val"])


def run(args: argparse.Namespace) -> int:
    """Quantises; returns 0 when the file was written."""
    train, val = given_split(args, "train"), given_split(args, "val")
    from human_edge_detection.api.quantization import quantize

    file, report_file, report = quantize(
        args.model,
        train_data=train,
        val_data=val,
        calibration_images=args.calibration_images,
        seed=args.seed,
        max_loss=args.max_loss,
        scan_minutes=args.scan_minutes,
        output_dir=args.output_dir,
    )
    metric, speed = report.metric, report.speed
    before, after = report.float_metrics[metric] or 0.0, report.int8_metrics[metric] or 0.0
    sys.stdout.write(
        f"quantised: {printable(str(file))} ({report.int8_bytes / 2**20:.1f} MiB instead of "
        f"{report.float_bytes / 2**20:.1f})\n"
        f"layers in int8: {report.layers - len(report.float_layers)} of {report.layers}\n"
        f"{metric} on the validation images: {before:.4f} in float, {after:.4f} in int8 "
        f"(may lose {report.max_loss:g})\n"
        f"speed: {speed.speedup:.2f} times as fast, {speed.int8_ms:.2f} ms of the processor instead of "
        f"{speed.float_ms:.2f} ({speed.threads} thread, {speed.processor})\n"
        f"{printable(str(report_file))}\n"
    )
    return 0
