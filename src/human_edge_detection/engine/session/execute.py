"""One run from config to result.json: the parts are built, the folder is made, and the status is always true."""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import torch

from human_edge_detection.data.mixed import labelled_part
from human_edge_detection.engine.evaluation.own_boxes import OwnBoxes
from human_edge_detection.engine.evaluation.per_image import count_per_image
from human_edge_detection.engine.evaluation.person_maps import PersonMaps, training_views
from human_edge_detection.engine.ranks import Ranks
from human_edge_detection.engine.session.prepare import prepare_following, prepare_training
from human_edge_detection.engine.session.sources import sources_of
from human_edge_detection.engine.session.status import StatusFile, now
from human_edge_detection.engine.session.together import Call, follow
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.errors import (
    FolderMovedError,
    FollowingError,
    HumanEdgeDetectionError,
    StorageError,
    explanation,
)
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.log import log_to_file, stop_logging_to
from human_edge_detection.runs.model_facts.sources import SOURCES
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.person_maps import Predictions
from human_edge_detection.runs.provenance import (
    changes_between,
    git_commit,
    processor_name,
    read_provenance,
    with_start,
)
from human_edge_detection.runs.records import RunResult, SkippedSample

logger = logging.getLogger(__name__)

_REPORTED_PACKAGES = (
    "human-edge-detection",
    "torch",
    "torchvision",
    "segmentation-models-pytorch",
    "opencv-python-headless",
)


def execute_run(
    config: ExperimentConfig,
    paths: RunPaths,
    *,
    resume: Path | None,
    command: Sequence[str],
    sample_root: Path,
) -> RunResult:
    """Trains ``config`` in the folder ``paths``; continues from its newest good checkpoint when it has one.

    Args:
        config: The experiment; its dependencies (teacher, pre-trained U-Net) resolved to paths.
        paths: The run folder; made after everything that the user can get wrong has been checked.
        resume: Checkpoint of this run to continue from instead of the newest.
        command: What the user typed, for provenance.json.
        sample_root: Where the embedded sample data are, or will be made.

    Returns:
        What result.json holds.

    Raises:
        HumanEdgeDetectionError: As its subclasses say; status.json says ``failed`` when the folder existed.
        KeyboardInterrupt: Interrupted; the state is saved and status.json says so.
    """
    status = StatusFile(paths, config.training.epochs)
    trainer: Trainer | None = None
    handler: logging.Handler | None = None
    begun = False
    try:
        trainer = prepare_training(
            config, paths, resume=resume, sample_root=sample_root, on_progress=status.running, alive=status.alive
        )
        progress = trainer.progress
        changes = _write_declaration(config, paths, trainer, command)
        handler = log_to_file(paths.training_log)
        _warn_of_changes(changes, trainer)
        status.begins(progress, trainer.total_steps)
        begun = True
        _write_training_views(trainer)
        stopped = trainer.fit()
        own_boxes = OwnBoxes(trainer.parts.validation.dataset.people) if config.model.detector is not None else None
        _write_per_image(trainer, status, own_boxes)
        result = _result(trainer, own_boxes, early_stopped=stopped)
        write_json(paths.result, result.model_dump(mode="json"))
        _warn_of_nobody(result)
        status.write("finished", progress)
    except BaseException as raised:
        error = explanation(raised) or raised
        if isinstance(error, HumanEdgeDetectionError):
            error.run_failed = begun
        if paths.root.exists():
            with suppress(FolderMovedError):  # what is there is not this run's
                status.ended(error, trainer.progress if trainer else None)
        if error is raised:
            raise
        raise error from raised
    finally:
        if handler is not None:
            stop_logging_to(handler)
    return result


def execute_following() -> Path:
    """In a process that is not the first of its run: trains what that one calls for.

    Returns:
        The run folder.

    Raises:
        FollowingError: The run ended with an error, which the first process reports.
        HumanEdgeDetectionError: This process cannot take part.
        KeyboardInterrupt: The processes of the run were asked to end.
    """
    return follow(_follow)


def _follow(call: Call, ranks: Ranks) -> None:
    trainer = prepare_following(call, ranks)
    try:
        trainer.fit()
    except HumanEdgeDetectionError as error:
        raise FollowingError(f"process {ranks.number} of {ranks.count}: {error}") from error


def _warn_of_nobody(result: RunResult) -> None:
    """Says so where the best model takes no pixel for a person: every later figure of it says nothing."""
    found = [result.metrics.get(name) for name in ("iou_target", "full_image_iou")]
    if 0.0 in found:
        what = "no pixel of a box for its person" if found[0] == 0.0 else "no pixel of an image for a person"
        logger.warning(
            "%s: the best model takes %s (IoU 0); train longer (--epochs), or look at the labels and the learning rate",
            result.experiment,
            what,
        )


def _write_declaration(
    config: ExperimentConfig, paths: RunPaths, trainer: Trainer, command: Sequence[str]
) -> list[str]:
    """Writes what is trained with what; returns what an exact resume needs to stay and has changed since."""
    device = trainer.parts.device
    before = read_provenance(paths)
    made_with = {
        "command": list(command),
        "versions": {name: version(name) for name in _REPORTED_PACKAGES} | {"python": platform.python_version()},
        "git": git_commit(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "device": str(device),
        "precision": trainer.state.precision,
        # On a GPU "fp32" leaves convolutions to TF32, unless somebody has forbidden it.
        "tf32_convolutions": torch.backends.cudnn.allow_tf32 if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "processes": trainer.ranks.count,
        "teacher_sha256": trainer.parts.origin.teacher_sha256,
        SOURCES: sources_of(trainer.parts, before).model_dump(mode="json"),
    }
    write_json(paths.config, config.model_dump(mode="json"))
    write_json(paths.provenance, with_start(before, made_with, time=now()))
    return changes_between(before, made_with)


def _warn_of_changes(changes: Sequence[str], trainer: Trainer) -> None:
    """Where a run that has made steps goes on with something that an exact resume needs to stay."""
    if changes and trainer.progress.step:
        logger.warning(
            "%s goes on with other than before (%s): its rest is as good, but not bit for bit that of an undisturbed "
            "run; provenance.json has both",
            trainer.paths.root,
            ", ".join(changes),
        )


def _write_per_image(trainer: Trainer, status: StatusFile, own_boxes: OwnBoxes | None) -> None:
    parts = trainer.parts
    person_maps = PersonMaps(parts.validation.dataset.people)
    counts = count_per_image(
        trainer.paths.best,
        parts.validation,
        device=parts.device,
        precision=trainer.state.precision,
        after_batch=lambda: status.running(trainer.progress),
        own_boxes=own_boxes,
        person_maps=person_maps,
    )
    write_atomically(trainer.paths.per_image, counts.model_dump_json().encode())
    predictions = Predictions(
        checkpoint_sha256=counts.checkpoint_sha256,
        data_fingerprint=counts.data_fingerprint,
        images=person_maps.compute(),
    )
    write_atomically(trainer.paths.predictions, predictions.model_dump_json().encode())


def _write_training_views(trainer: Trainer) -> None:
    """Once a run: its first views are the same whenever it goes on."""
    if trainer.paths.training_views.exists():
        return
    views = training_views(labelled_part(trainer.parts.training_set))
    try:
        write_atomically(trainer.paths.training_views, views.model_dump_json().encode())
    except StorageError as error:
        logger.warning("%s; training goes on", error)


def _result(trainer: Trainer, own_boxes: OwnBoxes | None, *, early_stopped: bool) -> RunResult:
    parts, progress, config = trainer.parts, trainer.progress, trainer.parts.config
    distillation = config.distillation
    best = progress.history[progress.best_epoch - 1]
    metrics = {name.removeprefix("val/"): value for name, value in best.items() if name.startswith("val/")}
    metrics |= own_boxes.compute() if own_boxes is not None else {}
    teacher = parts.distiller.record if parts.distiller else None
    teacher_scores = (teacher.metrics_on(parts.validation.dataset.people) if teacher else None) or {}
    last = progress.history[-1]
    return RunResult(
        experiment=config.name,
        run_name=trainer.paths.root.name,
        seed=config.training.seed,
        encoder=config.model.encoder,
        teacher_checkpoint=teacher.checkpoint if teacher else None,
        teacher_sha256=parts.origin.teacher_sha256,
        teacher_experiment=teacher.experiment if teacher else None,
        teacher_encoder=teacher.encoder if teacher else None,
        teacher_miou=parts.distiller.teacher_score if parts.distiller else None,
        teacher_parameters=teacher.parameters if teacher else None,
        teacher_kind=teacher.kind if teacher else None,
        teacher_full_image_iou=teacher_scores.get("full_image_iou"),
        temperature=distillation.temperature if distillation else None,
        alpha=distillation.alpha if distillation else None,
        last_temperature=last["temperature"] if distillation else None,
        last_alpha=last["alpha"] if distillation else None,
        last_loss=last.get("train/total"),
        last_hard_loss=last.get("train/hard"),
        last_soft_loss=last.get("train/soft"),
        unet_parameters=_count(trainer.state.student.unet),
        total_parameters=_count(trainer.state.student),
        best_epoch=progress.best_epoch,
        epochs=progress.epoch,
        metrics=metrics,
        seconds=progress.seconds,
        images=progress.images,
        images_per_second=progress.images / progress.seconds if progress.seconds else None,
        best_checkpoint=trainer.paths.best.relative_to(trainer.paths.root).as_posix(),
        data_fingerprint=parts.origin.data_fingerprint,
        training_fingerprint=parts.origin.training_fingerprint,
        validation_images=parts.origin.validation_images,
        training_images=parts.origin.training_images,
        unlabelled=parts.origin.unlabelled,
        early_stopped=early_stopped,
        skipped_samples=tuple(SkippedSample(**sample._asdict()) for sample in parts.skipped),
    )


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
