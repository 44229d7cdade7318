"""Children on the nodes of a Ray cluster: an actor for each, which starts it, hands signals on and waits for it."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from human_edge_detection.errors import BackendError
from human_edge_detection.files.lock import hold
from human_edge_detection.files.write import delete, make_folder
from human_edge_detection.runner.backends.backend import AUTO, Ended, Work
from human_edge_detection.runner.backends.node import NodeChild, NodeView, Order, Place, look, software
from human_edge_detection.signals import REQUEUE

logger = logging.getLogger(__name__)

_START_CLUSTER: Final = (
    "start one (ray start --head, and ray start --address=HEAD:6379 on each other node) and give the same command again"
)
_CONNECT_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 120.0
"""Longest time that a node has to start a worker and look around."""
_THREADS: Final = 3
"""Of an actor: one waits for the child, one hands signals on."""


@dataclass
class RayJob:
    """An actor and its child.

    Attributes:
        work: What the child does.
        actor: Where it is started.
        started: The place of the child, once it is there.
        ended: Its exit code, once it has ended.
        place: The same as ``started``, once it was asked for.
        is_cancelled: It was asked to end.
    """

    work: Work
    actor: Any
    started: Any
    ended: Any
    place: Place | None = None
    is_cancelled: bool = False

    @property
    def label(self) -> str:
        """Process and node."""
        return "an actor of Ray" if self.place is None else f"process {self.place.pid} on {self.place.host}"


class RayBackend:
    """Children on a Ray cluster whose nodes have the same software and the same output folder.

    Args:
        address: ``HOST:PORT`` of its head, or ``auto``.
        output_dir: Folder of all runs, on storage that all nodes share.

    Raises:
        BackendError: There is no such cluster, a node has other software, or does not see the folder or its locks.
    """

    def __init__(self, address: str, output_dir: Path) -> None:
        self._jobs: list[RayJob] = []
        self._is_own_connection = _connect(address)
        try:
            _check_nodes(output_dir)
        except BackendError:
            self.close()
            raise

    def submit(self, work: Work) -> RayJob:
        """Puts ``work`` into the queue of the cluster.

        Raises:
            BackendError: No node has what it needs.
        """
        resources = _resources(work)
        _check_fits(work, resources)
        actor = (
            ray.remote(NodeChild).options(max_concurrency=_THREADS, max_restarts=0, **resources).remote(tells_loss=True)
        )
        started = actor.start.remote(Order(work))
        job = RayJob(work, actor, started, actor.wait.remote(started))
        self._jobs.append(job)
        return job

    def poll(self, job: RayJob) -> bool:
        """Whether the child has ended, or could not be started, or its node has gone."""
        if job.place is None and _is_ready(job.started):
            with suppress(RayError):
                job.place = ray.get(job.started)
                logger.info("%s: %s; it writes to %s", job.work.name, job.label, Order(job.work).output)
        if not _is_ready(job.ended):
            return False
        try:
            ray.get(job.ended)
        except ActorUnavailableError:  # its node does not answer, for the moment or for ever
            job.ended = job.actor.wait.remote(job.place)
            return False
        except RayError:
            pass
        return True

    def is_queued(self, job: RayJob) -> bool:
        """Whether no node had room for it yet."""
        return job.place is None

    def cancel(self, job: RayJob, *, at_once: bool = False) -> None:
        """Has SIGTERM or SIGKILL sent to the child; one that has not begun does not begin."""
        job.is_cancelled = True
        if job.place is None:
            ray.kill(job.actor)
        else:
            job.actor.cancel.remote(at_once=at_once)

    def result(self, job: RayJob) -> Ended:
        """How the child ended.

        Raises:
            BackendError: It could not be started.
        """
        self._jobs.remove(job)
        output = Order(job.work).output
        pid = 0 if job.place is None else job.place.pid
        if not _is_ready(job.ended):  # it was killed, and stays
            ray.kill(job.actor)
            return Ended(pid, -signal.SIGKILL, output=output)
        try:
            returncode: int = ray.get(job.ended)
        except RayTaskError as error:
            raise _as_backend_error(error) from error
        except RayActorError:
            return Ended(pid, -signal.SIGKILL, lost=not job.is_cancelled, output=output)
        finally:
            ray.kill(job.actor)
        # Nobody here has asked it to: its machine is to be taken back.
        return Ended(pid, returncode, lost=returncode == REQUEUE and not job.is_cancelled, output=output)

    def close(self) -> None:
        """Asks the children that are left to end, and lets go of the cluster, with which their actors end."""
        for job in self._jobs:
            self.cancel(job)
        if self._is_own_connection:
            ray.shutdown()


def _connect(address: str) -> bool:
    """Connects this process to the cluster; False when it was connected before."""
    if ray.is_initialized():
        return False
    if address != AUTO:
        _check_answers(address)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise BackendError(f"--address {address}: no Ray cluster runs there; {_START_CLUSTER}") from error
    except (RuntimeError, ValueError) as error:  # another version of Ray or Python, or none of its nodes is here
        raise BackendError(f"--address {address}: {_first_line(error)}") from error
    finally:
        _restore(before)
    return True


def _restore(handler: Any) -> None:
    """Ray takes SIGTERM for itself, and would end this process before its children have saved."""
    with suppress(ValueError):  # only the main thread may, and only there Ray did
        signal.signal(signal.SIGTERM, handler)


def _check_answers(address: str) -> None:
    """Refuses an address where nobody listens: Ray itself would try for a minute."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BackendError(f"--address {address}: nothing answers there ({reason}); {_START_CLUSTER}") from error


def _check_nodes(output_dir: Path) -> None:
    """Asks each node what it has and sees.

    Raises:
        BackendError: Nodes have other software than this process, or do not share ``output_dir`` and its locks with it.
    """
    made_here = not output_dir.exists()
    make_folder(output_dir)
    lock = (output_dir / f".nodes_{secrets.token_hex(4)}.lock").absolute()
    with hold(lock, "the check of all nodes", advice="give the command again"):
        try:
            views = _ask_nodes(lock)
        finally:
            delete(lock)
    if made_here:
        output_dir.rmdir()
    here = software()
    _refuse(
        [f"{view.host} has {view.software}" for view in views if view.software != here],
        f"this machine has {here}; install the same on all nodes",
    )
    _refuse(
        [f"{view.host} does not see the output folder" for view in views if not view.sees_folder],
        f"give an --output_dir on storage that all nodes share, under one path, not {output_dir.absolute()}",
    )
    _refuse(
        [f"{view.host} does not see locks of this machine" for view in views if not view.sees_lock],
        f"two nodes could train one run in {output_dir.absolute()}; hed doctor --output_dir says what it lacks",
    )


def _ask_nodes(lock: Path) -> list[NodeView]:
    nodes = [node for node in ray.nodes() if node["Alive"]]
    function = ray.remote(look)
    asked = {
        function.options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(lock): node["NodeManagerHostname"]
        for node in nodes
    }
    ready, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_LOOK_SECONDS)
    _refuse([f"{asked[one]} does not answer" for one in silent], "ray status says more; give the command again")
    views = []
    for one in ready:
        try:
            views.append(ray.get(one))
        except RayTaskError as error:
            raise BackendError(
                f"node {asked[one]}: {_first_line(error.cause)}; install the same on all nodes"
            ) from error
        except RayError as error:
            raise BackendError(f"node {asked[one]} was lost ({_first_line(error)}); give the command again") from error
    return views


def _refuse(faults: Sequence[str], rest: str) -> None:
    if faults:
        raise BackendError(f"{', '.join(f'node {fault}' for fault in sorted({*faults}))}; {rest}")


def _resources(work: Work) -> dict[str, Any]:
    """GPUs only where the cluster has any: what may use one can do without."""
    has_gpus = any(node["Resources"].get("GPU") for node in ray.nodes() if node["Alive"])
    resources: dict[str, Any] = {"num_cpus": max(work.cores, 1), "num_gpus": work.gpus if has_gpus else 0}
    return resources if work.memory is None else {**resources, "memory": work.memory}


def _check_fits(work: Work, resources: dict[str, Any]) -> None:
    """Refuses what no node could ever run: it would wait for ever."""
    names: dict[str, tuple[str, Callable[[float], str]]] = {
        "num_cpus": ("CPU", lambda count: f"{count:g} processor cores"),
        "num_gpus": ("GPU", lambda count: f"{count:g} GPUs"),
        "memory": ("memory", lambda count: f"{count / 2**30:.1f} GiB of memory"),
    }
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = {names[name]: count for name, count in resources.items()}
    if any(all(node.get(key, 0.0) >= count for (key, _), count in wanted.items()) for node in nodes):
        return
    need = ", ".join(say(count) for (_, say), count in wanted.items() if count)
    raise BackendError(
        f"{work.name} needs {need}, which no node of the cluster has; lower what it needs, or add a node"
    )


def _is_ready(reference: Any) -> bool:
    return bool(ray.wait([reference], timeout=0)[0])


def _as_backend_error(error: RayTaskError) -> BackendError:
    cause = error.cause
    return cause if isinstance(cause, BackendError) else BackendError(_first_line(cause))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
