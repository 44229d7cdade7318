"""The promise of exact resume, held on this machine: one run straight, one killed and continued, then compared."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from human_edge_detection.errors import TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import make_folder, write_json
from human_edge_detection.runs.paths import RunPaths, summary_path
from human_edge_detection.runs.records import CheckpointSummary, read_section
from human_edge_detection.selfcheck.bitwise import count_tensors, first_difference
from human_edge_detection.selfcheck.small_run import EPOCHS, as_config_file, make_small

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.005
_USERS_ERROR: Final = 2


class Verification(NamedTuple):
    """What was tried and what came out.

    Attributes:
        run: The run that was not disturbed.
        steps: Optimizer updates of each run.
        killed_after: The last saved update at each kill.
        tensors: Tensors compared.
        difference: The first one; None when the runs are identical.
        device: Where they ran: ``cpu`` or ``cuda``.
        deterministic: Repeatable arithmetic was asked for, which a CPU always has.
        folder: Where both runs lie.
    """

    run: RunPaths
    steps: int
    killed_after: tuple[int, ...]
    tensors: int
    difference: str | None
    device: str
    deterministic: bool
    folder: Path


def verify_resume(config: ExperimentConfig, folder: Path, *, kills: int = 3) -> Verification:
    """Trains a few steps of ``config`` twice in ``folder``, the second time with kill -9 in between, and compares.

    Args:
        config: The experiment, its dependencies resolved to paths.
        folder: An empty folder; takes some copies of the model and its optimizer.
        kills: 1 to 3; see :func:`steps_to_kill_at`.

    Raises:
        HumanEdgeDetectionError: The experiment cannot be trained, or a run ended before it could be killed.
    """
    file = folder / "config.json"
    write_json(file, as_config_file(make_small(config, folder)))
    logger.info("training a few steps of %s without interruption", config.name)
    straight = _child_run(file, folder / "straight")
    straight.finish()
    steps = straight.steps_saved()
    killed = _child_run(file, folder / "killed")
    killed_after = []
    for step in steps_to_kill_at(steps, kills):
        reached = killed.kill_after(step)
        if reached is not None:
            logger.info("killed after step %d of %d, starting the same command again", reached, steps)
            killed_after.append(reached)
    if not killed_after:
        raise TrainingError(f"the run of {steps} steps ended before it could be killed; give more or larger data")
    killed.finish()
    return Verification(
        run=straight.run,
        steps=steps,
        killed_after=tuple(killed_after),
        tensors=count_tensors(straight.run),
        difference=first_difference(straight.run, killed.run),
        device=str(json.loads(straight.run.provenance.read_bytes())["device"]),
        deterministic=config.training.deterministic,
        folder=folder,
    )


def steps_to_kill_at(steps: int, kills: int) -> list[int]:
    """Where to kill a run of ``steps`` updates: within an epoch, at the end of the first, within the second."""
    epoch = steps // EPOCHS
    wanted = (epoch // 2, epoch, epoch + epoch // 2)
    return sorted({step for step in wanted[:kills] if 0 < step < steps}) or [1]


def _child_run(config_file: Path, folder: Path) -> ChildRun:
    make_folder(folder)
    run = RunPaths(folder / "run")
    command = (
        *(sys.executable, "-m", "human_edge_detection", "train", "--config_file", str(config_file)),
        *("--output_dir", str(folder), "--run_name", run.root.name),
    )
    return ChildRun(run, command, folder / "output.txt")


class ChildRun:
    """A run by real child processes, each started with the same command."""

    def __init__(self, run: RunPaths, command: Sequence[str], output: Path) -> None:
        """``output`` gets what the children print."""
        self.run = run
        self._command = command
        self._output = output

    def finish(self) -> None:
        """Trains to the end, from where an earlier child stopped.

        Raises:
            TrainingError: The child failed; says what it said.
        """
        with _child(self._command, self._output) as child:
            child.wait()
        self._require_success(child.returncode)

    def kill_after(self, step: int) -> int | None:
        """Starts a child and kills it once it has saved ``step`` and one step of its own.

        Returns:
            The last step saved; None when the child finished first.

        Raises:
            TrainingError: The child failed; says what it said.
        """
        wanted = max(step, self.steps_saved() + 1)
        with _child(self._command, self._output) as child:
            while child.poll() is None:
                if self.steps_saved() >= wanted:
                    child.kill()
                    child.wait()
                    return self.steps_saved()
                time.sleep(_POLL_SECONDS)
        self._require_success(child.returncode)
        return None

    def steps_saved(self) -> int:
        """Optimizer updates in the latest checkpoint, as the summary beside it says."""
        summary = read_section(CheckpointSummary, summary_path(self.run.latest))
        return 0 if summary is None else summary.step or 0

    def _require_success(self, code: int) -> None:
        if code == 0:
            return
        lines = [line for line in self._output.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1].strip() if lines else "it said nothing"
        if code == _USERS_ERROR:
            raise TrainingError(last.removeprefix("error: "))
        raise TrainingError(f"a run ended with exit code {code} ({last}); hed train with the same flags says more")


@contextmanager
def _child(command: Sequence[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that does not outlive the context."""
    with output.open("ab") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()
