"""One run in several processes: the first one plans, prepares and writes; the others wait until it calls them.

Whoever starts the processes (torchrun, SLURM's srun) gives each the variables of :mod:`torch.distributed`. Before the
first process calls, the others have nothing but the store of the group: there may be hours of preparation before the
first step, or an error.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final, Literal

import torch
import torch.distributed as dist
from pydantic import BaseModel
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from human_edge_detection.engine.ranks import ALONE, Ranks
from human_edge_detection.errors import FollowingError, TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.limits import Place, place_among_many
from human_edge_detection.signals import end_with

logger = logging.getLogger(__name__)

_START_LIMIT: Final = timedelta(minutes=10)
"""For the processes to find each other."""
_SILENCE_LIMIT: Final = timedelta(minutes=10)
"""A process that says nothing for so long is lost; the longest silence is that of the first one while it saves."""
_POLL_SECONDS: Final = 0.1
_HEARING_SECONDS: Final = 5.0
"""For the others to hear that all is done."""
_FEW_IMAGES: Final = 4
"""Of so few images or more, BatchNorm has statistics worth the name."""


class Call(BaseModel):
    """What the first process tells the others to do.

    Attributes:
        kind: Train; or end, as the first one has done all there is to do.
        root: The run folder; None: the first one ends with an error.
        config: The experiment, resolved, as JSON.
        sample_root: Where the embedded sample data are.
        precision: The arithmetic of the steps.
    """

    kind: Literal["train", "end"]
    root: Path | None
    config: str = ""
    sample_root: Path | None = None
    precision: str | None = None

    @property
    def experiment(self) -> ExperimentConfig:
        """What is trained."""
        return ExperimentConfig.model_validate_json(self.config)


@dataclass
class _Calls:
    """The store of the group, and how many calls there have been."""

    store: Store
    place: Place
    made: int = 0

    @property
    def key(self) -> str:
        return f"human_edge_detection/call/{self.made}"

    @property
    def heard(self) -> str:
        """Where those who have heard the last call are counted."""
        return f"human_edge_detection/heard/{self.made}"


@cache
def _calls() -> _Calls | None:
    """What this process hears calls by; None: it trains alone."""
    place = place_among_many()
    if place is None:
        return None
    end_with(os.getppid())
    try:
        store, _, _ = next(iter(rendezvous("env://", place.number, place.total, timeout=_START_LIMIT)))
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:160]
        raise TrainingError(
            f"process {place.number} of {place.total} finds no other ({text}); start them by torchrun, or by "
            "hed run --procs_per_run"
        ) from error
    return _Calls(store, place)


def call_others(call: Call) -> Ranks:
    """The processes that train what ``call`` says, this one as the first; it alone where there are no others.

    Raises:
        TrainingError: The others do not come.
    """
    calls = _calls()
    if calls is None:
        return ALONE
    _warn_of_few_images(call, calls.place.total)
    _tell(calls, call)
    return _gathered(calls)


def dismiss_others(root: Path | None) -> None:
    """Lets the processes end that wait for a call; the run in ``root`` has finished, or (None) something is wrong."""
    if root is None and not _calls.cache_info().currsize:
        return  # who started the processes ends them all; the others may not be there yet, and the user is to hear why
    calls = _calls()
    if calls is not None:
        _disband()
        _tell(calls, Call(kind="end", root=root))
        _wait_for_hearers(calls)


def follow(train: Callable[[Call, Ranks], None]) -> Path:
    """In a process that is not the first: does what that one says, until it has ended.

    Args:
        train: Trains as called.

    Returns:
        The run folder.

    Raises:
        KeyboardInterrupt: The processes were asked to end.
        FollowingError: The first process has ended with an error.
        HumanEdgeDetectionError: What ``train`` raises.
    """
    calls = _calls()
    assert calls is not None
    while True:
        call = _heard(calls)
        if call.kind == "end":
            calls.store.add(calls.heard, 1)
            if call.root is None:
                raise FollowingError("the first process of this run ended with an error, which it reports")
            return call.root
        train(call, _gathered(calls))
        _disband()


def _tell(calls: _Calls, call: Call) -> None:
    calls.store.set(calls.key, call.model_dump_json())
    calls.made += 1


def _heard(calls: _Calls) -> Call:
    try:
        while not calls.store.check([calls.key]):
            time.sleep(_POLL_SECONDS)
        text = calls.store.get(calls.key)
    except RuntimeError as error:
        raise TrainingError("the first process of this run was lost before it called the others") from error
    calls.made += 1
    return Call.model_validate_json(text)


def _wait_for_hearers(calls: _Calls) -> None:
    """The store goes with this process, unless torchrun has it; those who were lost will hear nothing."""
    until = time.monotonic() + _HEARING_SECONDS
    while os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" and time.monotonic() < until:
        if calls.store.add(calls.heard, 0) >= calls.place.total - 1:
            return
        time.sleep(_POLL_SECONDS)


def _gathered(calls: _Calls) -> Ranks:
    """All processes of the run, once each is there."""
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store = PrefixStore(f"human_edge_detection/group/{calls.made}", calls.store)
    number, count = calls.place.number, calls.place.total
    try:
        dist.init_process_group(backend, store=store, rank=number, world_size=count, timeout=_SILENCE_LIMIT)
    except RuntimeError as error:
        text = " ".join(str(error).split())[:160]
        raise TrainingError(f"process {number} of {count} cannot reach the others ({text})") from error
    return Ranks(number, count)


def _disband() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _warn_of_few_images(call: Call, count: int) -> None:
    size = call.experiment.training.batch_size
    if size < count * _FEW_IMAGES:
        logger.warning(
            "--batch_size %d is that of all %d processes: each has %s images a step, and BatchNorm learns its "
            "statistics from those; %d or more images a process are better",
            size,
            count,
            f"{size / count:.3g}",
            _FEW_IMAGES,
        )
