"""One run from config to result.json: the parts are built, the folder is made, and the status is always true."""

from __future__ import annotations

import logging
import os
import platform
import socket
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.advanced.state_dict import load_strictly
from human_edge_detection.data.dataset import PeopleDataset, collate
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import (
    build_distillation_loss,
    build_loss,
    build_model,
    build_optimizer,
    build_training_set,
    build_validation_set,
    load_encoder,
    read_splits,
)
from human_edge_detection.engine.checkpoint import Checkpoint, newest_good_checkpoint, read_checkpoint, save_checkpoint
from human_edge_detection.engine.device import (
    choose_device,
    choose_precision,
    make_deterministic,
    seed_everything,
)
from human_edge_detection.engine.evaluation import Metrics
from human_edge_detection.engine.progress import TrainingProgress
from human_edge_detection.engine.teacher import Teacher, check_teacher, load_teacher
from human_edge_detection.engine.trainer import Parts, Trainer
from human_edge_detection.engine.writers import truncate_metrics
from human_edge_detection.errors import CheckpointError, HumanEdgeDetectionError
from human_edge_detection.experiments.paths import RunPaths
from human_edge_detection.experiments.result import RunResult, RunStatus, State, write_json
from human_edge_detection.experiments.schema import ExperimentConfig
from human_edge_detection.log import log_to_file, stop_logging_to
from human_edge_detection.structures import Batch

logger = logging.getLogger(__name__)

_REPORTED_PACKAGES = ("human-edge-detection", "torch", "torchvision", "segmentation-models-pytorch", "albumentations")


def execute_run(
    config: ExperimentConfig,
    paths: RunPaths,
    *,
    resume: Path | None,
    init_from: Path | None,
    command: Sequence[str],
    sample_root: Path,
) -> RunResult:
    """Trains ``config`` in the folder ``paths``; continues from its newest good checkpoint when it has one.

    Args:
        config: The experiment; its dependencies (teacher, pre-trained U-Net) resolved to paths.
        paths: The run folder; made after everything that the user can get wrong has been checked.
        resume: Checkpoint of this run to continue from instead of the newest.
        init_from: Checkpoint whose weights a new run starts from.
        command: What the user typed, for provenance.json.
        sample_root: Where the embedded sample data are, or will be made.

    Returns:
        What result.json holds.

    Raises:
        HumanEdgeDetectionError: As its subclasses say; status.json says ``failed`` when the folder existed.
        KeyboardInterrupt: Interrupted; the state is saved and status.json says so.
    """
    status = _StatusFile(paths, config.training.epochs)
    trainer: Trainer | None = None
    handler: logging.Handler | None = None
    try:
        trainer, teacher_metrics = _prepare(config, paths, resume=resume, init_from=init_from, sample_root=sample_root)
        _write_declaration(config, paths, trainer.parts, command)
        handler = log_to_file(paths.training_log)
        status.write("running", trainer.progress)
        stopped = _watch(trainer, status)
        result = _result(trainer, teacher_metrics, early_stopped=stopped)
        write_json(paths.result, result.model_dump(mode="json"))
        status.write("finished", trainer.progress)
    except BaseException as error:
        if paths.root.exists():
            interrupted = isinstance(error, KeyboardInterrupt)
            message = None if interrupted else _message(error)
            status.write("interrupted" if interrupted else "failed", trainer and trainer.progress, error=message)
        raise
    finally:
        if handler is not None:
            stop_logging_to(handler)
    return result


def _message(error: BaseException) -> str:
    return str(error) if isinstance(error, HumanEdgeDetectionError) else f"{type(error).__name__}: {error}"


def _watch(trainer: Trainer, status: _StatusFile) -> bool:
    trainer.after_epoch = lambda: status.write("running", trainer.progress)
    return trainer.fit()


def _prepare(
    config: ExperimentConfig, paths: RunPaths, *, resume: Path | None, init_from: Path | None, sample_root: Path
) -> tuple[Trainer, Metrics | None]:
    """Everything before the first step; writes nothing into the run folder but its untrained weights."""
    device = choose_device(config.training.device)
    precision = choose_precision(config.training.precision, device)
    make_deterministic(device)
    start = resume or newest_good_checkpoint(paths)
    teacher = _load_teacher(config, device)
    splits = read_splits(config.data, sample_root)
    # Here, after the teacher has been built: with and without one, a student starts from the same weights.
    seed_everything(config.training.seed)
    student = _new_student(config, fresh=start is None, init_from=init_from)
    student.to(device, memory_format=torch.channels_last)
    training_set = build_training_set(config, splits.train)
    validation_set = build_validation_set(config.model, splits.val)
    settings = config.training
    parts = Parts(
        config=config,
        device=device,
        precision=precision,
        student=student,
        optimizer=build_optimizer(student, settings),
        loss=build_loss(config),
        distillation=build_distillation_loss(config.distillation) if config.distillation else None,
        teacher=teacher,
        training_set=training_set,
        validation=validation_batches(
            validation_set, batch_size=max(settings.batch_size, 4), num_workers=config.data.num_workers
        ),
        preview=_preview(validation_set, settings.visualize_images),
        data_fingerprint=splits.val.fingerprint,
    )
    trainer = Trainer(parts, paths)
    if start is not None:
        _restore(trainer, start)
    else:
        _first_batch(training_set)
    metrics = None
    if teacher is not None:
        metrics = check_teacher(
            teacher,
            splits.val,
            device=device,
            precision=precision,
            batch_size=max(settings.batch_size, 4),
            num_workers=config.data.num_workers,
        )
    if start is None:
        truncate_metrics(paths.metrics, 0)
        paths.checkpoints.mkdir(parents=True, exist_ok=True)
        save_checkpoint(paths.untrained, Checkpoint(config, student.state_dict(), 0, {}, splits.val.fingerprint))
    logger.info(
        "%s: %d training and %d validation images, %s, %s",
        config.name,
        len(training_set),
        len(validation_set),
        device,
        precision,
    )
    return trainer, metrics


def _load_teacher(config: ExperimentConfig, device: torch.device) -> Teacher | None:
    if config.distillation is None:
        return None
    if config.distillation.teacher_checkpoint is None:
        raise CheckpointError(f"{config.name}: no teacher; give --teacher_checkpoint PATH")
    return load_teacher(Path(config.distillation.teacher_checkpoint), device)


def _new_student(config: ExperimentConfig, *, fresh: bool, init_from: Path | None) -> RgbPersonSegmenter:
    """The student with the weights that a fresh run starts from; a resumed one gets its own weights afterwards."""
    student = build_model(config.model)
    if not fresh:
        return student
    if init_from is not None:
        checkpoint, _ = read_checkpoint(init_from)
        load_strictly(student, checkpoint.model, source=f"--init_from {init_from}: not the weights of {config.name}")
    elif config.model.pretrained_unet is not None:
        path = Path(config.model.pretrained_unet)
        checkpoint, _ = read_checkpoint(path)
        prefix = "unet."
        unet = {name.removeprefix(prefix): value for name, value in checkpoint.model.items() if name.startswith(prefix)}
        source = f"--pretrained_unet {path}: not a U-Net with {config.model.encoder}"
        load_strictly(student.unet, unet, source=source)
        logger.info("U-Net starts from %s (%s)", path, checkpoint.config.name)
    else:
        load_encoder(student, config.model)
    return student


def _first_batch(training_set: PeopleDataset) -> Batch:
    """Reads one sample, so that unreadable photographs stop a run before its folder is made."""
    return collate([training_set[(0, 0)]])


def _preview(validation_set: PeopleDataset, count: int) -> Batch | None:
    photographs = validation_set.people.photographs
    chosen = [index for index, photograph in enumerate(photographs) if photograph.persons][:count]
    return collate([validation_set[(0, index)] for index in chosen]) if chosen else None


def _restore(trainer: Trainer, path: Path) -> None:
    """Puts the state of ``path`` into ``trainer``, all of it."""
    checkpoint, _ = read_checkpoint(path)
    state, parts = checkpoint.training, trainer.parts
    if state is None:
        raise CheckpointError(f"--resume {path}: holds weights only; use --init_from, or resume from latest.pth")
    sha256 = parts.teacher.sha256 if parts.teacher else None
    if state["teacher_sha256"] != sha256:
        raise CheckpointError(
            f"resume {path}: was taught by another teacher (sha256 {str(state['teacher_sha256'])[:12]}, "
            f"now {str(sha256)[:12]}); give that teacher again, or start anew with --run_name"
        )
    source = f"resume {path}: not the weights of {parts.config.name}"
    if trainer.ema is not None:
        load_strictly(trainer.ema.model, checkpoint.model, source=source)
    load_strictly(parts.student, checkpoint.model if trainer.ema is None else state["student"], source=source)
    parts.optimizer.load_state_dict(state["optimizer"])
    trainer.scaler.load_state_dict(state["scaler"])
    trainer.progress = TrainingProgress.from_state(state["progress"])
    truncate_metrics(trainer.paths.metrics, trainer.progress.epoch)
    logger.info("continuing after epoch %d, step %d (%s)", trainer.progress.epoch, trainer.progress.step, path)


def _write_declaration(config: ExperimentConfig, paths: RunPaths, parts: Parts, command: Sequence[str]) -> None:
    write_json(paths.config, config.model_dump(mode="json"))
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    write_json(
        paths.provenance,
        {
            "command": list(command),
            "versions": {name: version(name) for name in _REPORTED_PACKAGES} | {"python": platform.python_version()},
            "git": git.stdout.strip() or None,
            "platform": platform.platform(),
            "device": str(parts.device),
            "precision": parts.precision,
            "threads": torch.get_num_threads(),
            "teacher_sha256": parts.teacher.sha256 if parts.teacher else None,
            "written": _now(),
        },
    )


def _result(trainer: Trainer, teacher_metrics: Metrics | None, *, early_stopped: bool) -> RunResult:
    parts, progress, config = trainer.parts, trainer.progress, trainer.parts.config
    teacher, distillation = parts.teacher, config.distillation
    best = progress.history[progress.best_epoch - 1]
    metrics = {name.removeprefix("val/"): value for name, value in best.items() if name.startswith("val/")}
    taught_by = teacher.checkpoint.config if teacher else None
    return RunResult(
        experiment=config.name,
        run_name=trainer.paths.root.name,
        seed=config.training.seed,
        encoder=config.model.encoder,
        teacher_checkpoint=str(teacher.path) if teacher else None,
        teacher_sha256=teacher.sha256 if teacher else None,
        teacher_experiment=taught_by.name if taught_by else None,
        teacher_encoder=taught_by.model.encoder if taught_by else None,
        teacher_miou=teacher_metrics["miou"] if teacher_metrics else None,
        teacher_parameters=teacher.parameters if teacher else None,
        temperature=distillation.temperature if distillation else None,
        alpha=distillation.alpha if distillation else None,
        unet_parameters=_count(parts.student.unet),
        total_parameters=_count(parts.student),
        best_epoch=progress.best_epoch,
        epochs=progress.epoch,
        metrics=metrics,
        seconds=progress.seconds,
        images_per_second=progress.images / progress.seconds if progress.seconds else None,
        best_checkpoint=str(trainer.paths.best),
        data_fingerprint=parts.data_fingerprint,
        early_stopped=early_stopped,
    )


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class _StatusFile:
    """status.json of a run, always whole."""

    def __init__(self, paths: RunPaths, epochs: int) -> None:
        self._path = paths.status
        self._epochs = epochs
        self._started = _now()

    def write(self, state: State, progress: TrainingProgress | None, *, error: str | None = None) -> None:
        status = RunStatus(
            state=state,
            epoch=progress.epoch if progress else 0,
            epochs=self._epochs,
            step=progress.step if progress else 0,
            error=error,
            pid=os.getpid(),
            host=socket.gethostname(),
            started=self._started,
            updated=_now(),
        )
        write_json(self._path, status.model_dump(mode="json"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
