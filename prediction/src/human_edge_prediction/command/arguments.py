"""The flags of the command that predicts, which two programs have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from human_edge_prediction.suffixes import MODEL_SUFFIXES_IN_WORDS

KINDS: Final = {
    "overlay": "the image with the persons drawn on it, overlay/NAME.jpg",
    "masks": "one mask a person, masks/NAME/000.png: 255 in the person, 0 elsewhere",
    "class_mask": "class_mask/NAME.png with a palette: 0 background, 1 the persons, 2 other people",
    "cutout": "each person on a transparent ground, cutout/NAME/000.png",
    "coco": "coco_results.json (masks as RLE), coco_boxes.json, coco_images.json (which id is which image)",
    "yolo": "segmentation labels, yolo/NAME.txt: class 0 and a polygon",
    "csv": "persons.csv: boxes, scores, areas",
    "video": "of video sources, video/NAME.mp4 with the persons drawn on it",
}
"""What ``--save`` takes, and what that writes below ``--output``."""
USUAL: Final = ("overlay", "video", "coco")
"""What is written when nothing is asked for; overlays of image files, a video of videos."""
MOST_DILATION_PX: Final = 1000


def add_arguments(parser: argparse.ArgumentParser, *, models: str = MODEL_SUFFIXES_IN_WORDS) -> None:
    """Adds all flags.

    Args:
        parser: Of the program.
        models: What it takes as a model.
    """
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="images, videos, folders (the files directly in them), quoted patterns such as 'people/**/*.jpg', or - "
        "for a list on standard input, a path a line",
    )
    _add_model(parser, models)
    _add_boxes(parser)
    _add_masks(parser)
    _add_output(parser)


def _add_model(parser: argparse.ArgumentParser, models: str) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--model", required=True, metavar="FILE", help=f"what finds masks: {models}")
    group.add_argument(
        "--adapter",
        action="append",
        metavar="FILE|KEY=VALUE",
        help="describes a model that is not ours, its input and outputs: a JSON file, or a field of it such as "
        "kind=person_map or output.values=logits (repeatable; default: NAME.adapter.json beside it)",
    )
    group.add_argument("--threads", type=int, metavar="N", help="of the CPU for a model (default: as it likes)")
    group.add_argument("--provider", metavar="NAME", help="of ONNX Runtime (default: CPUExecutionProvider)")


def _add_boxes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "boxes around persons",
        "default: the model's own detector (NAME.detect.onnx beside it), else the connected parts of its person map; "
        "what is printed at the end says which",
    )
    group.add_argument(
        "--boxes",
        type=Path,
        metavar="JSON",
        help='{"image.jpg": [[x1, y1, x2, y2], ...]} in pixels, or COCO results ("bbox", "score", "image_id"; ids are '
        "those of --ann, else the numbers that images are called by)",
    )
    group.add_argument(
        "--ann", type=Path, metavar="JSON", help="boxes of persons in a COCO instances file, whose ids the results get"
    )
    group.add_argument("--detector", metavar="FILE", help="another model that finds boxes")
    group.add_argument(
        "--detector_adapter",
        action="append",
        metavar="FILE|KEY=VALUE",
        help="describes it, as --adapter (default: NAME.adapter.json beside it)",
    )
    group.add_argument(
        "--image_ids",
        type=Path,
        metavar="JSON",
        help="COCO file whose image ids the results get; its boxes are not used (default: --ann, else counted from 1)",
    )
    group.add_argument(
        "--min_score", type=float, metavar="X", help="leave out who scores less, 0 to 1 (default: as the model says)"
    )


def _add_masks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("masks")
    group.add_argument("--dilate", type=int, default=0, metavar="N", help="let masks grow by N pixels (default: 0)")
    group.add_argument(
        "--smooth_edges",
        action="store_true",
        help="round off the steps that a mask has when it was much smaller than the image; cut-outs get soft edges",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output", type=Path, default=Path("predictions"), metavar="DIR", help="folder (default: %(default)s)"
    )
    group.add_argument(
        "--save",
        action="extend",
        nargs="+",
        choices=tuple(KINDS),
        metavar="KIND",
        help="; ".join(f"{kind}: {text}" for kind, text in KINDS.items())
        + " (default: overlay, or video of videos, and coco)",
    )
    group.add_argument(
        "--show_steps",
        action="store_true",
        help="also steps/NAME.jpg: boxes, person map, foreground and target in the boxes, result",
    )
    group.add_argument("--overwrite", action="store_true", help="replace what an earlier call wrote")
