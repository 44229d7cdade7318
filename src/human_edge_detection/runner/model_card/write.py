"""Writes cards beside exported models: at an export, and again when a batch knows their latency and their controls."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from human_edge_detection.errors import CheckpointError, FolderMovedError, StorageError
from human_edge_detection.files.write import write_atomically
from human_edge_detection.runner.model_card.card import MARK, card_of
from human_edge_detection.runner.model_card.facts import Facts, facts_of
from human_edge_detection.runner.model_card.gain import controls_in
from human_edge_detection.runs.artifacts import is_exported, latency_of
from human_edge_detection.runs.paths import RunPaths, card_path, output_dir_of
from human_edge_detection.runs.records import ParityReport, read_section

logger = logging.getLogger(__name__)

_HEAD_BYTES: Final = 400


def write_card(facts: Facts, onnx: Path, parity: ParityReport | None, run: RunPaths | None) -> Path | None:
    """Writes the card of the model at ``onnx`` beside it.

    Args:
        facts: What is known of it.
        onnx: The file that is given boxes.
        parity: Its report.
        run: The run whose ``best_model.onnx`` it is, which may know its latency; None: another file.

    Returns:
        Where; None when somebody else's file has that name, which stays, with a warning.

    Raises:
        StorageError: It cannot be written.
    """
    path = card_path(onnx)
    if _is_of_others(path):
        logger.warning("%s is no card of this tool and stays as it is; no model card is written", path)
        return None
    try:
        latency = None if run is None else latency_of(run, parity)
    except CheckpointError as error:
        logger.warning("model card: %s", error)
        latency = None
    write_atomically(path, card_of(facts, file=onnx.name, parity=parity, latency=latency).encode())
    return path


def write_cards(runs: Sequence[RunPaths]) -> KeyboardInterrupt | None:
    """Writes the cards of all exported ``runs`` anew, with what is known by now; whatever goes wrong is a warning.

    Returns:
        What asked this process to end meanwhile; None when nothing did.
    """
    try:
        for output_dir in dict.fromkeys(map(output_dir_of, runs)):
            controls = controls_in(output_dir)
            for run in (one for one in runs if output_dir_of(one) == output_dir):
                try:
                    if is_exported(run):
                        parity = read_section(ParityReport, run.parity)
                        write_card(facts_of(run.best, controls), run.onnx, parity, run)
                except (CheckpointError, StorageError, FolderMovedError, OSError) as error:
                    logger.warning("model card of %s: %s", run.root, error)
    except KeyboardInterrupt as interrupt:
        return interrupt
    return None


def _is_of_others(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return MARK.encode() not in file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return False
    except OSError:  # a folder, or not to be read
        return True
