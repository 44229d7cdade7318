"""``--batch_size auto``: one number for all runs of a command, the largest that fits into memory; kept by the runs.

It is a word of the request alone. Before anything is planned a number takes its place, so that a run, its teacher and
its control have the same, and their configs say which. Given again, the number of the runs that are there is taken.
"""

from __future__ import annotations

import json
import logging
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.flags import AUTO, BATCH_SIZE
from human_edge_detection.experiments.overrides import Change, Overrides, touched
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.experiments.schema.training import MOST_IMAGES_IN_BATCH
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.runner.execution.request import BatchRequest, named_units
from human_edge_detection.runner.probe import probe
from human_edge_detection.runs.checkpoint_config import config_in_checkpoint
from human_edge_detection.runs.lookup.placement import RunIndex
from human_edge_detection.runs.paths import run_paths_of_checkpoint
from human_edge_detection.runs.records import Probe, ProbeRequest
from human_edge_detection.wording import gib

logger = logging.getLogger(__name__)

SHARE: Final = 0.7
"""Of the available memory that training may take; data workers, other programs and fragments have the rest."""
MOST_ON_CPU: Final = 8
"""On a CPU 16 images at once train hardly quicker than 8, and leave half as many updates."""
_STARTING_WEIGHTS: Final = ("pretrained_unet", "pretrained_unet_config", "freeze_unet_epochs", "init_from")
_MEASURED: Final = (1, 2, 4)
"""Batch sizes; memory grows linearly with them."""
_STEPS: Final = 1
"""After one to warm up: from the second on the optimizer has its memory, too."""

Plan = Callable[[BatchRequest], Sequence[PlannedRun]]
"""The runs of a request, checked; writes nothing."""


class Choice(NamedTuple):
    """A batch size.

    Attributes:
        batch_size: Images.
        takes: Bytes, about.
        why: Why it is this one, in words with figures.
    """

    batch_size: int
    takes: float
    why: str


def with_batch_size(request: BatchRequest, plan: Plan) -> BatchRequest:
    """``request`` with a number where it asks for ``--batch_size auto``; any other as it is.

    Args:
        request: What a user asks for.
        plan: How its runs are found; what is wrong with them is told before anything is measured.

    Raises:
        ConfigError: Not even one image at a time fits into memory, or this system does not tell how much there is.
        HumanEdgeDetectionError: As ``plan`` does, or as training would.
        KeyboardInterrupt: This process was asked to end while a child measured.
    """
    if not _is_asked(request.overrides):
        return request
    if request.resume is not None:
        logger.info("--batch_size auto: %s goes on with the batch size that it has", request.resume)
        return replace(request, overrides=request.overrides.without(BATCH_SIZE))
    for number in _numbers_there(request):
        kept = _with(request, number)
        there = next((run for run in plan(replace(kept, restart=False)) if run.named and run.kind != "new"), None)
        if there is not None:
            logger.info("--batch_size auto: %d, as in %s", number, there.paths.root)
            return kept
    choice = _choose(plan(_with(request, 1)))
    logger.info("--batch_size auto: %d; %s", choice.batch_size, choice.why)
    return _with(request, choice.batch_size)


def largest_batch_size(probes: Sequence[Probe], name: str) -> Choice:
    """The largest power of two that takes no more than :data:`SHARE` of the available memory, by a line through probes.

    Not more than there are training images and, on a CPU, :data:`MOST_ON_CPU`.

    Args:
        probes: Of one training, ascending.
        name: Of the experiment, for the message.

    Raises:
        ConfigError: One image at a time does not fit, or this system does not tell.
    """
    if not probes:
        raise ConfigError(
            f"--batch_size auto: {name} does not fit into the memory here, not even with one image at a time; lower "
            "model.image_size or data.max_rois_per_image, or free memory"
        )
    peaks = [found.peak_bytes for found in probes if found.peak_bytes is not None]
    available = probes[0].available_bytes
    if available is None or len(peaks) < len(probes):
        raise ConfigError("--batch_size auto: this system does not tell how much memory there is; give a number")
    takes = _line([found.batch_size for found in probes], peaks)
    fitting = [size for size in _powers_of_two(probes[0]) if takes(size) <= SHARE * available]
    if not fitting:
        raise ConfigError(
            f"--batch_size auto: {name} takes {gib(peaks[0])} with one image at a time, more than {SHARE:.0%} of the "
            f"{gib(available)} that are available; lower model.image_size or data.max_rois_per_image, free memory, or "
            "give --batch_size 1"
        )
    return Choice(fitting[-1], takes(fitting[-1]), _why(fitting[-1], probes, peaks, takes, name))


def _why(size: int, probes: Sequence[Probe], peaks: Sequence[int], takes: Callable[[int], float], name: str) -> str:
    first = probes[0]
    measured = ", ".join(f"{gib(peak)} with {found.batch_size}" for found, peak in zip(probes, peaks, strict=True))
    bound = f"{2 * size} {gib(round(takes(2 * size)))}"
    if 2 * size > first.training_images:
        bound = f"there are {first.training_images} training images"
    elif first.device == "cpu" and size == MOST_ON_CPU:
        bound = "more is hardly quicker on a CPU"
    return (
        f"{name} took {measured}; {size} would take {gib(round(takes(size)))} of {gib(first.available_bytes or 0)} "
        f"available (at most {SHARE:.0%}), {bound}; the learning rate stays as it is"
    )


def _is_asked(overrides: Overrides) -> bool:
    """Whether the last word on the batch size is ``auto``; a config file says what an experiment is, so not there."""
    changes = touched(overrides, BATCH_SIZE)
    return bool(changes) and changes[-1].value == AUTO and not changes[-1].from_file


def _with(request: BatchRequest, batch_size: int) -> BatchRequest:
    source = touched(request.overrides, BATCH_SIZE)[-1].source
    chosen = (Change(BATCH_SIZE, batch_size, source), Change("training.auto_batch_size", True, source))
    others = request.overrides.without(BATCH_SIZE).changes
    return replace(request, overrides=request.overrides.keep((*others, *chosen)))


def _numbers_there(request: BatchRequest) -> list[int]:
    """Batch sizes that may be meant: which were chosen for runs of these names, or of the run that is named."""
    index = RunIndex(request.output_dir)
    if request.run_name is not None:
        configs = index.configs(request.run_name)
    else:
        names = dict.fromkeys(unit.name for unit in named_units(_with(request, 1)))
        configs = [config for name in names for config in index.configs(name) if config.training.auto_batch_size]
    return list(dict.fromkeys(config.training.batch_size for config in configs))


def _choose(runs: Sequence[PlannedRun]) -> Choice:
    """The smallest of the largest that fit: that of the run which takes the most memory."""
    trained = [run for run in runs if run.named or not run.finished]
    requests = {_what_takes_memory(asked): asked for asked in (_request(run, runs) for run in trained)}
    logger.info("--batch_size auto: measuring training of %s", ", ".join(one.config.name for one in requests.values()))
    choices = [largest_batch_size(probe(asked), asked.config.name) for asked in requests.values()]
    return min(choices, key=lambda choice: (choice.batch_size, -choice.takes))


def _request(run: PlannedRun, runs: Sequence[PlannedRun]) -> ProbeRequest:
    """What is measured of ``run``: a teacher is asked, also where its soft labels are stored or are to be stored.

    So the number is the same for ``hed soft-labels`` and for the training with them.
    """
    config = run.full_config
    teachers = tuple(_teachers(config, runs))
    changes: dict[str, Any] = {"distillation": {"soft_labels": None}} if teachers else {}
    config = derive(config, name=config.name, training={"accumulation_steps": 1}, **changes)
    return ProbeRequest(config=config, teachers=teachers, batch_sizes=_MEASURED, steps=_STEPS, crowded=True)


def _teachers(config: ExperimentConfig, runs: Sequence[PlannedRun]) -> Iterator[ExperimentConfig]:
    for path in () if config.distillation is None else config.distillation.own_teacher_paths:
        yield config_in_checkpoint(path) if path.is_file() else _planned_at(path, runs)


def _planned_at(path: Path, runs: Sequence[PlannedRun]) -> ExperimentConfig:
    root = run_paths_of_checkpoint(path).root
    return next(run.config for run in runs if run.paths.root.resolve() == root)


def _what_takes_memory(request: ProbeRequest) -> str:
    """Equal for trainings that take the same memory: names, rates, temperatures and seeds say nothing about it."""
    config = request.config
    terms = () if config.distillation is None else config.distillation.terms
    return json.dumps(
        [
            config.data.model_dump(mode="json"),
            config.model.model_dump(mode="json", exclude={"encoder_weights", *_STARTING_WEIGHTS}),
            config.training.model_dump(mode="json", include={"precision", "device", "deterministic"}),
            config.training.ema is None,
            config.loss.boundary is None,
            sorted(term.kind for term in terms),
            [teacher.model.model_dump(mode="json") for teacher in request.teachers],
        ]
    )


def _line(sizes: Sequence[int], peaks: Sequence[int]) -> Callable[[int], float]:
    """Bytes for a batch size; through the origin where there is one point, which is more than it takes."""
    if len(sizes) == 1:
        return lambda size: peaks[0] * size / sizes[0]
    slope, intercept = statistics.linear_regression(sizes, peaks)
    return lambda size: intercept + max(slope, 0.0) * size


def _powers_of_two(found: Probe) -> list[int]:
    most = min(found.training_images, MOST_ON_CPU if found.device == "cpu" else MOST_IMAGES_IN_BATCH)
    return [1 << exponent for exponent in range(max(most, 1).bit_length())]
