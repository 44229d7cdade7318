"""Everything before the first step: parts built, weights loaded, the teacher measured, an earlier state restored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.advanced.knowledge_distillation import DistillationLoss
from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.dataset import PersonDataset, collate
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.data.mixed import MixedDataset, labelled_part
from human_edge_detection.engine.build import (
    Splits,
    build_distillation_loss,
    build_loss,
    build_model,
    build_optimizer,
    build_training_set,
    build_validation_set,
    load_encoder,
    read_splits,
)
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.checkpoints.go_back import go_back
from human_edge_detection.engine.checkpoints.initial_weights import load_initial_weights, load_unet
from human_edge_detection.engine.checkpoints.save_policy import mend_best, newest_good_checkpoint
from human_edge_detection.engine.device import (
    choose_device,
    choose_precision,
    keep_freed_memory,
    make_deterministic,
    seed_everything,
)
from human_edge_detection.engine.loading import loading_of
from human_edge_detection.engine.precision import Precision
from human_edge_detection.engine.ranks import Ranks
from human_edge_detection.engine.session.together import Call, call_others
from human_edge_detection.engine.teaching.alpha_holdout import hold_out, measure_holdout
from human_edge_detection.engine.teaching.distiller import Distiller
from human_edge_detection.engine.teaching.external.teacher import ask_external_teacher
from human_edge_detection.engine.teaching.soft_labels import SoftLabels, open_soft_labels
from human_edge_detection.engine.teaching.teacher import Teacher, load_teachers
from human_edge_detection.engine.teaching.teachers import Teachers
from human_edge_detection.engine.teaching.unlabelled import (
    Unlabelled,
    asks_detector,
    find_boxes,
    read_unlabelled,
    warn_of_weak_teacher,
    with_own_boxes,
)
from human_edge_detection.engine.training.overview import write_overview
from human_edge_detection.engine.training.parts import Parts
from human_edge_detection.engine.training.state import Origin, TrainingState
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.engine.training.writers import write_metrics
from human_edge_detection.errors import CheckpointError, ConfigError, DataError
from human_edge_detection.experiments.difference import compare_fields
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.lookup.identity import identity_fields
from human_edge_detection.runs.paths import RunPaths, scan_cache
from human_edge_detection.structures import Batch

logger = logging.getLogger(__name__)


def prepare_training(
    config: ExperimentConfig,
    paths: RunPaths,
    *,
    resume: Path | None,
    sample_root: Path,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    alive: Callable[[], None] = lambda: None,
) -> Trainer:
    """Builds and checks everything; writes nothing into the run folder but the untrained weights of a new run.

    Where several processes train the run, this is the first one, and calls the others when all else is done: they find
    whatever has been measured, asked and drawn here.

    Args:
        config: The experiment; its dependencies (teacher, pre-trained U-Net) resolved to paths.
        paths: The run folder; it need not exist.
        resume: Checkpoint to continue from; None: the newest good one of the folder, if there is any.
        sample_root: Where the embedded sample data are, or will be made.
        on_progress: Called after each step and each validation batch.
        alive: Called now and then while all this takes long, after each image or batch.

    Raises:
        HumanEdgeDetectionError: As its subclasses say.
    """
    device = _device_of(config)
    start = _start(config, paths, resume)
    precision = _precision(config.training.precision, device, start)
    parts, state = _parts_and_state(config, device, precision, sample_root, alive, fresh=start is None)
    if start is not None:
        _go_on(state, start, parts.origin, config, paths, resume or paths.latest)
    else:
        _read_one_sample(parts.training_set)
    write_metrics(paths.metrics, state.progress.history)
    write_overview(paths, state.progress.history)
    if start is None:
        weights = state.student.state_dict()
        save_checkpoint(paths.untrained, Checkpoint(config, weights, 0, {}, parts.origin.data_fingerprint))
    call = Call(kind="train", config=config.model_dump_json(), root=paths.root, sample_root=sample_root)
    ranks = call_others(call.model_copy(update={"precision": precision}))
    _share(state, ranks, parts)
    return Trainer(parts, state, paths, ranks=ranks, on_progress=on_progress)


def prepare_following(call: Call, ranks: Ranks) -> Trainer:
    """The same in a process that the first one has called: nothing is written, and the state is that one's.

    Raises:
        HumanEdgeDetectionError: As its subclasses say.
    """
    assert call.root is not None
    assert call.sample_root is not None
    config = call.experiment
    device = _device_of(config)
    precision = choose_precision(str(call.precision), device)
    parts, state = _parts_and_state(config, device, precision, call.sample_root, lambda: None, fresh=True)
    _share(state, ranks, parts)
    return Trainer(parts, state, RunPaths(call.root), ranks=ranks)


def _share(state: TrainingState, ranks: Ranks, parts: Parts) -> None:
    """Gives each process the state of the first one, so that all begin with the same."""
    if ranks.count == 1:
        return
    checkpoint = state.to_checkpoint(parts.config, parts.origin, {}) if ranks.is_first else None
    mine = (checkpoint.model, checkpoint.training, parts.origin) if checkpoint is not None else None
    shared = ranks.broadcast(mine)
    assert shared is not None
    model, training, origin = shared
    assert training is not None  # to_checkpoint packs all
    if origin != parts.origin:
        raise DataError(
            f"process {ranks.number} of {ranks.count} finds other data, or another teacher, than the first one under "
            "the same paths; the folders must be the same on all machines"
        )
    if not ranks.is_first:
        state.copy_from(model, training)


def _device_of(config: ExperimentConfig) -> torch.device:
    device = choose_device(config.training.device)
    keep_freed_memory()
    make_deterministic(device, wanted=config.training.deterministic)
    return device


def _parts_and_state(
    config: ExperimentConfig,
    device: torch.device,
    precision: Precision,
    sample_root: Path,
    alive: Callable[[], None],
    *,
    fresh: bool,
) -> tuple[Parts, TrainingState]:
    """What a run trains with, and its state before the first step; one that goes on is not ``fresh``."""
    teacher = _load_teacher(config, device)
    data, seed = config.data, config.training.seed
    splits = read_splits(data, sample_root, seed=seed, scan_cache=scan_cache(data), after_image=alive, with_test=True)
    unlabelled = read_unlabelled(data, splits, alive=alive)
    splits, held_out = hold_out(config, splits)
    soft_labels = open_soft_labels(config, splits, unlabelled)
    teachers = None if soft_labels is not None else _teachers(config, teacher, splits, alive)
    unlabelled = _located(config, unlabelled, teacher, soft_labels, device, alive)
    distillation_loss = distillation_loss_of(config, teacher, device)
    # Here, after the teacher has been built: with and without one, a student starts from the same weights.
    seed_everything(config.training.seed)
    student = _new_student(config, fresh=fresh).to(device).to(memory_format=torch.channels_last)
    state = new_state(config, student, precision, distillation_loss)
    origin = origin_of(splits, _teacher_sha256(teachers, soft_labels), unlabelled)
    training_set = build_training_set(
        config,
        splits.train,
        teacher_size=teachers.wanted_size(config.model.image_size) if teachers else None,
        soft_labels=teachers.soft_labels if teachers else soft_labels,
        unlabelled=unlabelled.people if unlabelled else None,
    )
    distiller = _distiller(config, distillation_loss, teachers, soft_labels, splits, held_out, device, precision, alive)
    return make_parts(config, distiller, splits, training_set, device, precision, origin), state


def _warn_of_unused(data: DataConfig) -> None:
    unused = [] if data.augmentation is None else [f"data.augmentation.{name}" for name in data.augmentation.unused]
    if unused:
        logger.warning("%s: no effect beside data.augmentation.pipeline; give the default", ", ".join(unused))


def _start(config: ExperimentConfig, paths: RunPaths, resume: Path | None) -> Checkpoint | None:
    """Where the run goes on from; None: it is new."""
    if resume is None:
        start, sha256 = newest_good_checkpoint(paths), ""
    else:
        start, sha256 = read_checkpoint(resume)
        if start.training is None:
            raise CheckpointError(f"--resume {resume}: holds weights only; use --init_from, or resume from latest.pth")
    if start is None:
        return None
    changed = compare_fields(identity_fields(start.config), identity_fields(config))
    if changed:
        path, (old, new) = next(iter(changed.items()))
        raise CheckpointError(
            f"{paths.config} and the config in {resume or paths.latest} differ: {path} is {new!r} and {old!r}; one of "
            "them was edited: restore config.json, or train another run"
        )
    if resume is not None:
        go_back(paths, resume, start, sha256)
    return start


def _go_on(
    state: TrainingState, start: Checkpoint, origin: Origin, config: ExperimentConfig, paths: RunPaths, file: Path
) -> None:
    state.restore(start, origin, name=config.name, source=f"resume {file}")
    if state.progress.best_epoch:
        _find_best(state.progress, paths, going_back=file != paths.latest)
    logger.info("continuing after epoch %d, step %d (%s)", state.progress.epoch, state.progress.step, file)


def _find_best(progress: TrainingProgress, paths: RunPaths, *, going_back: bool) -> None:
    """The weights of the best epoch so far; after going back past them, those of the epoch gone back to."""
    try:
        mend_best(paths, progress.best_epoch)
    except CheckpointError:
        if not going_back:
            raise
        logger.warning(
            "the weights of epoch %d, the best until epoch %d, are not kept any more; epoch %d takes its place",
            progress.best_epoch,
            progress.epoch,
            progress.epoch,
        )
        progress.take_last_as_best()
        mend_best(paths, progress.best_epoch)


def new_state(
    config: ExperimentConfig,
    student: RgbPersonSegmenter,
    precision: Precision,
    distillation_loss: DistillationLoss | None,
) -> TrainingState:
    """A run before its first step."""
    beside = distillation_loss.parameters() if distillation_loss else ()
    return TrainingState(
        student,
        build_optimizer(student, config.training, beside=beside),
        precision=precision,
        ema_decay=config.training.ema.decay if config.training.ema else None,
        adapter=distillation_loss.adapter if distillation_loss else None,
    )


def distillation_loss_of(
    config: ExperimentConfig, teacher: Teacher | None, device: torch.device
) -> DistillationLoss | None:
    """What compares ``config``'s student with its teacher; None without distillation."""
    if config.distillation is None:
        return None
    loss = build_distillation_loss(
        config.distillation, student=config.model, teacher=teacher.checkpoint.config.model if teacher else None
    )
    if loss.adapter is not None:
        loss.adapter.to(device)
    return loss


def origin_of(splits: Splits, teacher_sha256: str | None, unlabelled: Unlabelled | None = None) -> Origin:
    """What a run on ``splits`` learns from."""
    return Origin(
        training_fingerprint=splits.train.fingerprint,
        data_fingerprint=splits.val.fingerprint,
        teacher_sha256=teacher_sha256,
        training_images=splits.train.images_fingerprint,
        validation_images=splits.val.images_fingerprint,
        unlabelled=unlabelled.fingerprint if unlabelled else None,
    )


def _teachers(
    config: ExperimentConfig, own: Teacher | None, splits: Splits, alive: Callable[[], None]
) -> Teachers | None:
    """All who teach where nothing is stored; None: nobody."""
    external = ask_external_teacher(config, splits, alive=alive)
    return None if own is None and external is None else Teachers(own, external)


def _located(
    config: ExperimentConfig,
    unlabelled: Unlabelled | None,
    teacher: Teacher | None,
    soft_labels: SoftLabels | None,
    device: torch.device,
    alive: Callable[[], None],
) -> Unlabelled | None:
    """``unlabelled`` with the boxes of the teacher's detector, where these are asked for."""
    if soft_labels is not None:
        return soft_labels.located(unlabelled)
    section = config.data.unlabelled
    if unlabelled is None or section is None or not asks_detector(config.data):
        return unlabelled
    assert teacher is not None  # a rule of the schema: a teacher or its soft labels
    boxes = find_boxes(
        teacher,
        unlabelled.people,
        min_score=section.min_score,
        device=device,
        loading=loading_of(config, device),
        alive=alive,
    )
    return with_own_boxes(unlabelled, boxes)


def _teacher_sha256(teachers: Teachers | None, soft_labels: SoftLabels | None) -> str | None:
    """Tells the teacher, or the teachers, from any other, whether the soft labels are stored or not."""
    if soft_labels is not None:
        return soft_labels.metadata.key.source
    return teachers.fingerprint if teachers else None


def _distiller(
    config: ExperimentConfig,
    loss: DistillationLoss | None,
    teachers: Teachers | None,
    soft_labels: SoftLabels | None,
    splits: Splits,
    held_out: AnnotationSet | None,
    device: torch.device,
    precision: Precision,
    alive: Callable[[], None],
) -> Distiller | None:
    """What teaches, if anything; a loaded teacher is measured here, before the first step."""
    if config.distillation is None or loss is None:
        return None
    if soft_labels is not None:
        record, holdout = soft_labels.metadata.teacher, None
    else:
        assert teachers is not None  # a rule of the schema: a teacher or its soft labels
        holdout, own = None, teachers.own
        if held_out is not None and own is not None:
            holdout = measure_holdout(config, own, held_out, device=device, precision=precision, after_batch=alive)
        record = teachers.measure(
            splits.val,
            config.model,
            device=device,
            precision=precision,
            loading=loading_of(config, device),
            after_batch=alive,
        )
    source = soft_labels or teachers
    assert source is not None
    measured = record.metrics_on(splits.val)
    assert measured is not None  # of a loaded teacher just now; soft labels without them are refused
    unlabelled = config.data.unlabelled
    return Distiller(
        config.distillation,
        loss,
        source,
        record,
        measured["miou"],
        holdout,
        unlabelled_confidence=unlabelled.confidence if unlabelled else 0.0,
    )


def make_parts(
    config: ExperimentConfig,
    distiller: Distiller | None,
    splits: Splits,
    training_set: PersonDataset | MixedDataset,
    device: torch.device,
    precision: Precision,
    origin: Origin,
) -> Parts:
    """What a run of ``config`` trains with, its validation among it."""
    _warn_of_unused(config.data)
    loading = loading_of(config, device)
    validation_set = build_validation_set(config.model, splits.val)
    logger.info(
        "%s: %d training and %d validation images, %s, %s",
        config.name,
        len(labelled_part(training_set)),
        len(validation_set),
        device,
        precision,
    )
    if isinstance(training_set, MixedDataset):
        labelled, drawn = len(training_set.labelled), training_set.drawn
        logger.info(
            "%s: an epoch has %d images: %d labelled, and %d of the %d without labels, with %d persons in all, in %s",
            config.name,
            len(training_set),
            labelled,
            drawn,
            len(training_set.unlabelled),
            training_set.unlabelled.people.images.person_counts.sum(),
            training_set.unlabelled.people.images_dir,
        )
        warn_of_weak_teacher(distiller.teacher_score if distiller else None, drawn, labelled)
    preview_set = build_validation_set(config.model, splits.val, teacher_size=training_set.teacher_size)
    return Parts(
        config=config,
        device=device,
        loading=loading,
        loss=build_loss(config),
        distiller=distiller,
        training_set=training_set,
        validation=validation_batches(
            validation_set,
            batch_size=loading.validation_batch(config.model.image_size),
            num_workers=loading.workers,
            pin=loading.pin,
            keep_workers=True,
        ),
        preview=_preview(preview_set, config.training.visualize_images),
        origin=origin,
        skipped=(*splits.train.skipped, *splits.val.skipped),
    )


def _precision(wanted: str, device: torch.device, start: Checkpoint | None) -> Precision:
    """For ``auto`` that of the run so far, where the device has it: on another machine another may be the quickest."""
    so_far = start.training.get("precision") if start is not None and start.training is not None else None
    if wanted != "auto" or so_far not in get_args(Precision):
        return choose_precision(wanted, device)
    try:
        return choose_precision(str(so_far), device)
    except ConfigError:
        logger.warning("this run was trained in %s until now, which is not for %s: it goes on in fp32", so_far, device)
        return "fp32"


def _load_teacher(config: ExperimentConfig, device: torch.device) -> Teacher | None:
    distillation = config.distillation
    if distillation is None or distillation.soft_labels is not None:
        return None
    if not distillation.teacher_paths:
        raise CheckpointError(f"{config.name}: no teacher; give --teacher_checkpoint PATH")
    own = distillation.own_teacher_paths
    return load_teachers(own, device, mirrored=bool(distillation.flip_averaging)) if own else None


def _new_student(config: ExperimentConfig, *, fresh: bool) -> RgbPersonSegmenter:
    """The student with the weights that a fresh run starts from; a resumed one gets its own weights afterwards."""
    student = build_model(config.model)
    if not fresh:
        return student
    if config.model.init_from is not None:
        load_initial_weights(student, Path(config.model.init_from), config)
    elif config.model.pretrained_unet is not None:
        load_unet(student, Path(config.model.pretrained_unet), config)
    else:
        load_encoder(student, config.model)
    return student


def _read_one_sample(training_set: PersonDataset | MixedDataset) -> None:
    """So that images which cannot be read stop a run before its folder is made."""
    training_set[(0, 0)]


def _preview(validation_set: PersonDataset, count: int) -> Batch | None:
    with_people = np.flatnonzero(validation_set.people.images.person_counts).tolist()
    count = min(count, len(with_people))
    # Evenly spread: files of one source often stand together.
    chosen = [with_people[number * len(with_people) // count] for number in range(count)]
    return collate([validation_set[(0, index)] for index in chosen]) if chosen else None
