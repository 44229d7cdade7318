"""``hed verify-resume``: whether a killed run continues to identical results, on this machine and these data."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from human_edge_detection.cli.arguments.experiment import add_run_arguments, one_run, show_configs

if TYPE_CHECKING:
    from human_edge_detection.selfcheck.verify_resume import Verification


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``hed train``, but for ``--resume``."""
    parser.epilog = (
        "Takes the flags of hed train and trains 2 epochs of about 4 steps on a few of the images, straight and "
        "killed, in a folder below --output_dir that is deleted afterwards. --epochs and --run_name only say which "
        "run is meant."
    )
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Trains a little, straight and killed; returns 0 when the results are identical, 1 when they differ."""
    if args.list_configs:
        return show_configs()
    from human_edge_detection.api.training import verify_resume

    verification = verify_resume(**one_run(args))
    sys.stdout.write(verdict(verification))
    differs = verification.difference is not None
    if differs:
        sys.stdout.write(f"both runs are kept in {verification.folder}\n")
    return int(differs)


def verdict(verification: Verification) -> str:
    """What came out, in words, and what a difference may mean."""
    killed = ", ".join(map(str, verification.killed_after))
    tried = f"killed after steps {killed} of {verification.steps}, on {verification.device}"
    if verification.difference is None:
        return f"identical: {verification.tensors} tensors, metrics.jsonl and result.json; {tried}\n"
    on_gpu = verification.device != "cpu"
    cause = (
        "a GPU repeats its arithmetic only with --deterministic; try again with it"
        if on_gpu and not verification.deterministic
        else "this must not happen; please report it with the output of hed doctor"
    )
    return f"not identical: {verification.difference}; {tried}\n{cause}\n"
