"""What others compute, from texts of ``/proc`` as Linux writes them."""

import subprocess
import sys
import time

import pytest

from human_edge_detection import load as module
from human_edge_detection.load import (
    Computing,
    Load,
    Process,
    Reading,
    family,
    load_between,
    load_by_others,
    parse_cores,
    parse_process,
)

STAT = "cpu  900 0 0 900 0 0 0 0 0 0\ncpu0 100 20 30 800 50 1 2 3 7 7\ncpu1 0 0 0 1000 0 0 0 0 0 0\nintr 1 2\n"
SHELL, OURS, OUR_WORKER, OTHER = 1, 2, 3, 4


def processes(ours: int, worker: int, other: int) -> dict[int, Process]:
    return {
        SHELL: Process("bash", 0, 5, 1),
        OURS: Process("hed", SHELL, ours, 2),
        OUR_WORKER: Process("python", OURS, worker, 1),
        OTHER: Process("python", SHELL, other, 9),
    }


@pytest.mark.parametrize(
    ("cores", "busy", "total"), [({0}, 156, 1006), ({1}, 0, 1000), ({0, 1}, 156, 2006), (set(), 0, 0)]
)
def test_time_without_work_and_of_other_cores_is_not_busy(cores: set[int], busy: int, total: int) -> None:
    assert parse_cores(STAT, cores) == (busy, total)


def test_a_name_may_have_brackets_and_blanks() -> None:
    fields = "R 7 " + " ".join(["0"] * 9) + " 120 30 0 0 20 0 4 0 99"
    assert parse_process(f"42 (a) R (b c) {fields}") == Process("a) R (b c", 7, 150, 4)


def test_a_family_is_all_that_one_has_started() -> None:
    started = processes(0, 0, 0)
    assert family(started, OURS) == {OURS, OUR_WORKER}
    assert family(started, SHELL) == {SHELL, OURS, OUR_WORKER, OTHER}
    assert family({1: Process("a", 2, 0, 1), 2: Process("b", 1, 0, 1)}, 1) == {1, 2}


def test_what_we_compute_is_not_of_others() -> None:
    before = Reading(100, 1000, processes(10, 10, 10))
    after = Reading(160, 1080, processes(30, 20, 40))  # in 40 ticks two cores worked for 60: 30 of ours, 30 of another
    found = load_between(before, after, 2, own={OURS, OUR_WORKER})
    assert found == Load(0.75, (Computing(OTHER, "python", 0.75, 9),))


def test_who_cannot_be_seen_is_counted_all_the_same() -> None:
    before, after = Reading(0, 0, {}), Reading(80, 80, processes(1, 1, 1))  # new processes have no past to compare with
    assert load_between(before, after, 2, own=()) == Load(2.0, ())
    assert load_between(before, before, 2, own=()) == Load(0.0, ())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_busy_child_of_ours_is_no_other() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            _wait_until_it_works(child.pid)
            found = load_by_others()
            assert found is not None
            assert child.pid not in {one.pid for one in found.processes}
        finally:
            child.kill()


def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(module, "_PROC", tmp_path)
    assert load_by_others() is None


def _wait_until_it_works(pid: int) -> None:
    while module._read(module._PROC, {0}).processes[pid].ticks < 10:
        time.sleep(0.05)
