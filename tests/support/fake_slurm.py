"""Programs in the place of SLURM's: jobs are processes of this machine, one session each, their states are files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ("sbatch", "srun", "scancel", "sacct", "scontrol")
PROGRAM = """#!{python}
import os, signal, subprocess, sys, time
from pathlib import Path

jobs, (name, *words) = Path({jobs!r}), (Path(sys.argv[0]).name, *sys.argv[1:])
state = lambda job: jobs / f"{{job}}.state"

def begin(job):
    state(job).write_text("RUNNING")
    environment = {{**os.environ, "SLURM_JOB_ID": job, "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}}
    watch = [sys.executable, sys.argv[0], "--watch", job]
    nowhere = subprocess.DEVNULL
    child = subprocess.Popen(watch, env=environment, start_new_session=True, stdout=nowhere, stderr=nowhere)
    (jobs / f"{{job}}.session").write_text(str(child.pid))

if words[:1] == ["--watch"]:  # one process a job: runs its script, and says how that ended
    job = words[1]
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    code = subprocess.call(["bash", str(jobs / f"{{job}}.sh")])
    if state(job).read_text() == "REQUEUED":
        begin(job)
    elif (jobs / f"{{job}}.cancelled").exists():  # it is only when its processes have ended
        state(job).write_text("CANCELLED by 0")
    elif state(job).read_text() == "RUNNING":
        state(job).write_text("COMPLETED" if code == 0 else "FAILED")
elif name == "sbatch":
    job = str(len([*jobs.glob("*.sh")]) + 1)
    (jobs / f"{{job}}.sh").write_text(Path(words[0]).read_text())
    begin(job)
    print(f"Submitted batch job {{job}}")
elif name == "srun":
    output = words[words.index("--output") + 1].replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
    command = words[words.index("--output") + 2 :]
    out = open(output, "a")
    os.dup2(out.fileno(), 1), os.dup2(out.fileno(), 2)
    os.execv(command[0], command)
elif name == "scancel":
    job, kills = words[-1], "--signal=KILL" in words
    (state(job) if kills else jobs / f"{{job}}.cancelled").write_text("CANCELLED by 0")
    subprocess.call(["pkill", "-KILL" if kills else "-TERM", "-s", (jobs / f"{{job}}.session").read_text()])
elif name == "scontrol":
    state(words[1]).write_text("REQUEUED")
elif name == "sacct":
    print("JobID|State|NodeList")
    for file in jobs.glob("*.state"):
        print(f"{{file.stem}}|{{file.read_text()}}|node1")
"""


class FakeSlurm:
    """SLURM on this machine.

    Attributes:
        jobs: The folder with what it knows of its jobs.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs = folder / "jobs"
        self.jobs.mkdir(parents=True)
        for name in COMMANDS:
            file = folder / name
            file.write_text(PROGRAM.format(python=sys.executable, jobs=str(self.jobs)))
            file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def state(self, job: str) -> str:
        """As ``sacct`` says it."""
        return (self.jobs / f"{job}.state").read_text()

    def signal(self, job: str, number: signal.Signals) -> None:
        """To all processes of a job but the shell of its script, as before its time is over."""
        session = (self.jobs / f"{job}.session").read_text()
        subprocess.run(["pkill", f"-{number.name.removeprefix('SIG')}", "-s", session, "-f", "python"], check=True)

    def lose(self, job: str) -> None:
        """The node of a job has failed."""
        (self.jobs / f"{job}.state").write_text("NODE_FAIL")
        self.signal(job, signal.SIGKILL)
