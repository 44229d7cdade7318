"""``hed soft-labels``: the answers of a teacher, stored once for all trainings that see the same views."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from human_edge_detection.cli.arguments.experiment import (
    add_experiment_arguments,
    check_init_from,
    check_run_name,
    flag_values,
    show_configs,
)

if TYPE_CHECKING:
    from human_edge_detection.runs.request import TrainingRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed train``, but for ``--resume``."""
    parser.epilog = (
        "Takes the flags of the training that will use the answers, --soft_labels DIR and --cache_views N among them. "
        "The answers depend on teacher, data, augmentation, sizes, seed and views; other flags, such as "
        "--distillation_alpha or --epochs, may differ between trainings that share DIR. Killed, it goes on where it "
        "was; given again for a finished DIR, it verifies every checksum."
    )
    parser.add_argument(
        "--config", metavar="NAME", help="experiment; default: rgb_hierarchical_unet_v2_distillation_b0_from_b3"
    )
    add_experiment_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Stores the answers; returns 0 when all are there and whole."""
    if args.list_configs:
        return show_configs()
    config = _request(args).config
    from human_edge_detection.engine.teaching.soft_label_writer import write_soft_labels
    from human_edge_detection.experiments.schema.experiment import SampleDataConfig
    from human_edge_detection.runs.paths import sample_data_dir

    sample = config.data.sample or SampleDataConfig()
    stored = write_soft_labels(config, sample_root=sample_data_dir(args.output_dir, sample))
    parts = stored.metadata.parts or ()
    sys.stdout.write(
        f"soft labels: {stored.folder} ({stored.metadata.key.cache_views} views of {stored.metadata.photographs} "
        f"photographs, {sum(part.bytes for part in parts) / 1e6:.1f} MB)\n"
    )
    return 0


def _request(args: argparse.Namespace) -> TrainingRequest:
    from human_edge_detection.runs.request import prepare

    return prepare(
        config_name=args.config,
        config_file=args.config_file,
        sets=args.sets,
        flags=flag_values(args),
        output_dir=args.output_dir,
        run_name=check_run_name(args.run_name),
        resume=None,
        init_from=check_init_from(args.init_from),
    )
