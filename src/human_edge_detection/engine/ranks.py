"""The processes that train one run together (data parallelism), and what they tell each other.

Weights are not wrapped: each process computes the gradient of its own images, and one sum over all processes
follows, of one flat vector an update (docs/decisions/0020-gradients-are-summed-once.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from human_edge_detection.errors import DataError, TrainingError
from human_edge_detection.metrics.segmentation import SegmentationMetrics

T = TypeVar("T")


class Ranks:
    """The processes of one run, seen from one of them; every method but the properties is called by all alike.

    Args:
        number: Of this process, from 0; the first one alone writes.
        count: How many there are; with more than one, the process group of :mod:`torch.distributed` is theirs.

    Raises:
        TrainingError: (any method) Another process was lost, or said nothing for the time limit of the group.
    """

    def __init__(self, number: int, count: int) -> None:
        self.number = number
        self.count = count

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.number == 0

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in their order; anything that can be pickled."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with _lost_is_an_error():
            dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: T) -> T:
        """The value of the first process."""
        if self.count == 1:
            return value
        values = [value]
        with _lost_is_an_error():
            dist.broadcast_object_list(values, src=0)
        first: T = values[0]
        return first

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replaces each gradient by the sum of those of all processes.

        A parameter that has a gradient nowhere keeps none, so that no weight decay moves it, as in one process.

        Args:
            parameters: All that may have a gradient, in the same order everywhere.
        """
        if self.count == 1:
            return
        # 1. Which of them any process has; the others have zeros.
        anywhere = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.uint8)
        with _lost_is_an_error():
            dist.all_reduce(anywhere, dist.ReduceOp.MAX)
        learning = [parameter for parameter, has in zip(parameters, anywhere.tolist(), strict=True) if has]
        if not learning:
            return
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        # 2. One flat vector, one sum.
        gradients = [parameter.grad for parameter in learning if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with _lost_is_an_error():
            dist.all_reduce(flat)
        # 3. Back in place: a fused optimizer wants the gradient in the layout of its weight.
        for gradient, total in zip(gradients, torch.split(flat, [one.numel() for one in gradients]), strict=True):
            gradient.copy_(total.view(gradient.shape))

    def any_of(self, flag: Tensor) -> Tensor:
        """Whether ``flag``, a scalar 0 or 1, is set anywhere."""
        if self.count > 1:
            with _lost_is_an_error():
                dist.all_reduce(flag, dist.ReduceOp.MAX)
        return flag

    @torch.no_grad()
    def share_buffers(self, module: nn.Module) -> None:
        """Gives ``module`` the buffers (BatchNorm statistics) of the first process."""
        buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        if self.count == 1 or not buffers:
            return
        flat = torch.cat([buffer.flatten() for buffer in buffers])
        with _lost_is_an_error():
            dist.broadcast(flat, src=0)
        for buffer, value in zip(buffers, torch.split(flat, [one.numel() for one in buffers]), strict=True):
            buffer.copy_(value.view(buffer.shape))

    def agreed(self, make: Callable[[], T]) -> T:
        """What ``make`` returns in this process, once it has returned in all; what it raises in one is raised in all.

        So that nobody waits for a process that was asked to end, or cannot read an image.

        Raises:
            KeyboardInterrupt: A process was asked to end.
            DataError: As ``make`` raised it somewhere.
            TrainingError: Likewise.
        """
        if self.count == 1:
            return make()
        error: BaseException | None = None
        try:
            made = make()
        except (KeyboardInterrupt, DataError, TrainingError) as raised:
            error = raised
        errors = [one for one in self.gather(error) if one is not None]
        if errors:
            # What is wrong with the data is worth more than that somebody was asked to end, as all are then.
            raise next((one for one in errors if not isinstance(one, KeyboardInterrupt)), errors[0])
        return made

    def merged(self, measure: Callable[[], SegmentationMetrics]) -> SegmentationMetrics:
        """The counts of all processes; ``measure`` returns those of this one, or raises as for :meth:`agreed`."""
        first, *others = self.gather(self.agreed(measure))
        for other in others:
            first.merge(other)
        return first


ALONE: Final = Ranks(0, 1)
"""One process, as most runs have."""


@contextmanager
def _lost_is_an_error() -> Iterator[None]:
    """Where the others cannot be reached any more, one line says so."""
    try:
        yield
    except RuntimeError as error:  # all that torch.distributed raises is one
        text = " ".join(str(error).split())[:160]
        raise TrainingError(
            f"another process of this run was lost ({text}); the last checkpoint is kept, and the same command goes "
            "on from it"
        ) from error
