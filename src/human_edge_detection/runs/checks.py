"""What must be true before a run starts: there is data, and every path that the user names exists."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from human_edge_detection.errors import ConfigError, TrainingError
from human_edge_detection.experiments.flags import FLAG_OF_PATH
from human_edge_detection.experiments.schema.data import OWN_BOXES
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.external import is_external
from human_edge_detection.files.image_folder import image_files_below
from human_edge_detection.runs.artifacts import checkpoint_problem
from human_edge_detection.runs.paths import RunPaths, list_checkpoints
from human_edge_detection.runs.records import RunResult, RunStatus, read_section
from human_edge_detection.runs.what_to_give import instead_of

_LISTED = 8
_TEACHERS = ("distillation.teacher_checkpoint", "distillation.more_teacher_checkpoints")
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,119}(/seed_\d+)?")


def check_platform() -> None:
    """Refuses to train on Windows: locks, signals and exact resume are those of POSIX. Call it before all else.

    Raises:
        TrainingError: This is Windows.
    """
    if sys.platform == "win32":
        raise TrainingError(
            "training works on Linux (macOS: best effort) and not on Windows; train there, or in WSL 2; describe, "
            "evaluate and exported models work here"
        )


def check_run_name(name: str | None) -> None:
    """Refuses a ``name`` that cannot be a folder below the output folder.

    Raises:
        ConfigError: It cannot.
    """
    if name is not None and _RUN_NAME.fullmatch(name) is None:
        raise ConfigError(f"--run_name {name!r}: expected letters, digits and _ . + - (at most 120)")


def check_data_paths(config: ExperimentConfig) -> None:
    """Refuses data that are not there.

    Raises:
        ConfigError: Names the flag and the field.
    """
    for field in ("root", "train_images", "val_images"):
        _check(f"data.{field}", getattr(config.data, field), kind="folder")
    for field in ("train_ann", "val_ann"):
        _check(f"data.{field}", getattr(config.data, field), kind="file")
    unlabelled = config.data.unlabelled
    if unlabelled is not None:
        _check("data.unlabelled.images", unlabelled.images, kind="folder")
        if not image_files_below(Path(unlabelled.images)):
            raise ConfigError(f"data.unlabelled.images: no image file in {unlabelled.images} or below; give a folder")
        _check("data.unlabelled.boxes", None if unlabelled.boxes == OWN_BOXES else unlabelled.boxes, kind="file")


def check_test_paths(config: ExperimentConfig) -> None:
    """Refuses a test split that is not there; for runs that are yet to begin, as training does without one.

    Raises:
        ConfigError: Names the flag and the field.
    """
    _check("data.test_images", config.data.test_images, kind="folder")
    _check("data.test_ann", config.data.test_ann, kind="file")


def check_shares(config: ExperimentConfig, processes: int) -> None:
    """Refuses a batch that is too small for each of the processes that train a run to have an image of it.

    Raises:
        ConfigError: Says how many images and processes there are.
    """
    size = config.training.batch_size
    if isinstance(size, int) and size < processes:
        raise ConfigError(
            f"--batch_size {size} is that of all {processes} processes, and each takes an image at least; give "
            f"--batch_size {processes} or more, or fewer processes"
        )


def check_tracker(config: ExperimentConfig) -> None:
    """Refuses a tracker that is not installed.

    Raises:
        ConfigError: Says how to have it.
    """
    tracker = config.training.tracker
    if tracker == "tensorboard":
        return
    found = importlib.util.find_spec(tracker)
    if found is None or found.origin is None:  # the folder that wandb writes into is no package
        raise ConfigError(
            f"--tracker {tracker}: {tracker} is not installed; give the command with uv run --with {tracker}, install "
            f"it with pip, or leave --tracker out"
        )


def check_weight_paths(config: ExperimentConfig, output_dir: Path, *, awaited: Sequence[Path] = ()) -> None:
    """Refuses checkpoints and encoder weights that are not there.

    Args:
        config: The experiment.
        output_dir: Folder of all runs.
        awaited: Run folders whose checkpoints are yet to be written.

    Raises:
        ConfigError: Names the flag and the field, and lists the checkpoints that exist.
    """
    distillation = config.distillation
    weights = {
        _TEACHERS[0]: () if distillation is None else (distillation.teacher_checkpoint,),
        _TEACHERS[1]: () if distillation is None else distillation.more_teacher_checkpoints,
        "model.pretrained_unet": (config.model.pretrained_unet,),
        "model.init_from": (config.model.init_from,),
    }
    coming = [folder.resolve() for folder in awaited]
    for field, paths in weights.items():
        for path in paths:
            if path is None or _run_folder(Path(path)) not in coming:
                _check(field, path, kind="file", output_dir=output_dir)
    if config.model.encoder_weights not in ("imagenet", "none"):
        _check("model.encoder_weights", config.model.encoder_weights, kind="file or folder")


def _run_folder(checkpoint: Path) -> Path | None:
    """The folder of the run that ``checkpoint`` would be in; None for a link that leads in a circle."""
    try:
        return checkpoint.resolve().parent.parent
    except (OSError, RuntimeError):
        return None


def existing_checkpoints(output_dir: Path) -> str:
    """A phrase that lists the checkpoints below ``output_dir``, for error messages."""
    found = list_checkpoints(output_dir)
    if not found:
        return f"no checkpoint exists below {output_dir}"
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"checkpoints below {output_dir}: {', '.join(map(str, found[:_LISTED]))}{more}"


def is_finished(run: RunPaths) -> bool:
    """Whether the run ended well, with all epochs that its config has now, and its best checkpoint is there, whole."""
    status = read_section(RunStatus, run.status)
    if status is None or status.state != "finished" or read_section(RunResult, run.result) is None:
        return False
    config = read_section(ExperimentConfig, run.config)
    grows = config is not None and config.training.epochs != status.epochs
    return not grows and checkpoint_problem(run.best) is None


def _check(field: str, value: str | None, *, kind: str, output_dir: Path | None = None) -> None:
    if value is None:
        return
    path = Path(value)
    teaches = field in _TEACHERS and is_external(path)
    instead = instead_of(path) if output_dir is not None and not teaches else None
    if instead is None and {"file": path.is_file(), "folder": path.is_dir()}.get(kind, path.exists()):
        return
    flag = FLAG_OF_PATH.get(field)
    name = f"{flag} ({field})" if flag else field
    if instead is not None:
        answers = field in _TEACHERS and path.suffix.lower() == ".json"
        what = "; answers of another model teach by hed soft-labels --from" if answers else ""
        raise ConfigError(f"{name}: {value}: {instead}{what}")
    problem = f"is not a {kind}" if path.exists() else f"no such {kind}"
    listed = f"; {existing_checkpoints(output_dir)}" if output_dir is not None else ""
    raise ConfigError(f"{name}: {problem}: {value}{listed}")
