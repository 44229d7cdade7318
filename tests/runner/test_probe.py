"""What becomes of the end of a child that measures a training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import ConfigError, TrainingError
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.files.write import write_json
from human_edge_detection.runner import probe as module
from human_edge_detection.runner.backends.backend import Ended
from human_edge_detection.runner.probe import REPORT, REQUEST, measure_training, probe
from human_edge_detection.runs.records import ProbeReport, ProbeRequest, read_section
from human_edge_detection.signals import Terminated

STUDENT, TEACHER = get_config("quickstart_student_b0"), get_config("quickstart_teacher_b3")
REQUESTED = ProbeRequest(config=STUDENT, batch_sizes=(1, 2), steps=1)
Child = Callable[..., list[ProbeRequest]]


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch, made_up_probe: Callable[..., Any]) -> Child:
    """``child(sizes, **ended)`` leaves probes of these sizes and ends so; it returns what it was asked."""

    def replace_launch(sizes: Sequence[int] = (), error: str | None = None, **ended: Any) -> list[ProbeRequest]:
        asked: list[ProbeRequest] = []

        def launch(command: Sequence[str]) -> Ended:
            folder = Path(command[-1])
            request = read_section(ProbeRequest, folder / REQUEST)
            assert request is not None
            asked.append(request)
            report = ProbeReport(probes=tuple(made_up_probe(size) for size in sizes), error=error)
            write_json(folder / REPORT, report.model_dump(mode="json"))
            return Ended(**{"pid": 1, "returncode": 0, **ended})

        monkeypatch.setattr(module, "launch", launch)
        return asked

    return replace_launch


@pytest.mark.parametrize("returncode", [0, -9])
def test_what_was_measured_counts_also_when_the_next_one_was_killed(child: Child, returncode: int) -> None:
    child((1, 2), returncode=returncode)
    assert [found.batch_size for found in probe(REQUESTED)] == [1, 2]


def test_its_error_is_the_commands(child: Child) -> None:
    child((), error="no data at all")
    with pytest.raises(ConfigError, match="no data at all"):
        probe(REQUESTED)


def test_a_bug_and_a_signal_end_the_command_too(child: Child) -> None:
    child((1,), returncode=1)
    with pytest.raises(TrainingError, match="exit code 1"):
        probe(REQUESTED)
    child((1,), returncode=-15, interrupt=Terminated())
    with pytest.raises(Terminated):
        probe(REQUESTED)


def test_a_training_is_measured_with_its_own_batch_size_and_teacher(child: Child) -> None:
    asked = child((2,))
    assert measure_training(STUDENT, TEACHER).batch_size == 2
    (request,) = asked
    assert (request.batch_sizes, request.steps, request.crowded) == ((STUDENT.training.batch_size,), 5, False)
    assert [teacher.name for teacher in request.teachers] == [TEACHER.name]
    child(())
    with pytest.raises(TrainingError, match="does not fit"):
        measure_training(STUDENT, None)
