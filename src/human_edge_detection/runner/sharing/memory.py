"""What a run is thought to need of the machine's memory, and whether it fits beside others.

So that the runs of a batch do not kill each other. The memory of GPUs has no part in it: a GPU has one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runner.execution.free_space import model_parameters
from human_edge_detection.runner.execution.heartbeat import last_status
from human_edge_detection.runner.execution.plan import PlannedRun
from human_edge_detection.wording import GIB, gib

PROGRAM: Final = 1.1 * GIB
"""Python, PyTorch and the data of a run before its first step (0.9 GiB on a CPU), and what a data worker adds."""
BYTES_PER_PARAMETER: Final = 16
"""Weights, gradients and the two moments of AdamW, float32."""
BYTES_PER_PIXEL: Final = 3_000
"""Of an image in a batch: activations that the backward pass needs.

``hed describe --probe`` of the quickstart's student and teacher (8 images of 96 x 96): 1.1 and 1.3 GiB; the estimates
are 1.4 and 1.5 GiB.
"""
MARGIN: Final = 1.1
"""For what was measured, as no two runs are alike."""


class Need(NamedTuple):
    """Bytes that a run is thought to take.

    Attributes:
        size: Bytes.
        source: How that is known, in words.
    """

    size: int
    source: str


def estimate(config: ExperimentConfig) -> int:
    """Bytes that training ``config`` takes on a processor, about: of the model, its optimizer and a batch of images.

    A teacher counts as much as its student: which it is may be known only when it is trained.
    """
    height, width = config.model.image_size
    images = config.training.batch_size * height * width * BYTES_PER_PIXEL
    networks = 1 if config.distillation is None else 2
    return int(PROGRAM + model_parameters(config.model) * BYTES_PER_PARAMETER + networks * images)


def need(run: PlannedRun, plan: Sequence[PlannedRun]) -> Need:
    """What ``run`` is thought to take: its own measured peak, that of a run of ``plan`` like it, or an estimate."""
    for other in (run, *(other for other in plan if other is not run and _takes_the_same(run, other))):
        status = last_status(other.paths)
        if status is not None and status.peak_bytes is not None and status.epoch > 0:
            return Need(int(status.peak_bytes * MARGIN), f"measured in {other.name}")
    return Need(estimate(run.config), "estimated from model, batch and image size")


def lack_of_memory(wanted: Need, kept: int, available: int | None) -> str | None:
    """Why a run may not fit beside others, in words with figures; None: it fits, or nobody knows.

    Args:
        wanted: What it is thought to take.
        kept: Bytes that those under way have not taken yet of what they are thought to take.
        available: Bytes that may still be taken now; None: the system does not tell.
    """
    if available is None or wanted.size + kept <= available:
        return None
    beside = f", {gib(kept)} of them for what runs" if kept else ""
    return f"it needs about {gib(wanted.size)} of memory ({wanted.source}), and {gib(available)} are available{beside}"


def _takes_the_same(run: PlannedRun, other: PlannedRun) -> bool:
    one, two = run.config, other.config
    return (
        one.model == two.model
        and one.training.batch_size == two.training.batch_size
        and (one.distillation is None) == (two.distillation is None)
    )
