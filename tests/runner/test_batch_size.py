"""Which number ``--batch_size auto`` is, for which runs it is one, and that it stays."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import collect
from human_edge_detection.runner import batch_size as module
from human_edge_detection.runner.batch_size import largest_batch_size, with_batch_size
from human_edge_detection.runner.execution.ownership import take_folders
from human_edge_detection.runner.execution.plan import plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.run_experiments import preview_experiments
from human_edge_detection.runner.sweep.sweep import SweepRequest
from human_edge_detection.runs.records import Probe, ProbeRequest

STUDENT, TEACHER, DISTILLED = "quickstart_student_b0", "quickstart_teacher_b3", "quickstart_distilled_b0_from_b3"
MakeProbe = Callable[..., Probe]
Asked = list[ProbeRequest]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, made_up_probe: MakeProbe) -> Asked:
    """What is measured; with a teacher all takes four times as much."""
    requests: Asked = []

    def measure(request: ProbeRequest) -> list[Probe]:
        requests.append(request)
        factor = 4.0 if request.teachers else 1.0
        return [made_up_probe(size, factor * (0.5 + 0.25 * size)) for size in request.batch_sizes]

    monkeypatch.setattr(module, "probe", measure)
    return requests


def wants(output_dir: Path, *names: str, flag: int | str = "auto", **flags: object) -> BatchRequest:
    overrides = collect(flags={"--batch_size": flag, **{f"--{name}": value for name, value in flags.items()}})
    return BatchRequest(names=names or (STUDENT,), output_dir=output_dir, overrides=overrides)


def chosen(request: BatchRequest) -> int:
    """The one number of all runs."""
    (number,) = {run.config.training.batch_size for run in plan(with_batch_size(request, plan)) if run.named}
    return number


def train(request: BatchRequest) -> None:
    take_folders(plan(with_batch_size(request, plan)))


@pytest.mark.parametrize(
    ("figures", "sizes", "expected", "why"),
    [
        ({}, (1, 2, 4), 8, "8 would take 2.5 GiB of 8.0 GiB available (at most 70%), more is hardly quicker on a CPU"),
        ({"device": "cuda:0"}, (1, 2, 4), 16, "32 8.5 GiB"),
        ({"available": 80.0, "device": "cuda:0"}, (1, 2, 4), 128, "256 64.5 GiB"),
        ({"available": 80.0, "device": "cuda:0", "images": 100}, (1, 2, 4), 64, "there are 100 training images"),
        ({"images": 3}, (1, 2), 2, "there are 3 training images"),
        ({"available": 1.5}, (1, 2), 2, "4 1.5 GiB"),
        ({"available": 1.1}, (1,), 1, "2 1.5 GiB"),
        ({"gib": 1.0}, (1, 2, 4), 8, "1.0 GiB with 1, 1.0 GiB with 2, 1.0 GiB with 4"),
    ],
)
def test_the_largest_power_of_two_below_the_share_of_memory(
    made_up_probe: MakeProbe, figures: dict[str, object], sizes: Sequence[int], expected: int, why: str
) -> None:
    choice = largest_batch_size([made_up_probe(size, **figures) for size in sizes], "mine")
    assert choice.batch_size == expected
    assert why in choice.why
    assert "mine took" in choice.why


def test_too_little_memory_is_one_line_with_figures(made_up_probe: MakeProbe) -> None:
    with pytest.raises(
        ConfigError, match=r"mine takes 768 MiB with one image at a time, more than 70% of the 1\.0 GiB"
    ):
        largest_batch_size([made_up_probe(1, available=1.0)], "mine")
    with pytest.raises(ConfigError, match="mine does not fit"):
        largest_batch_size([], "mine")
    unknown = made_up_probe(1).model_copy(update={"peak_bytes": None})
    with pytest.raises(ConfigError, match="does not tell how much memory there is; give a number"):
        largest_batch_size([unknown], "mine")


def test_a_number_is_left_as_it_is(tmp_path: Path, asked: Asked) -> None:
    request = wants(tmp_path, flag=3)
    assert with_batch_size(request, plan) is request
    assert asked == []


def test_control_and_distilled_run_get_the_number_of_the_heaviest(
    tmp_path: Path, asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        runs = plan(with_batch_size(wants(tmp_path, STUDENT, DISTILLED), plan))
    numbers = {run.name: (run.config.training.batch_size, run.config.training.auto_batch_size) for run in runs}
    assert numbers == dict.fromkeys((STUDENT, TEACHER, DISTILLED), (2, True))
    measured = {request.config.name: [teacher.name for teacher in request.teachers] for request in asked}
    assert measured == {STUDENT: [], TEACHER: [], DISTILLED: [TEACHER]}
    assert all(request.crowded and request.batch_sizes == (1, 2, 4) for request in asked)
    assert f"--batch_size auto: 2; {DISTILLED} took" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_of_equal_numbers_the_line_is_about_the_heaviest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_up_probe: MakeProbe, caplog: pytest.LogCaptureFixture
) -> None:
    def measure(request: ProbeRequest) -> list[Probe]:
        return [made_up_probe(size, 1.0 + len(request.teachers)) for size in request.batch_sizes]

    monkeypatch.setattr(module, "probe", measure)
    with caplog.at_level(logging.INFO):
        assert chosen(wants(tmp_path, STUDENT, DISTILLED)) == 8
    assert f"--batch_size auto: 8; {DISTILLED} took 2.0 GiB with 1" in caplog.text


def test_trainings_that_take_the_same_memory_are_measured_once(tmp_path: Path, asked: Asked) -> None:
    request = wants(tmp_path)
    grid = (collect(sets=["training.epochs=3"]).changes, collect(sets=["training.learning_rate=0.1"]).changes)
    chosen(BatchRequest(request.names, tmp_path, request.overrides, seeds=(0, 1), grid=grid))
    assert len(asked) == 1


def test_the_same_command_again_takes_the_number_of_the_run(
    tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    train(wants(tmp_path))
    monkeypatch.setattr(module, "MOST_ON_CPU", 2)  # another machine, where another number would be chosen
    asked.clear()
    with caplog.at_level(logging.INFO):
        assert chosen(wants(tmp_path)) == 8
    assert f"--batch_size auto: 8, as in {tmp_path / STUDENT}" in caplog.text
    assert chosen(wants(tmp_path, epochs=50)) == 8  # it grows
    assert asked == []
    assert chosen(wants(tmp_path, learning_rate=0.5)) == 2  # another run
    assert len(asked) == 1


def test_it_stays_after_the_number_itself_was_given(tmp_path: Path, asked: Asked) -> None:
    train(wants(tmp_path))
    train(wants(tmp_path, flag=8))
    asked.clear()
    assert chosen(wants(tmp_path)) == 8
    assert asked == []


def test_a_number_that_the_user_gave_is_no_choice(tmp_path: Path, asked: Asked) -> None:
    train(wants(tmp_path, flag=4))
    assert chosen(wants(tmp_path)) == 8
    assert len(asked) == 1


def test_a_run_that_is_named_keeps_its_number_whoever_chose_it(tmp_path: Path, asked: Asked) -> None:
    named = {"names": (STUDENT,), "output_dir": tmp_path, "run_name": "mine"}
    take_folders(plan(BatchRequest(**named, overrides=wants(tmp_path, flag=4).overrides)))  # type: ignore[arg-type]
    assert chosen(BatchRequest(**named, overrides=wants(tmp_path).overrides)) == 4  # type: ignore[arg-type]
    assert asked == []


def test_restart_deletes_the_run_of_the_number(tmp_path: Path, asked: Asked) -> None:
    train(wants(tmp_path))
    request = wants(tmp_path)
    again = with_batch_size(BatchRequest(request.names, tmp_path, request.overrides, restart=True), plan)
    (run,) = plan(again)
    assert (run.name, run.restart, len(asked)) == (STUDENT, True, 1)


def test_a_resumed_run_goes_on_with_its_own(tmp_path: Path, asked: Asked) -> None:
    train(wants(tmp_path, flag=4))
    request = wants(tmp_path)
    resumed = BatchRequest((), tmp_path, request.overrides, resume=tmp_path / STUDENT)
    (run,) = plan(with_batch_size(resumed, plan))
    assert (run.config.training.batch_size, asked) == (4, [])


def test_a_sweep_has_one_number_for_all_its_combinations(tmp_path: Path, asked: Asked) -> None:
    sweep = SweepRequest(("model.image_size=[64, 64],[96, 96]",))
    lines = preview_experiments(wants(tmp_path), sweep=sweep)
    assert len(asked) == 2
    assert len([line for line in lines if "training.auto_batch_size=true" in line]) == 2
    assert list(tmp_path.iterdir()) == []
