"""What each of several runs at once has of a machine, made up here."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import collect
from human_edge_detection.experiments.registry import expand
from human_edge_detection.runner.execution.plan import PlannedRun, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.sharing import sharing
from human_edge_detection.runner.sharing.memory import MARGIN, estimate
from human_edge_detection.runner.sharing.sharing import Shared
from human_edge_detection.wording import GIB

NAMES = tuple(expand(["quickstart"])[:3])
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "usable_cores", lambda: 8.0)
    monkeypatch.setattr(sharing, "available_memory", lambda: 100 * GIB)


def planned(folder: Path, **flags: Any) -> tuple[PlannedRun, ...]:
    overrides = collect(flags={f"--{name}": value for name, value in flags.items()})
    return plan(BatchRequest(NAMES, folder, overrides=overrides))


@pytest.mark.parametrize(
    ("jobs", "environment", "variables"),
    [
        (3, {}, {"OMP_NUM_THREADS": "2", "HED_CORES": "2"}),
        (8, {}, {"OMP_NUM_THREADS": "1", "HED_CORES": "1"}),
        (3, {"OMP_NUM_THREADS": "4"}, {"HED_CORES": "2"}),  # the user's stays
        (3, {"OMP_NUM_THREADS": "none"}, {"OMP_NUM_THREADS": "2", "HED_CORES": "2"}),  # OpenMP would ignore it
    ],
)
def test_cores_are_divided(
    tmp_path: Path, jobs: int, environment: Mapping[str, str], variables: Mapping[str, str]
) -> None:
    runs = planned(tmp_path)
    work = Shared(runs, Options(jobs=jobs), {**environment, **NO_GPU}).work(runs[0], 1, ["train"])
    assert (work.environment, work.cores, work.gpus) == (variables, int(variables["HED_CORES"]), 0)
    assert work.memory == estimate(runs[0].config)


def test_each_place_has_a_gpu_of_its_own(tmp_path: Path) -> None:
    runs = planned(tmp_path)
    shared = Shared(runs, Options(jobs=2), {"CUDA_VISIBLE_DEVICES": "3,MIG-aaaa/0/1,5"})
    works = [shared.work(run, place, ["train"]) for place, run in enumerate(runs[:2])]
    assert [work.environment["CUDA_VISIBLE_DEVICES"] for work in works] == ["3", "MIG-aaaa/0/1"]
    assert [work.gpus for work in works] == [1, 1]
    assert "one of 3 GPUs each" in shared.describe()[0]
    without = Shared(planned(tmp_path, device="cpu"), Options(jobs=4), {"CUDA_VISIBLE_DEVICES": "0"})
    assert "CUDA_VISIBLE_DEVICES" not in without.work(runs[0], 3, ["train"]).environment


@pytest.mark.parametrize(
    ("jobs", "gpus", "flags", "message"),
    [
        (9, "", {}, "--jobs 9: there are 8 cores, .* give --jobs 8"),
        (2, "0", {}, "--jobs 2: there is 1 GPU, .* give --jobs 1, or --device cpu"),
        (3, "0,1", {}, "--jobs 3: there are 2 GPUs, .* give --jobs 2, or --device cpu"),
        (2, "0,1", {"device": "cuda:1"}, "--jobs 2 gives each run a GPU, and --device cuda:1 names one"),
    ],
)
def test_more_than_there_is_is_refused(
    tmp_path: Path, jobs: int, gpus: str, flags: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Shared(planned(tmp_path, **flags), Options(jobs=jobs), {"CUDA_VISIBLE_DEVICES": gpus})


def test_the_processes_of_a_run_divide_what_it_has(tmp_path: Path) -> None:
    runs = planned(tmp_path)
    on_cores = Shared(runs, Options(jobs=2, procs_per_run=2), NO_GPU)
    work = on_cores.work(runs[0], 0, ["train"])
    assert (work.environment["OMP_NUM_THREADS"], work.environment["HED_CORES"]) == ("2", "4")
    assert work.memory == 2 * estimate(runs[0].config)
    assert on_cores.describe()[1] == "2 processes train each run together, threads of each: 2"
    on_gpus = Shared(runs, Options(jobs=2, gpus_per_run=2), {"CUDA_VISIBLE_DEVICES": "0,1,2,3"})
    works = [on_gpus.work(run, place, ["train"]) for place, run in enumerate(runs[:2])]
    assert [work.environment["CUDA_VISIBLE_DEVICES"] for work in works] == ["0,1", "2,3"]
    assert [work.gpus for work in works] == [2, 2]


@pytest.mark.parametrize(
    ("options", "gpus", "message"),
    [
        (Options(gpus_per_run=2), "", "--gpus_per_run 2: no GPU is seen here.* --procs_per_run 2 trains"),
        (Options(gpus_per_run=3), "0,1", "--gpus_per_run 3: there are 2 GPUs, and each process takes one"),
        (Options(jobs=2, gpus_per_run=2), "0,1,2", "--gpus_per_run 2 with --jobs 2: there are 3 GPUs"),
        (Options(procs_per_run=9), "", "--procs_per_run 9: there are 8 cores"),
        (Options(jobs=4, procs_per_run=3), "", "--procs_per_run 3 with --jobs 4: there are 8 cores"),
    ],
)
def test_more_processes_than_there_is_room_for_are_refused(
    tmp_path: Path, options: Options, gpus: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Shared(planned(tmp_path), options, {"CUDA_VISIBLE_DEVICES": gpus})


def test_what_is_worth_knowing_is_said(tmp_path: Path) -> None:
    runs = planned(tmp_path)
    lines = Shared(runs, Options(jobs=4), {"OMP_NUM_THREADS": "8"} | NO_GPU).describe()
    assert lines[0] == "--jobs 4: 4 runs at once, OMP_NUM_THREADS is 8, so that many threads each"
    assert "3" in lines[1] and "fewer jobs" in lines[1]
    assert "more threads than cores" in lines[2]
    assert Shared(runs, Options(jobs=2), NO_GPU).describe() == ["--jobs 2: 2 runs at once, 4 of 8 cores each"]


def test_memory_is_kept_for_what_a_run_has_not_taken_yet(
    tmp_path: Path, write_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = planned(tmp_path)
    for run in runs[:2]:
        status = write_run(run.paths.root, run.config).status
        fields = json.loads(status.read_text()) | {"state": "running", "epoch": 1, "peak_bytes": 10 * GIB}
        status.write_text(json.dumps(fields))
    shared = Shared(runs, Options(jobs=2), NO_GPU)
    need = int(10 * GIB * MARGIN)
    shared.work(runs[0], 0, ["train"])  # what its status says is of an earlier process
    monkeypatch.setattr(sharing, "available_memory", lambda: 2 * need)
    assert shared.lack(runs[1], [runs[0]]) is None
    monkeypatch.setattr(sharing, "available_memory", lambda: 2 * need - 1)
    assert "11.0 GiB of them for what runs" in (shared.lack(runs[1], [runs[0]]) or "")
    mine = runs[0].paths.status
    mine.write_text(json.dumps(json.loads(mine.read_text()) | {"beats": 7}))  # the new process has as much now
    assert shared.lack(runs[1], [runs[0]]) is None
