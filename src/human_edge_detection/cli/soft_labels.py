"""``hed soft-labels``: the soft labels of a teacher, stored once for all trainings that see the same views."""

from __future__ import annotations

import argparse
import sys

from human_edge_detection.cli.arguments.experiment import add_run_arguments, one_run, path_argument, show_configs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed train``, but for ``--resume``."""
    parser.epilog = (
        "Takes the flags of the training that will use them, --soft_labels DIR and --cache_views N among them. "
        "The soft labels depend on teacher, data, augmentation, sizes, seed and views; other flags, such as "
        "--distillation_alpha or --epochs, may differ between trainings that share DIR. Killed, it goes on where it "
        "was; given again for a finished DIR, it verifies every checksum."
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=path_argument,
        metavar="RESULTS|FOLDER",
        help="answers of a teacher of another framework: COCO results with masks (JSON), or a folder of maps "
        "<image>.png and <image>_<annotation id>.png (.npy too); alone with --set distillation.teacher_config=null, "
        "else as one with the teacher",
    )
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Stores the soft labels; returns 0 when all are there and whole."""
    if args.list_configs:
        return show_configs()
    from human_edge_detection.api.training import soft_labels
    from human_edge_detection.threads import choose_waiting

    choose_waiting()
    stored = soft_labels(**one_run(args), source=args.source)
    parts, external = stored.metadata.parts or (), stored.metadata.external
    if external is not None:
        sys.stdout.write(f"{external.source}: {external.coverage.in_words}\n")
    sys.stdout.write(
        f"soft labels: {stored.folder} ({stored.metadata.key.cache_views} views of {stored.metadata.images} "
        f"images, {sum(part.bytes for part in parts) / 1e6:.1f} MB)\n"
    )
    return 0
