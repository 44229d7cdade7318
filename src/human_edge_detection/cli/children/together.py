"""A child of a batch that trains its run in several processes, by torchrun's launcher; a batch sees one child."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from human_edge_detection.limits import usable_cores
from human_edge_detection.log import setup_logging
from human_edge_detection.signals import REQUEUE, SCHEDULER_SIGNALS, exit_code, interruption


def train_together(arguments: Sequence[str]) -> int:
    """Runs a command of this package in ``arguments[0]`` processes; the rest is the command.

    None is started again, as the batch does that: a restart in place hung or gave up in half of the kills that it was
    tried with.

    Returns:
        The exit code of the first process, or of the one that was lost; this process ends by the signal that killed it.
    """
    count, *command = arguments
    setup_logging()
    # Its reports of lost processes have a traceback each; the first process says what its user needs.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, int(usable_cores() / int(count)))))
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=int(count),
        run_id=f"hed-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
        signals_to_handle=",".join(number.name for number in (signal.SIGINT, *SCHEDULER_SIGNALS)),
    )
    try:
        elastic_launch(config, entrypoint=sys.executable)("-m", "human_edge_detection", *command)
    except ChildFailedError as error:
        return _end_like(code_of_all({number: failure.exitcode for number, failure in error.failures.items()}))
    except SignalException as ended:
        return exit_code(interruption(int(ended.sigval)))
    return 0


def code_of_all(codes: Mapping[int, int]) -> int:
    """The exit code that says why a run ended, of those of its processes that did not end with 0.

    When one is lost, the launcher ends the others by SIGTERM, which looks as if somebody had interrupted them.

    Args:
        codes: By the number of the process; minus the number of a signal.
    """
    own = {number: code for number, code in codes.items() if code not in (REQUEUE, -signal.SIGTERM)} or codes
    return own[min(own)]


def _end_like(code: int) -> int:
    """Ends this process as the one that ended with ``code``; minus the number of a signal."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code
