"""Children that do in a moment what trainings do, good and bad ones, beside other processes."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest
from fake_backends import CHILD_PAUSE

from human_edge_detection.experiments.registry import get_config
from human_edge_detection.runner.backends.backend import Ended, Work
from human_edge_detection.runner.backends.local import LocalBackend, LocalJob
from human_edge_detection.runner.execution.ownership import take_folders
from human_edge_detection.runner.execution.plan import plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.execution.supervise import BatchEnd, Hooks, Sharing, supervise
from human_edge_detection.runs.paths import RunPaths

CHILD = dedent(
    """
    import json, os, signal, sys, time
    from pathlib import Path
    from human_edge_detection.errors import BusyError
    from human_edge_detection.files.lock import hold

    behaviour, root, result = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if behaviour == "ignore signals":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lock = hold(root.with_name(f".{root.name}.lock"), "run", advice="wait", wait=2.0)
    try:
        lock.__enter__()
    except BusyError:
        sys.exit(2)
    if (root / "result.json").exists():
        sys.exit(0)
    (root / "checkpoints").mkdir(parents=True, exist_ok=True)
    log = root / "trainings"
    earlier = len(log.read_text().splitlines()) if log.exists() else 0
    with log.open("a") as file:
        file.write("training\\n")

    def status(state, error=None, step=0, beats=0):
        epochs = json.loads((root / "config.json").read_text())["training"]["epochs"]
        fields = {"state": state, "epochs": epochs, "error": error, "step": step, "beats": beats, "pid": os.getpid()}
        text = json.dumps({**fields, "host": "h", "started": "", "updated": str(time.time())})
        temporary = root / ".status.tmp"
        temporary.write_text(text)
        temporary.replace(root / "status.json")

    def finish():
        (root / "result.json").write_text(result.read_text())
        (root / "checkpoints" / "best_model.pth").touch()
        status("finished")

    def save_and_end(number, frame):
        status("interrupted")
        os._exit(75)

    status("running")
    (root / "ready").touch()
    while behaviour.startswith("when told ") and not (root / "go").exists():
        time.sleep(0.01)
    behaviour = behaviour.removeprefix("when told ")
    time.sleep(0.05)
    if behaviour == "finish":
        finish()
    elif behaviour == "exit 3":
        sys.exit(3)
    elif behaviour == "raise":
        status("failed", "loss is not finite at step 7")
        sys.exit(2)
    elif behaviour == "fail the same way":
        status("failed", "loss is not finite at step 7", step=7)
        sys.exit(1)
    elif behaviour == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif behaviour == "interrupt":
        status("interrupted")
        sys.exit(130)
    elif behaviour == "requeue":
        status("interrupted")
        sys.exit(75)
    elif behaviour == "lie":
        sys.exit(0)
    elif behaviour == "finish badly":
        finish()
        sys.exit(1)
    elif behaviour == "finish and crash":
        finish()
        os.kill(os.getpid(), signal.SIGSEGV)
    elif behaviour in ("hang", "ignore signals"):
        time.sleep(60)
    elif behaviour == "hang after the end":
        finish()
        time.sleep(60)
    elif behaviour == "wait for signal":
        signal.signal(signal.SIGTERM, save_and_end)
        signal.signal(signal.SIGUSR1, save_and_end)
        (root / "listening").touch()
        time.sleep(60)
    elif behaviour == "third time lucky":
        if earlier < 2:
            os.kill(os.getpid(), signal.SIGKILL)
        finish()
    elif behaviour == "fail further on":
        status("failed", "disk full", step=earlier + 1)
        sys.exit(2)
    """
)


class Children(LocalBackend):
    """Starts tiny scripts instead of trainings; ``behaviours`` says by run what each does, ``finish`` by default."""

    def __init__(self, result: Path, behaviours: Mapping[str, str]) -> None:
        super().__init__()
        self.template = result
        self.behaviours = behaviours

    def submit(self, work: Work) -> LocalJob:
        values = dict(pairwise(work.command))
        folder = Path(values["--resume"])
        name = folder.relative_to(values["--output_dir"]).as_posix()
        arguments = (self.behaviours.get(name, "finish"), str(folder), str(self.template))
        return super().submit(replace(work, command=(sys.executable, "-c", CHILD, *arguments)))

    def __call__(self, command: Sequence[str]) -> Ended:
        """Runs the script in place of ``command`` to its end."""
        job = self.submit(Work("run", Path(), tuple(command)))
        while not self.poll(job):
            time.sleep(0.01)
        return self.result(job)


def short_pause(seconds: float) -> None:
    """Children get their time; nothing else is waited for so long."""
    time.sleep(seconds if seconds < CHILD_PAUSE else 0.001)


class Workshop:
    """An output folder with batches of tiny scripts in it."""

    def __init__(self, output_dir: Path, result: Path) -> None:
        self.output_dir = output_dir
        self.result = result

    def children(self, **behaviours: str) -> Children:
        return Children(self.result, behaviours)

    def command(self, name: str, behaviour: str = "finish") -> list[str]:
        """One child by itself, as a training that no batch started."""
        take_folders([run for run in plan(BatchRequest((name,), self.output_dir)) if run.name == name])
        return [sys.executable, "-c", CHILD, behaviour, str(self.output_dir / name), str(self.result)]

    def batch(
        self,
        *names: str,
        seeds: tuple[int, ...] | None = None,
        pause: Callable[[float], None] = short_pause,
        fail_fast: bool = False,
        retries: int = 0,
        hang_minutes: float = 60.0,
        jobs: int = 1,
        sharing: Sharing | None = None,
        **behaviours: str,
    ) -> BatchEnd:
        runs = plan(BatchRequest(names=names, output_dir=self.output_dir, seeds=seeds))
        take_folders(runs)
        options = Options(fail_fast=fail_fast, retries=retries, hang_minutes=hang_minutes, jobs=jobs)
        return supervise(runs, options, self.children(**behaviours), sharing=sharing, hooks=Hooks(pause=pause))

    def trainings(self, name: str) -> int:
        log = self.output_dir / name / "trainings"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def status(self, name: str) -> dict[str, object]:
        fields: dict[str, object] = json.loads((self.output_dir / name / "status.json").read_text())
        return fields


@pytest.fixture
def workshop(tmp_path: Path, write_run: Callable[..., RunPaths], monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setattr("human_edge_detection.runner.execution.launch.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("human_edge_detection.runner.execution.launch.STOP_SECONDS", 0.5)
    monkeypatch.setattr("human_edge_detection.runs.lookup.reservation._PROBE_SECONDS", 0.2)
    template = write_run(tmp_path / "template", get_config("quickstart_student_b0"))
    return Workshop(tmp_path / "experiments", template.result)
