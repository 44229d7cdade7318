"""What must be true before a run starts: there is data, and every path that the user names exists."""

from __future__ import annotations

import re
from pathlib import Path

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.difference import compare_fields
from human_edge_detection.experiments.flags import FLAG_OF_PATH
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.paths import RunPaths, identity, list_checkpoints
from human_edge_detection.runs.records import RunResult, RunStatus, read_section

_LISTED = 8
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,119}(/seed_\d+)?")


def check_run_name(name: str | None) -> None:
    """Refuses a ``name`` that cannot be a folder below the output folder.

    Raises:
        ConfigError: It cannot.
    """
    if name is not None and _RUN_NAME.fullmatch(name) is None:
        raise ConfigError(f"--run_name {name!r}: expected letters, digits and _ . + - (at most 120)")


def check_init_from(path: Path | None) -> None:
    """Refuses weights that are not there.

    Raises:
        ConfigError: ``path`` is not a file.
    """
    if path is not None and not path.is_file():
        raise ConfigError(f"--init_from: no such file: {path}")


def check_paths(config: ExperimentConfig, output_dir: Path) -> None:
    """Refuses a config without data or with a path that leads nowhere.

    Raises:
        ConfigError: Names the flag and the field; for a missing checkpoint it lists those that exist.
    """
    data, distillation = config.data, config.distillation
    if data.root is None and data.train_ann is None and data.sample is None:
        raise ConfigError(
            f"experiment {config.name!r} has no data: give --data_root DIR, or --train_ann --val_ann --train_images "
            "--val_images, or --set data.sample={} for the embedded sample data"
        )
    for field in ("root", "train_images", "val_images"):
        _check(f"data.{field}", getattr(data, field), kind="folder")
    for field in ("train_ann", "val_ann"):
        _check(f"data.{field}", getattr(data, field), kind="file")
    if distillation is not None:
        _check("distillation.teacher_checkpoint", distillation.teacher_checkpoint, kind="file", output_dir=output_dir)
        for path in distillation.more_teacher_checkpoints:
            _check("distillation.more_teacher_checkpoints", path, kind="file", output_dir=output_dir)
    _check("model.pretrained_unet", config.model.pretrained_unet, kind="file", output_dir=output_dir)
    if config.model.encoder_weights not in ("imagenet", "none"):
        _check("model.encoder_weights", config.model.encoder_weights, kind="file or folder")


def existing_checkpoints(output_dir: Path) -> str:
    """A phrase that lists the checkpoints below ``output_dir``, for error messages."""
    found = list_checkpoints(output_dir)
    if not found:
        return f"no checkpoint exists below {output_dir}"
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"checkpoints below {output_dir}: {', '.join(map(str, found[:_LISTED]))}{more}"


def check_same_run(run: RunPaths, config: ExperimentConfig, *, epochs_may_grow: bool = False) -> None:
    """Refuses to use the folder of ``run`` for a config that is not the one it was made with.

    Raises:
        ConfigError: Names the first field that differs, with both values.
    """
    stored = read_section(ExperimentConfig, run.config)
    if stored is None:
        return
    changed = compare_fields(identity(stored), identity(config))
    if epochs_may_grow and config.training.epochs >= stored.training.epochs:
        changed.pop("training.epochs", None)
    for path in ("distillation.teacher_checkpoint", "model.pretrained_unet"):
        if all(isinstance(value, str) for value in changed.get(path, (None,))) and _same_file(*changed[path]):
            changed.pop(path)
    if changed:
        path, (old, new) = next(iter(changed.items()))
        raise ConfigError(
            f"{run.root} holds a run with another config: {path} is {old!r} there, {new!r} here; "
            "use its values, or give another --run_name"
        )


def is_finished(run: RunPaths) -> bool:
    """Whether the run ended well and its best checkpoint is there."""
    status = read_section(RunStatus, run.status)
    finished = status is not None and status.state == "finished" and read_section(RunResult, run.result) is not None
    return finished and run.best.is_file()


def _same_file(one: str, other: str) -> bool:
    return Path(one).resolve() == Path(other).resolve()


def _check(field: str, value: str | None, *, kind: str, output_dir: Path | None = None) -> None:
    if value is None:
        return
    path = Path(value)
    if {"file": path.is_file(), "folder": path.is_dir()}.get(kind, path.exists()):
        return
    flag = FLAG_OF_PATH.get(field)
    name = f"{flag} ({field})" if flag else field
    problem = f"is not a {kind}" if path.exists() else f"no such {kind}"
    listed = f"; {existing_checkpoints(output_dir)}" if output_dir is not None else ""
    raise ConfigError(f"{name}: {problem}: {value}{listed}")
