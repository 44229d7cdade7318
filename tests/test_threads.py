"""How waiting threads wait: the rule, and that it reaches OpenMP in a process that has not loaded it yet."""

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

from human_edge_detection import threads as module
from human_edge_detection.load import Load
from human_edge_detection.threads import choose_waiting, may_be_chosen, thread_environment, threads_of

PASSIVE = {"OMP_WAIT_POLICY": "passive"}


@pytest.mark.parametrize(
    ("threads", "usable", "others", "expected"),
    [
        (2, 2.0, 0.0, {}),
        (2, 2.0, 0.4, {}),
        (2, 2.0, 1.0, PASSIVE),
        (8, 64.0, 40.0, {}),
        (64, 64.0, 1.0, PASSIVE),
        (64, 4.0, 0.0, PASSIVE),  # a container's limit
    ],
)
def test_threads_sleep_where_they_and_others_want_more_than_there_is(
    threads: int, usable: float, others: float, expected: Mapping[str, str]
) -> None:
    assert thread_environment(threads=threads, usable=usable, others=others) == expected


@pytest.mark.parametrize(("value", "threads"), [(None, 8), ("3", 3), ("4,2", 4), ("", 8), ("0", 8), ("many", 8)])
def test_how_many_threads_openmp_starts(value: str | None, threads: int) -> None:
    assert threads_of({} if value is None else {"OMP_NUM_THREADS": value}, 8) == threads


@pytest.mark.parametrize(
    ("environment", "threads", "open_"),
    [
        ({}, 2, True),
        ({"OMP_NUM_THREADS": "2"}, 2, True),
        ({}, 1, False),
        ({"OMP_WAIT_POLICY": "active"}, 2, False),
        ({"GOMP_SPINCOUNT": "0"}, 2, False),
        ({"KMP_BLOCKTIME": "200"}, 2, False),
    ],
)
def test_what_the_user_has_set_stays(environment: Mapping[str, str], threads: int, open_: bool) -> None:
    assert may_be_chosen(environment, threads) is open_


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("load", "expected"), [(Load(99.0, ()), "passive"), (None, None)])
def test_the_choice_is_in_the_environment(
    load: Load | None, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(module, "load_by_others", lambda: load)
    choose_waiting()
    assert os.environ.get("OMP_WAIT_POLICY") == expected


@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "active"), ("OMP_NUM_THREADS", "1")])
@pytest.mark.usefixtures("two_threads")
def test_nothing_is_measured_where_nothing_is_to_choose(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured() -> None:
        raise AssertionError

    monkeypatch.setattr(module, "load_by_others", measured)
    monkeypatch.setenv(name, value)
    choose_waiting()
    assert os.environ[name] == value


CHILD = dedent(
    """
    import ctypes, sys
    from human_edge_detection import threads
    from human_edge_detection.load import Load
    threads.load_by_others = lambda: Load(99.0, ())
    assert "torch" not in sys.modules
    if sys.argv[2:] == ["choose"]:
        threads.choose_waiting()
    ctypes.CDLL(sys.argv[1])
    """
)


def _openmp_of_torch() -> Path | None:
    torch = find_spec("torch")
    places = [] if torch is None or torch.origin is None else list(Path(torch.origin).parent.glob("lib/libgomp*"))
    return places[0] if places else None


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("words", "policy"), [(["choose"], "OMP_WAIT_POLICY = 'PASSIVE'"), ([], "GOMP_SPINCOUNT = '300000'")]
)
def test_openmp_reads_it_when_it_is_loaded(words: list[str], policy: str) -> None:
    library = _openmp_of_torch()
    if library is None:
        pytest.skip("this build of PyTorch brings no libgomp")
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(library), *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_DISPLAY_ENV": "verbose"},
    )
    assert policy in child.stderr
