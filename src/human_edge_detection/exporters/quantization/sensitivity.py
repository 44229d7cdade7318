"""Which blocks a model bears in integers: each is tried alone, then as many as the budget allows are taken together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from human_edge_detection.exporters.parity import open_session, probabilities_of
from human_edge_detection.exporters.quantization.layers import Block
from human_edge_detection.exporters.quantization.qdq import Feeds, QdqQuantizer

logger = logging.getLogger(__name__)

Outputs = Mapping[str, NDArray[Any]]


class Sensitivity(NamedTuple):
    """What a block does to the outputs when it is the only one in integers.

    Attributes:
        block: The block.
        difference: Mean absolute difference of the probabilities from those of the float model, in [0, 1].
    """

    block: Block
    difference: float


def scan(quantizer: QdqQuantizer, reference: bytes, images: Sequence[Feeds], *, seconds: float) -> list[Sensitivity]:
    """Tries the blocks one at a time, in the order of the graph, until the time is over.

    Args:
        quantizer: Of the model.
        reference: The float model.
        images: To compare on.
        seconds: When they are over, the blocks that are left are not tried, and a warning says how many.

    Returns:
        The blocks that were tried, the most sensitive first.
    """
    began = time.monotonic()
    expected = _outputs(reference, images)
    found: list[Sensitivity] = []
    logger.info("trying %d blocks one at a time, for %.1f minutes at most", len(quantizer.blocks), seconds / 60)
    for block in quantizer.blocks:
        if time.monotonic() - began > seconds:
            logger.warning(
                "the scan tried %d of %d blocks in %.1f minutes; the others can only be in integers: give more "
                "--scan_minutes",
                len(found),
                len(quantizer.blocks),
                seconds / 60,
            )
            break
        outputs = _outputs(quantizer.quantized([block]).SerializeToString(), images)
        found.append(Sensitivity(block, _difference(expected, outputs)))
        logger.debug("%s: probabilities differ by %.5f", block.convolutions[0], found[-1].difference)
    return sorted(found, key=lambda one: -one.difference)


def fewest_in_float(
    order: Sequence[Sensitivity],
    blocks: Sequence[Block],
    loss_without: Callable[[Sequence[Block]], float],
    budget: float,
) -> list[Block] | None:
    """The blocks to leave in float: of the most sensitive as few as the budget asks for, found by bisection.

    Args:
        order: The most sensitive first.
        blocks: All of the model.
        loss_without: The loss when all blocks but these are quantised.
        budget: Most of that.

    Returns:
        What is left in float; None: even with all of ``order`` in float the loss is too large, or that is all there is.
    """
    candidates = [one.block for one in order]
    too_few, enough = 0, len(candidates)
    if enough < len(blocks) and loss_without(candidates) > budget:
        return None
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if loss_without(candidates[:middle]) <= budget:
            enough = middle
        else:
            too_few = middle
    return None if enough == len(blocks) else candidates[:enough]


def _outputs(content: bytes, images: Sequence[Feeds]) -> list[Outputs]:
    session = open_session(content)
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(names, dict(feeds)), strict=True)) for feeds in images]


def _difference(expected: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """Mean over outputs and images of the mean absolute difference of a probability."""
    differences = [
        float(np.abs(probabilities_of(name, one[name]) - probabilities_of(name, other[name])).mean())
        for one, other in zip(expected, found, strict=True)
        for name in one
    ]
    return float(np.mean(differences))
