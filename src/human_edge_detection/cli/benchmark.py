"""``hed benchmark``: latency, memory, size and accuracy of exported models, ours and others', in one table."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from human_edge_detection.cli.arguments.experiment import output_folder, path_argument, text_argument
from human_edge_detection.errors import ConfigError

_SIZE = re.compile(r"([0-9]{1,5})(?:x([0-9]{1,5}))?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed benchmark``."""
    parser.add_argument(
        "models",
        nargs="+",
        type=text_argument,
        metavar="MODEL",
        help="a run (name or folder), a .pth, an .onnx, .tflite or .xml, or the name of an experiment (random weights)",
    )
    parser.add_argument("--threads", nargs="+", type=int, default=[1], metavar="N", help="of the CPU (default: 1)")
    parser.add_argument(
        "--image_sizes",
        nargs="+",
        type=_size,
        metavar="SIZE",
        help="256 or 320x256 (height x width), for what is exported here (default: each model's own)",
    )
    parser.add_argument(
        "--rois", nargs="+", type=int, default=[1, 3, 10], metavar="N", help="boxes on the image (default: 1 3 10)"
    )
    parser.add_argument(
        "--data_root",
        type=path_argument,
        metavar="DATA",
        help="score all models on the validation images of this folder",
    )
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        type=text_argument,
        metavar="MODEL=FILE",
        help="JSON that describes a model which is not ours (repeatable); default: NAME.adapter.json beside it",
    )
    parser.add_argument(
        "--reference",
        type=text_argument,
        metavar="MODEL",
        help="whose time the others' is divided by (default: the teacher of another one, else the first)",
    )
    parser.add_argument("--rounds", type=int, default=50, metavar="N", help="measurements of each (default: 50)")
    parser.add_argument(
        "--output_dir", type=path_argument, default=Path("experiments"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--output",
        type=output_folder,
        default=Path("experiment_benchmark"),
        metavar="FOLDER",
        help="where the report goes (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Measures, writes the report and shows it; returns 0."""
    adapters = dict(map(_adapter, args.adapter))
    from human_edge_detection.api.benchmarking import benchmark

    report = benchmark(
        args.models,
        threads=args.threads,
        image_sizes=args.image_sizes,
        rois=args.rois,
        data=args.data_root,
        adapters=adapters,
        reference=args.reference,
        rounds=args.rounds,
        output_dir=args.output_dir,
        output=args.output,
    )
    from human_edge_detection.benchmarking.report import show_report

    show_report(*report)
    return 0


def _size(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected a side or HEIGHTxWIDTH, such as 256 or 320x256, got {text!r}")
    return int(found[1]), int(found[2] or found[1])


def _adapter(text: str) -> tuple[str, str]:
    model, separator, file = text.rpartition("=")
    if not (model and separator and file):
        raise ConfigError(f"--adapter {text}: expected MODEL=FILE")
    return model, file
