"""Checkpoints: written whole or not at all, checksummed, loaded without running code."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict, Field, ValidationError
from torch import Tensor

from human_edge_detection.advanced.weights.torch_archive import MAX_ARCHIVE_BYTES, read_torch_archive
from human_edge_detection.errors import CheckpointError, ConfigError, DamagedCheckpointError
from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.experiments.schema.experiment import SCHEMA_VERSION, ExperimentConfig, build_config
from human_edge_detection.files.read import read_regular_file
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.runs.paths import summary_path
from human_edge_detection.runs.records import CheckpointSummary, problem_of

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

    def weights_only(self) -> Checkpoint:
        """The same without what only a resumed run needs."""
        return replace(self, training=None)


class _Payload(Section):
    """The content of a checkpoint file."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    format: Literal["human-edge-detection"]
    format_version: int
    config: dict[str, Any]
    model: dict[str, Tensor]
    epoch: int = Field(ge=0)
    metrics: dict[str, float | None]
    data_fingerprint: str
    training: dict[str, Any] | None


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
    write_summary(path, checkpoint, digest)
    return digest


def write_summary(path: Path, checkpoint: Checkpoint, sha256: str) -> None:
    """Writes what can be said of the checkpoint at ``path``, a file with this ``sha256``, without opening it."""
    summary = CheckpointSummary(
        experiment=checkpoint.config.name,
        sha256=sha256,
        epoch=checkpoint.epoch,
        metrics=dict(checkpoint.metrics),
        data_fingerprint=checkpoint.data_fingerprint,
        step=None if checkpoint.training is None else checkpoint.training["progress"]["step"],
    )
    write_json(summary_path(path), summary.model_dump())


def read_checkpoint(path: Path) -> tuple[Checkpoint, str]:
    """The checkpoint at ``path`` and the file's sha256.

    The training part is checked where it is used, by
    :func:`~human_edge_detection.engine.checkpoints.resume_state.check_training_state`.

    Raises:
        DamagedCheckpointError: Cut off, or changed after it was written.
        CheckpointError: Missing, not a checkpoint, of a newer version, or not what a checkpoint should hold.
    """
    source = f"checkpoint {path}"
    try:
        content = read_regular_file(path, max_bytes=MAX_ARCHIVE_BYTES)
    except OSError as error:
        raise CheckpointError(f"{source}: {error.strerror}; give the path of a .pth file") from error
    body, footer = content[:-_FOOTER_BYTES], content[-_FOOTER_BYTES:]
    if not footer.startswith(_MARK):
        raise DamagedCheckpointError(
            f"{source}: truncated, or not a checkpoint of this tool "
            f"(no checksum at the end of its {len(content)} bytes)"
        )
    sha256 = hashlib.sha256(body)
    if footer[len(_MARK) :] != sha256.digest():
        raise DamagedCheckpointError(f"{source}: damaged (checksum differs); use another one")
    sha256.update(footer)
    return _from_payload(source, read_torch_archive(body, source=source)), sha256.hexdigest()


def _from_payload(source: str, payload: Any) -> Checkpoint:
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise CheckpointError(f"{source}: not a checkpoint of this tool")
    _check_version(source, "format", payload.get("format_version"), FORMAT_VERSION)
    try:
        content = _Payload.model_validate(payload)
    except ValidationError as error:
        raise CheckpointError(f"{source}: not a whole checkpoint of this tool ({problem_of(error)})") from error
    _check_version(source, "config schema", content.config.get("schema_version"), SCHEMA_VERSION)
    try:
        config = build_config(content.config, source=source)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    return Checkpoint(
        config=config,
        model=content.model,
        epoch=content.epoch,
        metrics=content.metrics,
        data_fingerprint=content.data_fingerprint,
        training=content.training,
    )


def _check_version(source: str, what: str, version: Any, newest: int) -> None:
    if type(version) is not int or version < 1:
        raise CheckpointError(f"{source}: not a checkpoint of this tool ({what} {version!r})")
    if version > newest:
        raise CheckpointError(
            f"{source}: written by a newer version ({what} {version}, this one reads up to {newest}); update this tool"
        )
