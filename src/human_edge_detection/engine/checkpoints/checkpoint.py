"""Checkpoints: written whole or not at all, checksummed, loaded without running code."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict, Field, ValidationError
from torch import Tensor

from human_edge_detection.advanced.weights.torch_archive import MAX_ARCHIVE_BYTES, read_torch_archive
from human_edge_detection.errors import (
    CheckpointError,
    ConfigError,
    DamagedCheckpointError,
    ForeignCheckpointError,
)
from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.experiments.schema.experiment import SCHEMA_VERSION, ExperimentConfig, build_config
from human_edge_detection.files.read import open_regular_file
from human_edge_detection.files.weight_files import flat_names
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.runs.paths import summary_path
from human_edge_detection.runs.records import CheckpointSummary, problem_of
from human_edge_detection.runs.what_to_give import instead_of

logger = logging.getLogger(__name__)

FORMAT = "human-edge-detection"
FORMAT_VERSION = 1
_MARK = b"HEDSHA256"
_FOOTER_BYTES = len(_MARK) + hashlib.sha256().digest_size
_END_OF_ZIP, _END_OF_ZIP_BYTES = b"PK\x05\x06", 22
"""How the last record of a zip archive begins, and how long it is; in a file of ``torch.save`` nothing follows."""
_SAFETENSORS_BRACE = slice(8, 9)
"""Where a safetensors file has the ``{`` that its description begins with."""
_PART_BYTES = 1 << 24
_WEIGHTS_ONLY = (
    "not a checkpoint of this tool: weights without the config that says of which network they are; give the "
    "best_model.pth that hed wrote, or start a run from them: --init_from, of an encoder alone --encoder_weights"
)


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        config: The experiment, whole; the model is rebuilt from it.
        model: The weights to use (the moving average when there is one).
        epoch: Epochs completed.
        metrics: Validation metrics of these weights; empty before the first validation.
        data_fingerprint: Of the validation annotations that the metrics were measured on.
        validation_images: Fingerprint of the validation images; None: unknown, as in files of older versions.
        training: All that is needed to go on (student, EMA, optimizer, scaler, progress, teacher); None in a
            checkpoint that is only weights.
    """

    config: ExperimentConfig
    model: Mapping[str, Tensor]
    epoch: int
    metrics: Mapping[str, float | None]
    data_fingerprint: str
    training: Mapping[str, Any] | None = None
    validation_images: str | None = None

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
    validation_images: str | None = None
    training: dict[str, Any] | None = None


def _on_cpu(value: Any) -> Any:
    """The same with every tensor in main memory, so that the file can be read where there is no GPU."""
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, Mapping):
        return {name: _on_cpu(one) for name, one in value.items()}
    return [_on_cpu(one) for one in value] if isinstance(value, list) else value


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> str:
    """Writes ``checkpoint`` and a summary (``.json`` beside it) in one step each; returns the file's sha256.

    The file ends in a footer with the sha256 of all before it, so file and checksum cannot part.
    """
    payload = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "config": checkpoint.config.model_dump(mode="json"),
        "model": _on_cpu(dict(checkpoint.model)),
        "epoch": checkpoint.epoch,
        "metrics": dict(checkpoint.metrics),
        "data_fingerprint": checkpoint.data_fingerprint,
        "validation_images": checkpoint.validation_images,
        "training": _on_cpu(checkpoint.training),
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
        size_bytes=path.stat().st_size,
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

    A file that another program saved again has lost its checksum: it is read with a warning.

    Raises:
        DamagedCheckpointError: Cut off, or changed after it was written.
        ForeignCheckpointError: Weights, and no config that says of which network they are.
        CheckpointError: Missing, not a checkpoint, of a newer version, or not what a checkpoint should hold.
    """
    source = f"checkpoint {path}"
    instead = instead_of(path)
    if instead is not None:
        raise CheckpointError(f"{source}: {instead}")
    try:
        with open_regular_file(path, max_bytes=MAX_ARCHIVE_BYTES) as file:
            return _read_open(file, source)
    except OSError as error:
        raise CheckpointError(f"{source}: {error.strerror}; give the path of a .pth file") from error


def _read_open(file: BufferedReader, source: str) -> tuple[Checkpoint, str]:
    """As :func:`read_checkpoint`. Only a file that is whole by its ends and its checksum is ever whole in memory."""
    size = os.fstat(file.fileno()).st_size
    beginning = file.read(_SAFETENSORS_BRACE.stop)
    file.seek(max(0, size - _FOOTER_BYTES))
    footer = file.read(_FOOTER_BYTES)
    file.seek(0)
    if beginning[_SAFETENSORS_BRACE] == b"{":
        raise ForeignCheckpointError(f"{source}: {_WEIGHTS_ONLY}")
    if not footer.startswith(_MARK) and footer[-_END_OF_ZIP_BYTES:].startswith(_END_OF_ZIP):
        content = file.read()
        checkpoint = _from_payload(source, read_torch_archive(content, source=source))
        logger.warning(
            "%s: another program saved it again, so this tool's checksum is gone and only those of its records are "
            "compared; where you can, use the file that hed wrote",
            source,
        )
        return checkpoint, hashlib.sha256(content).hexdigest()
    if not footer.startswith(_MARK):
        raise DamagedCheckpointError(
            f"{source}: truncated, or not a checkpoint of this tool (no checksum at the end of its {size} bytes)"
        )
    sha256 = _sha256_of(file, size - _FOOTER_BYTES)
    if footer[len(_MARK) :] != sha256.digest():
        raise DamagedCheckpointError(f"{source}: damaged (checksum differs); use another one")
    sha256.update(footer)
    file.seek(0)
    body = file.read(size - _FOOTER_BYTES)
    return _from_payload(source, read_torch_archive(body, source=source)), sha256.hexdigest()


def _sha256_of(file: BufferedReader, size: int) -> hashlib._Hash:
    """Of the first ``size`` bytes, read in parts."""
    sha256 = hashlib.sha256()
    while size > 0 and (part := file.read(min(size, _PART_BYTES))):
        sha256.update(part)
        size -= len(part)
    return sha256


def _from_payload(source: str, payload: Any) -> Checkpoint:
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise _not_ours(source, payload)
    _check_version(source, "format", payload.get("format_version"), FORMAT_VERSION)
    try:
        content = _Payload.model_validate(payload)
    except ValidationError as error:
        raise CheckpointError(
            f"{source}: not a whole checkpoint of this tool ({problem_of(error)}); use the file that hed wrote"
        ) from error
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
        validation_images=content.validation_images,
        training=content.training,
    )


def _not_ours(source: str, payload: Any) -> CheckpointError:
    """What is wrong with a file that holds something else, or a checkpoint of this tool inside something else."""
    if not isinstance(payload, dict) or not flat_names(payload, Tensor):
        return CheckpointError(f"{source}: not a checkpoint of this tool")
    inside = next(
        (key for key, value in payload.items() if isinstance(value, dict) and value.get("format") == FORMAT), None
    )
    if inside is None:
        return ForeignCheckpointError(f"{source}: {_WEIGHTS_ONLY}")
    return ForeignCheckpointError(
        f"{source}: a checkpoint of this tool is inside, under {inside!r}; save it alone: "
        f"torch.save(torch.load(FILE, weights_only=True)[{inside!r}], NEW_FILE)"
    )


def _check_version(source: str, what: str, version: Any, newest: int) -> None:
    if type(version) is not int or version < 1:
        raise CheckpointError(f"{source}: not a checkpoint of this tool ({what} {version!r})")
    if version > newest:
        raise CheckpointError(
            f"{source}: written by a newer version ({what} {version}, this one reads up to {newest}); update this tool"
        )
