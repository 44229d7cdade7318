"""Starts functions in several processes that form one group, as torchrun would, from a server that has imported all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["human_edge_detection.engine.session.execute", "small_networks"])
LIMIT_SECONDS = 120.0


def in_ranks(function: Callable[..., None], *arguments: Any, count: int = 2) -> list[int | None]:
    """Exit codes of ``function(number, *arguments)`` in ``count`` processes."""
    started = start_ranks(function, *arguments, count=count)
    return ended(started)


def start_ranks(function: Callable[..., None], *arguments: Any, count: int = 2) -> Sequence[BaseProcess]:
    """The processes, just started."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    processes = [
        _CONTEXT.Process(target=_run, args=(number, count, port, function, arguments)) for number in range(count)
    ]
    for process in processes:
        process.start()
    return processes


def ended(processes: Sequence[BaseProcess]) -> list[int | None]:
    """Their exit codes, once all have ended; one that does not is killed, and has none."""
    codes: list[int | None] = []
    for process in processes:
        process.join(LIMIT_SECONDS)
        codes.append(process.exitcode)
        process.kill()
    return codes


def _run(number: int, count: int, port: int, function: Callable[..., None], arguments: Sequence[Any]) -> None:
    import torch

    torch.set_num_threads(1)
    places = {"RANK": number, "WORLD_SIZE": count, "LOCAL_RANK": number, "LOCAL_WORLD_SIZE": count}
    os.environ |= {name: str(value) for name, value in places.items()}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    function(number, *arguments)


def train(
    number: int,
    config_json: str,
    root: Path,
    killed: tuple[int, int] | None = None,
    by: int = signal.SIGKILL,
    silence: float = 600.0,
) -> None:
    """A whole run with small networks; what goes wrong is written beside it.

    Args:
        number: Of this process.
        config_json: The experiment.
        root: The run folder.
        killed: This process gets a signal when it would speak with the others for so manieth time; None: none does.
        by: That signal.
        silence: Seconds after which one that says nothing is lost.
    """
    from small_networks import networks_made_small

    from human_edge_detection.engine.ranks import Ranks
    from human_edge_detection.engine.session import together
    from human_edge_detection.engine.session.execute import execute_following, execute_run
    from human_edge_detection.engine.session.together import dismiss_others
    from human_edge_detection.errors import HumanEdgeDetectionError
    from human_edge_detection.experiments.schema.experiment import ExperimentConfig
    from human_edge_detection.runs.paths import RunPaths
    from human_edge_detection.signals import exit_code, heed_signals

    heed_signals()
    if killed is not None and killed[0] == number:
        _get_signal_at(Ranks, killed[1], by)
    together._SILENCE_LIMIT = timedelta(seconds=silence)  # type: ignore[misc]
    try:
        with networks_made_small():
            if number:
                execute_following()
                return
            folder = None
            try:
                config = ExperimentConfig.model_validate_json(config_json)
                execute_run(config, RunPaths(root), resume=None, command=["test"], sample_root=root / "sample")
                folder = root
            finally:
                dismiss_others(folder)
    except HumanEdgeDetectionError as error:
        root.with_name(f"{root.name}.error_{number}").write_text(str(error))
        sys.exit(1)
    except KeyboardInterrupt as interrupt:
        sys.exit(exit_code(interrupt))


def _get_signal_at(ranks: Any, turn: int, by: int) -> None:
    gather, turns = ranks.gather, iter(range(1, turn))

    def until_then(self: Any, value: Any) -> Any:
        if next(turns, None) is None:
            os.kill(os.getpid(), by)
        return gather(self, value)

    ranks.gather = until_then


def gradients(number: int, config_json: str, batches: Sequence[Sequence[Any]], folder: Path) -> None:
    """The gradient of one update, BatchNorm held still, in float64, and what the step says; written by the first one.

    Args:
        number: Of this process.
        config_json: The experiment; nobody teaches.
        batches: For each process its batches.
        folder: Gets ``gradients.pt``.
    """
    import torch
    import torch.distributed as dist
    from small_networks import networks_made_small
    from trainers import float64_arithmetic, trainer_of

    from human_edge_detection.engine.ranks import Ranks
    from human_edge_detection.experiments.schema.experiment import ExperimentConfig

    count = int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo")
    with networks_made_small(), float64_arithmetic():
        trainer = trainer_of(
            ExperimentConfig.model_validate_json(config_json), folder / str(number), Ranks(number, count)
        )
        found, values = step(trainer, batches[number])
    if number == 0:
        torch.save((found, values), folder / "gradients.pt")
    dist.destroy_process_group()


def step(trainer: Any, group: Sequence[Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """The gradients of one update with the statistics of BatchNorm held still, and its values."""
    student = trainer.state.student.eval()
    student.train = lambda mode=True: student
    values = trainer.train_step(group)
    return {name: value.grad for name, value in student.named_parameters() if value.grad is not None}, values
