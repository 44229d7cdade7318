"""What a training takes of this machine: some of its steps, and some of its validation, timed and weighed.

Weights are random, as neither time nor memory depends on them: no teacher need be trained, nothing is downloaded.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.loader import batches_per_epoch, training_batches
from human_edge_detection.data.mixed import drawn_in_epoch
from human_edge_detection.engine.build import Splits, build_model, build_training_set, read_splits
from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.device import choose_device, choose_precision, keep_freed_memory, make_deterministic
from human_edge_detection.engine.evaluation.evaluate import measure, predictor
from human_edge_detection.engine.session.prepare import distillation_loss_of, make_parts, new_state, origin_of
from human_edge_detection.engine.teaching.distiller import Distiller
from human_edge_detection.engine.teaching.soft_labels import open_soft_labels, teacher_record
from human_edge_detection.engine.teaching.teacher import untrained_teachers
from human_edge_detection.engine.teaching.teachers import Teachers
from human_edge_detection.engine.teaching.unlabelled import read_unlabelled
from human_edge_detection.engine.training.parts import Parts
from human_edge_detection.engine.training.state import TrainingState
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.errors import is_out_of_memory
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.files.image_folder import image_files_below
from human_edge_detection.limits import available_memory, forget_peak_memory, peak_memory, resident_memory
from human_edge_detection.runs.paths import RunPaths, scan_cache
from human_edge_detection.runs.provenance import processor_name
from human_edge_detection.runs.records import Probe, ProbeRequest

_VALIDATION_BATCHES: Final = 3
"""At most, and no more than steps. The first is not timed where there are others: with it data workers start."""
_LEAST_DRAWN: Final = (16, 4)
"""Training and validation images that are drawn, where all that are to be drawn would take long."""


def probe_training(request: ProbeRequest, folder: Path) -> Iterator[Probe]:
    """Measures the batch sizes of ``request``, one after the other, until the next one might not fit into the memory.

    Args:
        request: The training, and what to measure of it.
        folder: Takes drawn images; nothing else is written.

    Raises:
        HumanEdgeDetectionError: As when this training is started: its data, its device.
    """
    config = request.config
    device = choose_device(config.training.device)
    available = _available(device)
    keep_freed_memory()
    make_deterministic(device, wanted=config.training.deterministic)
    # Soft labels belong to images by their number, so there these stay as they are.
    stored = config.distillation is not None and config.distillation.soft_labels is not None
    splits, counts = _splits(config, folder, most=None if stored else max(request.batch_sizes))
    if request.crowded and not stored:
        images = max(request.batch_sizes) * (request.steps + 1) * config.training.accumulation_steps
        splits = Splits(_most_crowded(splits.train, images), _most_crowded(splits.val, images))
    parts, state = _parts(request, splits, device)
    for batch_size in request.batch_sizes:
        sized = _with_batch_size(parts, splits, state, batch_size)
        try:
            probe = _measure(sized, state, request.steps, RunPaths(folder), counts, available)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return
        yield probe
        larger = [size for size in request.batch_sizes if size > batch_size]
        if larger and not _may_fit(probe, larger[0]):
            return


def _splits(config: ExperimentConfig, folder: Path, *, most: int | None) -> tuple[Splits, tuple[int, int]]:
    """The data, and how many images they have in all; where they are drawn, enough for a batch of ``most``."""
    data, seed = config.data, config.training.seed
    if data.sample is None:
        splits = read_splits(data, folder, seed=seed, scan_cache=scan_cache(data))
        return splits, (len(splits.train.images), len(splits.val.images))
    drawn = data.sample
    few = drawn
    if most is not None:
        train, val = (max(least, most) for least in _LEAST_DRAWN)
        counts = {"train_images": min(train, drawn.train_images), "val_images": min(val, drawn.val_images)}
        few = drawn.model_copy(update=counts)
    splits = read_splits(data.model_copy(update={"sample": few}), folder / "drawn", seed=seed)
    wanted = drawn.train_images if data.max_train_images is None else min(drawn.train_images, data.max_train_images)
    return splits, (wanted, drawn.val_images)


def _most_crowded(people: AnnotationSet, count: int) -> AnnotationSet:
    order = np.argsort(-people.images.person_counts, kind="stable")
    return replace(people, images=people.images.select(order[:count]))


def _parts(request: ProbeRequest, splits: Splits, device: torch.device) -> tuple[Parts, TrainingState]:
    config = derive(
        request.config,
        name=request.config.name,
        training={"visualize_images": 0, "batch_size": min(request.batch_sizes)},
    )
    soft_labels = open_soft_labels(config, splits, read_unlabelled(config.data, splits))
    mirrored = config.distillation is not None and bool(config.distillation.flip_averaging)
    teacher = (
        untrained_teachers(request.teachers, device, mirrored=mirrored)
        if request.teachers and soft_labels is None
        else None
    )
    loss = distillation_loss_of(config, teacher, device)
    student = build_model(config.model)
    student.to(device).to(memory_format=torch.channels_last)
    precision = choose_precision(config.training.precision, device)
    training_set = build_training_set(
        config,
        splits.train,
        teacher_size=teacher.wanted_size(config.model.image_size) if teacher else None,
        soft_labels=soft_labels,
    )
    distiller = None
    if config.distillation is not None and loss is not None:
        if soft_labels is not None:
            distiller = Distiller(config.distillation, loss, soft_labels, soft_labels.metadata.teacher, None)
        elif teacher is not None:
            record = teacher_record(teacher, {}, splits.val)
            distiller = Distiller(config.distillation, loss, Teachers(teacher, None), record, None)
    parts = make_parts(config, distiller, splits, training_set, device, precision, origin_of(splits, None))
    return parts, new_state(config, student, precision, loss)


def _with_batch_size(parts: Parts, splits: Splits, state: TrainingState, batch_size: int) -> Parts:
    config = derive(parts.config, name=parts.config.name, training={"batch_size": batch_size})
    return make_parts(config, parts.distiller, splits, parts.training_set, parts.device, state.precision, parts.origin)


def _measure(
    parts: Parts, state: TrainingState, steps: int, paths: RunPaths, counts: tuple[int, int], available: int | None
) -> Probe:
    """Trains ``steps`` steps after a first one, which also measures the shares of the gradient, and validates a bit."""
    training = parts.config.training
    state.progress = TrainingProgress()
    trainer = Trainer(parts, state, paths)
    in_epoch = counts[0] + _drawn(parts.config.data, counts[0])
    _forget_peak(parts.device)
    seconds = _time_steps(trainer, steps)
    validating = _time_validation(parts, state, min(steps, _VALIDATION_BATCHES))
    return Probe(
        batch_size=training.batch_size,
        steps=steps,
        seconds_per_step=statistics.median(seconds),
        seconds_per_validation_batch=validating,
        steps_per_epoch=-(-batches_per_epoch(in_epoch, training.batch_size) // training.accumulation_steps),
        validation_batches=batches_per_epoch(counts[1], parts.loading.validation_batch(parts.config.model.image_size)),
        epochs=training.epochs,
        training_images=counts[0],
        peak_bytes=_peak(parts.device),
        available_bytes=available,
        device=str(parts.device),
        machine=_machine(parts.device),
        precision=state.precision,
    )


def _drawn(data: DataConfig, labelled: int) -> int:
    """Images without labels of an epoch. None is among the steps that are measured, which take no longer with one."""
    if data.unlabelled is None:
        return 0
    return drawn_in_epoch(labelled, len(image_files_below(Path(data.unlabelled.images))), data.unlabelled.ratio)


def _time_steps(trainer: Trainer, steps: int) -> list[float]:
    """Seconds on the clock of each step but the first, with waiting for its batches."""
    settings, loading = trainer.settings, trainer.parts.loading
    batches = (steps + 1) * settings.accumulation_steps
    stream = training_batches(
        trainer.parts.training_set,
        batch_size=settings.batch_size,
        seed=settings.seed,
        start_epoch=0,
        start_batch=0,
        epochs=-(-batches // trainer.batches),
        num_workers=loading.workers,
        pin=loading.pin,
    )
    done = []
    with closing(stream):
        for _ in range(steps + 1):
            group = list(islice(stream, settings.accumulation_steps))
            trainer.train_step(group)
            trainer.progress.batch += len(group)
            done.append(time.perf_counter())
    return [after - before for before, after in pairwise(done)]


def _time_validation(parts: Parts, state: TrainingState, count: int) -> float:
    """Seconds for a batch of the validation, the last ones of ``count``."""
    done = [time.perf_counter()]
    batches = iter(parts.validation)
    with closing(batches):
        measure(
            predictor(state.model),
            islice(batches, count),
            device=parts.device,
            precision=state.precision,
            mask_size=parts.config.model.mask_size,
            after_batch=lambda: done.append(time.perf_counter()),
        )
    between = [after - before for before, after in pairwise(done)]
    return statistics.mean(between[1:] or between)


def _may_fit(probe: Probe, batch_size: int) -> bool:
    """Whether ``batch_size`` cannot end in a process that is killed: were all memory of the batch, it would fit."""
    if probe.peak_bytes is None or probe.available_bytes is None:
        return True
    return probe.peak_bytes * batch_size / probe.batch_size <= probe.available_bytes


def _available(device: torch.device) -> int | None:
    """Bytes that this process may hold in all."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free, held = available_memory(), resident_memory()
    return None if free is None or held is None else free + held


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        forget_peak_memory()


def _peak(device: torch.device) -> int | None:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else peak_memory()


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{processor_name()}, {threads} thread{'s' if threads > 1 else ''}"
