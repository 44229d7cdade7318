"""Checkpoints: written whole or not at all, checksummed, loaded without running code."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.paths import RunPaths
from human_edge_detection.experiments.schema import ExperimentConfig, build_config
from human_edge_detection.storage import write_atomically, write_json

FORMAT = "human-edge-detection"
FORMAT_VERSION = 1
_MARK = b"HEDSHA256"
_FOOTER_BYTES = len(_MARK) + hashlib.sha256().digest_size


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        config: The experiment, whole; the model is rebuilt from it.
        model: The weights to use (the moving average when there is one).
        epoch: Epochs completed.
        metrics: Validation metrics of these weights; empty before the first validation.
        data_fingerprint: Of the validation annotations that the metrics were measured on.
        training: All that is needed to go on (student, EMA, optimizer, scaler, progress, teacher); None in a
            checkpoint that is only weights.
    """

    config: ExperimentConfig
    model: Mapping[str, Tensor]
    epoch: int
    metrics: Mapping[str, float | None]
    data_fingerprint: str
    training: Mapping[str, Any] | None = None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> str:
    """Writes ``checkpoint`` and a summary (``.json`` beside it) in one step each; returns the file's sha256.

    The file ends in a footer with the sha256 of all before it, so file and checksum cannot part.
    """
    payload = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "config": checkpoint.config.model_dump(mode="json"),
        "model": dict(checkpoint.model),
        "epoch": checkpoint.epoch,
        "metrics": dict(checkpoint.metrics),
        "data_fingerprint": checkpoint.data_fingerprint,
        "training": checkpoint.training,
    }
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    sha256 = hashlib.sha256(buffer.getbuffer())
    footer = _MARK + sha256.digest()
    buffer.write(footer)
    write_atomically(path, buffer.getbuffer())
    sha256.update(footer)
    digest = sha256.hexdigest()
    summary = {key: payload[key] for key in ("epoch", "metrics", "data_fingerprint")}
    write_json(summary_path(path), {"experiment": checkpoint.config.name, "sha256": digest, **summary})
    return digest


def summary_path(checkpoint: Path) -> Path:
    """The ``.json`` beside a checkpoint."""
    return checkpoint.with_suffix(".json")


def publish_as(checkpoint: Path, alias: Path) -> None:
    """Gives ``checkpoint`` a second name (``latest.pth``) in one step, without a second copy where links work."""
    for source, target in ((checkpoint, alias), (summary_path(checkpoint), summary_path(alias))):
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            write_atomically(target, source.read_bytes())
        else:
            temporary.replace(target)


def prune(paths: RunPaths, keep_last: int) -> None:
    """Deletes all but the newest ``keep_last`` epoch checkpoints."""
    for checkpoint in paths.epoch_checkpoints()[:-keep_last]:
        checkpoint.unlink(missing_ok=True)
        summary_path(checkpoint).unlink(missing_ok=True)


def read_checkpoint(path: Path) -> tuple[Checkpoint, str]:
    """The checkpoint at ``path`` and the file's sha256.

    Raises:
        CheckpointError: Missing, truncated, damaged, not a checkpoint, or of a newer version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"checkpoint {path}: {error.strerror}; give the path of a .pth file") from error
    body, footer = content[:-_FOOTER_BYTES], content[-_FOOTER_BYTES:]
    if not footer.startswith(_MARK):
        raise CheckpointError(
            f"checkpoint {path}: truncated, or not a checkpoint of this tool "
            f"(no checksum at the end of its {len(content)} bytes)"
        )
    if footer[len(_MARK) :] != hashlib.sha256(body).digest():
        raise CheckpointError(f"checkpoint {path}: damaged (checksum differs); use another one")
    try:
        payload = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"checkpoint {path}: cannot be read ({type(error).__name__})") from error
    return _from_payload(path, payload), hashlib.sha256(content).hexdigest()


def _from_payload(path: Path, payload: Any) -> Checkpoint:
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise CheckpointError(f"checkpoint {path}: not a checkpoint of this tool")
    if payload["format_version"] > FORMAT_VERSION:
        raise CheckpointError(
            f"checkpoint {path}: written by a newer version (format {payload['format_version']}, "
            f"this one reads up to {FORMAT_VERSION}); update this tool"
        )
    try:
        config = build_config(payload["config"], source=f"checkpoint {path}")
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    return Checkpoint(
        config=config,
        model=payload["model"],
        epoch=payload["epoch"],
        metrics=payload["metrics"],
        data_fingerprint=payload["data_fingerprint"],
        training=payload["training"],
    )


def newest_good_checkpoint(paths: RunPaths) -> Path | None:
    """The newest checkpoint to resume from that reads whole, or None when the run has none.

    Raises:
        CheckpointError: There are some and all are damaged.
    """
    candidates = [path for path in (paths.latest, *reversed(paths.epoch_checkpoints())) if path.exists()]
    problems = []
    for path in candidates:
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            problems.append(str(error))
        else:
            return path
    if problems:
        raise CheckpointError(f"no checkpoint of {paths.root} can be read: {problems[0]}; --restart trains it anew")
    return None
