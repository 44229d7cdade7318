"""Children as jobs of SLURM, submitted by submitit: its scripts, its requeueing, its reading of ``sacct``."""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from submitit import AutoExecutor, JobEnvironment, SlurmExecutor
from submitit.core.core import Job as SubmittedJob
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import DelayedSubmission
from submitit.slurm.slurm import _make_sbatch_string

from human_edge_detection.errors import BackendError, ConfigError, did_you_mean
from human_edge_detection.runner.backends.backend import Ended, Work
from human_edge_detection.runner.backends.node import NodeChild, Order
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.signals import REQUEUE

logger = logging.getLogger(__name__)

DEFAULTS: Final[Mapping[str, str | int]] = {"time": 240}
"""Minutes. A run that needs longer is requeued, and goes on."""
_GIVEN_BY_WORK: Final = frozenset(("job_name", "cpus_per_task", "nodes", "ntasks_per_node", "stderr_to_stdout"))
_NOT_TEXT: Final = frozenset(
    ("setup", "teardown", "additional_parameters", "srun_args", "num_gpus", "array_parallelism")
)
"""Settings of submitit that take lists or tables, or that mean nothing here."""
_TIME: Final = re.compile(r"[1-9][0-9]*|[0-9]+(:[0-9]{1,2}){1,2}|[0-9]+-[0-9]{1,2}(:[0-9]{1,2}){0,2}", re.ASCII)
_SECONDS: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_YES_OR_NO: Final = frozenset(("use_srun",))
_TIMEOUTS: Final = 10_000
"""How often submitit requeues a job whose time is over."""
_POLL_SECONDS: Final = 2.0
"""Between two looks at the shared storage for the result of a job."""
_ECHO_SECONDS: Final = 3.0
"""A child that has not ended so long after SIGTERM may not have got it."""
_ASK_SECONDS: Final = 30.0
"""Between two calls of ``sacct``, which tell of all jobs."""
_RESULT_SECONDS: Final = 20.0
"""So long the result of a job may take through the shared storage after SLURM says that it has ended."""
_FINISHED_BY_A_PERSON: Final = "CANCELLED"


class SlurmChild:
    """What a job runs: one child. When SLURM says that its time is over, the child saves and the job is requeued."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._child: NodeChild | None = None

    def __call__(self) -> tuple[int, int] | str:
        """Process id and exit code of the child; why it could not be started."""
        child = NodeChild()
        # SLURM sends the signal before the end to all processes of a job, and this one alone is to act on it: what is
        # blocked here stays so in the child.
        ours = {getattr(signal, f"SIG{JobEnvironment.USR_SIG}")}
        signal.pthread_sigmask(signal.SIG_BLOCK, ours)
        try:
            place = child.start(self._order)
        except BackendError as error:
            return str(error)
        finally:
            self._child = child
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ours)
        signal.signal(signal.SIGTERM, self._hand_on)  # submitit would ignore it
        return place.pid, child.wait(place)

    def checkpoint(self) -> DelayedSubmission:
        """Called by submitit at the signal before the end: what goes on in the requeued job."""
        if self._child is not None:
            self._child.end()
        return DelayedSubmission(SlurmChild(self._order))

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        """Mostly SLURM has sent it to the child as well; a second one would end that while it leaves."""
        assert self._child is not None
        if not self._child.ends_within(_ECHO_SECONDS):
            self._child.cancel(at_once=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"_order": self._order, "_child": None}


@dataclass
class SlurmJob:
    """A job.

    Attributes:
        work: What its child does.
        submitted: It, as submitit knows it.
        is_cancelled: It was asked to end.
        next_look: When to look at it again, by the monotonic clock.
        gone: Since when SLURM says that it has ended, and there is no result.
    """

    work: Work
    submitted: SubmittedJob[tuple[int, int] | str]
    is_cancelled: bool = False
    next_look: float = 0.0
    gone: float | None = None

    @property
    def label(self) -> str:
        """Its number."""
        return f"job {self.submitted.job_id}"


class SlurmBackend:
    """Children as jobs of SLURM.

    Args:
        settings: Of submitit's executor for SLURM, such as ``partition``.

    Raises:
        BackendError: This machine has no SLURM, or there is no such setting.
    """

    def __init__(self, settings: Mapping[str, str | int]) -> None:
        missing = [command for command in ("sbatch", "srun", "scancel") if shutil.which(command) is None]
        if missing:
            raise BackendError(
                f"--backend slurm: this machine has no {missing[0]}; give the command on a login node of a cluster "
                "with SLURM, or another --backend"
            )
        self._settings = settings
        self._jobs: list[SlurmJob] = []
        self._next_question = 0.0

    def submit(self, work: Work) -> SlurmJob:
        """Puts ``work`` into the queue.

        Raises:
            BackendError: SLURM does not take it.
        """
        executor = self.executor(RunPaths(work.folder).cluster.absolute())
        try:
            executor.update_parameters(**parameters(work, self._settings))
            submitted = executor.submit(SlurmChild(Order(work)))
        except (FailedSubmissionError, subprocess.SubprocessError, OSError, ValueError) as error:
            raise BackendError(f"{work.name}: SLURM does not take it: {_last_line(error)}") from error
        job = SlurmJob(work, submitted)
        self._jobs.append(job)
        logger.info("%s: %s; it writes to %s", work.name, job.label, Order(work).output)
        return job

    def executor(self, folder: Path) -> AutoExecutor:
        """Submits jobs whose scripts and results lie in ``folder``."""
        return AutoExecutor(folder, cluster=SlurmExecutor.name(), slurm_max_num_timeout=_TIMEOUTS)

    def poll(self, job: SlurmJob) -> bool:
        """Whether the job has ended: its result is there, or SLURM says so, which is asked every half a minute."""
        now = time.monotonic()
        if now < job.next_look:
            return False
        job.next_look = now + _POLL_SECONDS
        ask = now >= self._next_question
        if ask:
            self._next_question = now + _ASK_SECONDS
        if not job.submitted.done(force_check=ask):
            return False
        job.gone = job.gone or now
        return bool(job.submitted.paths.result_pickle.exists()) or now - job.gone >= _RESULT_SECONDS

    def is_queued(self, job: SlurmJob) -> bool:
        """Whether it waits in the queue, for the first time or again."""
        return job.submitted.state.split()[0] in ("PENDING", "REQUEUED", "PREEMPTED", "UNKNOWN")

    def cancel(self, job: SlurmJob, *, at_once: bool = False) -> None:
        """Cancels the job: SLURM sends SIGTERM to all its processes, and SIGKILL after its ``KillWait``."""
        job.is_cancelled = True
        self._next_question = 0.0
        self.ask(job.submitted, at_once=at_once)

    def ask(self, submitted: SubmittedJob[Any], *, at_once: bool) -> None:
        """Has signals sent to a job."""
        command = ["scancel", *(["--signal=KILL", "--full"] if at_once else []), submitted.job_id]
        subprocess.run(command, check=False, capture_output=True)

    def result(self, job: SlurmJob) -> Ended:
        """How the child ended.

        Raises:
            BackendError: It could not be started.
        """
        self._jobs.remove(job)
        output = Order(job.work).output
        if not job.submitted.paths.result_pickle.exists():
            return Ended(0, -signal.SIGKILL, lost=not self._was_cancelled(job), output=output)
        try:
            found = job.submitted.result()
        except FailedJobError as error:
            raise BackendError(f"{job.work.name}: {job.label} failed: {_trace_line(error)}") from error
        if isinstance(found, str):
            raise BackendError(found)
        pid, returncode = found
        return Ended(pid, returncode, lost=returncode == REQUEUE and not self._was_cancelled(job), output=output)

    def close(self) -> None:
        """Cancels the jobs that are left."""
        for job in self._jobs:
            self.cancel(job)

    def _was_cancelled(self, job: SlurmJob) -> bool:
        """By this batch, or by a person with ``scancel``."""
        return job.is_cancelled or job.submitted.state.startswith(_FINISHED_BY_A_PERSON)


def read_settings(texts: Mapping[str, str]) -> dict[str, str | int]:
    """The settings that ``--slurm KEY=VALUE`` gives, over :data:`DEFAULTS`.

    Raises:
        ConfigError: submitit has no such setting.
    """
    known = {*SlurmExecutor._valid_parameters()} - _NOT_TEXT - _GIVEN_BY_WORK
    for name in texts:
        if name in _GIVEN_BY_WORK:
            raise ConfigError(f"--slurm {name}: follows from what a run needs; leave it out")
        if name not in known:
            raise ConfigError(
                f"--slurm {name}: no setting; expected one of {', '.join(sorted(known))}{did_you_mean(name, known)}"
            )
    return {**DEFAULTS, **{name: _value(name, text) for name, text in texts.items()}}


def _value(name: str, text: str) -> str | int | bool:
    """As submitit takes it. What SLURM alone can judge, such as the name of a partition, is left to ``sbatch``."""
    if name == "time" and not _TIME.fullmatch(text):
        raise ConfigError(f"--slurm time={text}: expected minutes, such as 480, or HH:MM:SS or D-HH:MM:SS")
    if name == "signal_delay_s" and not _SECONDS.fullmatch(text):
        raise ConfigError(f"--slurm signal_delay_s={text}: expected seconds from 1 to 65535, for a run to save in")
    if name in _YES_OR_NO:
        if text not in ("true", "false"):
            raise ConfigError(f"--slurm {name}={text}: expected true or false")
        return text == "true"
    if name == "exclusive" and text == "true":
        return True  # a flag that has no value
    return int(text) if text.isdecimal() else text


def parameters(work: Work, settings: Mapping[str, str | int]) -> dict[str, Any]:
    """What submitit's executor is told of ``work``.

    Not its memory: that is an estimate, and SLURM kills what takes more. Nor GPUs: only the user knows how they are
    asked for on this cluster (``--slurm gres=gpu:1``).
    """
    own: dict[str, Any] = {"name": work.name.replace("/", "-"), "cpus_per_task": max(work.cores, 1)}
    return {**own, "stderr_to_stdout": True, **{f"slurm_{name}": value for name, value in settings.items()}}


def script(work: Work, settings: Mapping[str, str | int]) -> str:
    """The script that ``sbatch`` would get for ``work``; neither SLURM nor anything on the disk is needed for it."""
    folder = RunPaths(work.folder).cluster.absolute()
    given = parameters(work, settings)
    named = {SlurmExecutor._equivalence_dict().get(name, name.removeprefix("slurm_")): given[name] for name in given}
    command = shlex.join([sys.executable, "-u", "-m", "submitit.core._submit", str(folder)])
    return str(_make_sbatch_string(command=command, folder=folder, **named))


def _trace_line(error: FailedJobError) -> str:
    """The last line of the traceback that submitit has framed."""
    return _last_line(RuntimeError(str(error).rpartition("\n-----")[0]))


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
