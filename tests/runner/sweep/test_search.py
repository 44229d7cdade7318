"""Searches: trials, pruning, failures, and going on after anything. A function stands in for the trainings."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

import optuna
import pytest
from fake_backends import Calls, Cancelled, Run, Steps

from human_edge_detection.experiments.difference import difference
from human_edge_detection.experiments.overrides import Overrides, collect
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config
from human_edge_detection.files.lock import hold
from human_edge_detection.runner.backends.backend import Backend, Ended, Work
from human_edge_detection.runner.backends.local import LocalBackend, LocalJob
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.retry import Options
from human_edge_detection.runner.sweep.search import SearchEnd, _Search, pruned_runs, search
from human_edge_detection.runner.sweep.search_space import parse_axes
from human_edge_detection.runner.sweep.sweep import Sweep, best, make_sweep
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.signals import Terminated

TEACHER, STUDENT, DISTILLED = expand(["quickstart"])[:3]
LEARNING_RATE, ALPHA = "training.learning_rate", "distillation.alpha"
EPOCHS = 4


class Trainings:
    """Stands in for the child processes: ``score(values)`` is what a run with these ``--set`` values reaches."""

    def __init__(self, write_run: Callable[..., RunPaths], score: Callable[[Mapping[str, Any]], float]) -> None:
        self.write_run = write_run
        self.score = score
        self.started: list[str] = []
        self.epochs = 0

    def __call__(self, command: Sequence[str]) -> Steps:
        options = dict(pairwise(command))
        root = Path(options["--resume"])
        name = root.relative_to(options["--output_dir"]).as_posix()
        config = build_config(json.loads((root / "config.json").read_bytes()))
        values = {path: value for path, (_, value) in difference(config, get_config(config.name)).items()}
        with hold(RunPaths(root).lock, "run", advice="wait"):
            self.started.append(name)
            return (yield from self._train(root, config, values))

    def _train(self, root: Path, config: ExperimentConfig, values: Mapping[str, Any]) -> Steps:
        try:
            score = self.score({"experiment": config.name, **values})
        except ValueError as error:
            fields = self._status("failed") | {"error": str(error), "step": 1}
            (root / "status.json").write_text(json.dumps(fields))
            return Ended(os.getpid(), 2)
        lines = []
        for epoch in range(1, EPOCHS + 1):
            self.epochs += 1
            lines.append(json.dumps({"epoch": epoch, "val/miou": score * epoch / EPOCHS}))
            (root / "metrics.jsonl").write_text("\n".join(lines) + "\n")
            try:
                yield
            except Cancelled:
                (root / "status.json").write_text(json.dumps(self._status("interrupted")))
                return Ended(os.getpid(), 75)
        self.write_run(root, config, metrics={"miou": score})
        return Ended(os.getpid(), 0)

    @staticmethod
    def _status(state: str) -> dict[str, Any]:
        fields = {"state": state, "epochs": EPOCHS, "pid": os.getpid(), "host": "h", "started": "", "updated": ""}
        return fields | {"updated": str(time.time())}


class Bench:
    """An output folder to search in."""

    def __init__(self, output_dir: Path, data: Path, write_run: Callable[..., RunPaths]) -> None:
        self.output_dir = output_dir
        self.data = data
        self.write_run = write_run

    def sweep(self, *sweeps: str, trials: int, names: tuple[str, ...] = (STUDENT,), **request: Any) -> Sweep:
        overrides = collect(sets=[f"training.epochs={EPOCHS}"], flags={"--data_root": str(self.data)})
        asked = BatchRequest(names=names, output_dir=self.output_dir, overrides=overrides, **request)
        axes = parse_axes(sweeps or [f"{LEARNING_RATE}=1e-4..1e-2:log"], Overrides(), searched=True)
        sweep = make_sweep(asked, axes, trials=trials, tuning=True)
        assert sweep.split is not None
        sweep.split.write()
        return sweep

    def trainings(self, score: Callable[[Mapping[str, Any]], float]) -> Trainings:
        return Trainings(self.write_run, score)

    def search(self, sweep: Sweep, start: Run, **options: Any) -> SearchEnd:
        return self.search_on(sweep, Calls(start), **options)

    def search_on(self, sweep: Sweep, backend: Backend[Any], **options: Any) -> SearchEnd:
        deadline = time.monotonic() + 30

        def pause(seconds: float) -> None:
            assert time.monotonic() < deadline, "waits for ever"
            time.sleep(0.001)

        return search(sweep, Options(**options), backend, pause=pause)


@pytest.fixture
def bench(
    tmp_path: Path, tiny_coco: Path, write_run: Callable[..., RunPaths], monkeypatch: pytest.MonkeyPatch
) -> Bench:
    monkeypatch.setattr("human_edge_detection.runner.execution.launch.LOOK_SECONDS", 0.0)  # one look for each step
    return Bench(tmp_path / "experiments", tiny_coco, write_run)


def peak(values: Mapping[str, Any]) -> float:
    """Best at a learning rate of 1e-3."""
    return float(0.9 - abs(values.get(LEARNING_RATE, 2e-3) - 1e-3) * 50)


def rising(trials: list[float]) -> Callable[[Mapping[str, Any]], float]:
    """The first run reaches the first score, and so on."""
    remaining = iter(trials)
    return lambda values: next(remaining)


def test_it_makes_so_many_trials_in_all_and_the_same_command_adds_nothing(bench: Bench) -> None:
    trainings = bench.trainings(peak)
    end = bench.search(bench.sweep(trials=4), trainings)
    assert [entry.status for entry in end.entries] == ["finished"] * 4
    assert (end.problem, end.interrupt, len(trainings.started)) == (None, None, 4)
    again = bench.search(bench.sweep(trials=4), trainings)
    assert again == end
    assert len(trainings.started) == 4
    more = bench.search(bench.sweep(trials=6), trainings)
    assert more.entries[:4] == end.entries
    assert len(more.entries) == len(trainings.started) == 6
    chosen = best(more.entries)
    assert chosen is not None and chosen.score == max(entry.score or 0 for entry in more.entries)


def test_what_is_tried_does_not_depend_on_when_it_was_stopped(bench: Bench, tmp_path: Path) -> None:
    whole = bench.search(bench.sweep(trials=5), bench.trainings(peak))
    other = Bench(tmp_path / "other" / "experiments", bench.data, bench.write_run)
    for trials in (1, 3, 5):
        parts = other.search(other.sweep(trials=trials), other.trainings(peak))
    assert [entry.values for entry in parts.entries] == [entry.values for entry in whole.entries]
    assert len({entry.values[LEARNING_RATE] for entry in whole.entries}) == 5


def test_the_seed_of_the_experiment_is_that_of_the_search(bench: Bench) -> None:
    first = bench.search(bench.sweep(trials=2), bench.trainings(peak))
    other = bench.search(bench.sweep(trials=2, seeds=(7,)), bench.trainings(peak))
    assert first.entries[0].values != other.entries[0].values


def test_a_run_that_falls_behind_is_stopped_and_its_trial_is_pruned(bench: Bench) -> None:
    trainings = bench.trainings(rising([0.5, 0.6, 0.7, 0.6, 0.5, 0.1, 0.8]))
    end = bench.search(bench.sweep(trials=7), trainings)
    assert [entry.status for entry in end.entries] == [*["finished"] * 5, "pruned", "finished"]
    assert trainings.epochs < 7 * EPOCHS
    (name,) = pruned_runs(end.entries, bench.output_dir)
    assert name == trainings.started[5]
    assert json.loads((bench.output_dir / name / "status.json").read_text())["state"] == "interrupted"
    assert bench.search(bench.sweep(trials=7), trainings).entries == end.entries
    assert len(trainings.started) == 7


def test_a_pruned_run_is_not_tried_again_with_retries(bench: Bench) -> None:
    trainings = bench.trainings(rising([0.5, 0.6, 0.7, 0.6, 0.5, 0.1]))
    end = bench.search(bench.sweep(trials=6), trainings, retries=3)
    assert end.entries[5].status == "pruned"
    assert len(trainings.started) == 6


def test_a_failed_trial_is_recorded_and_not_tried_again(bench: Bench) -> None:
    def score(values: Mapping[str, Any]) -> float:
        if values[LEARNING_RATE] > 1e-3:
            raise ValueError("loss is not finite at step 7")
        return peak(values)

    trainings = bench.trainings(score)
    end = bench.search(bench.sweep(f"{LEARNING_RATE}=1e-4,5e-4,5e-3", trials=3), trainings)
    failed = [entry for entry in end.entries if entry.status == "failed"]
    assert end.problem is None and len(failed) == 1
    assert failed[0].error == "failed: loss is not finite at step 7"
    assert failed[0].score is None
    started = len(trainings.started)
    assert bench.search(bench.sweep(f"{LEARNING_RATE}=1e-4,5e-4,5e-3", trials=3), trainings).entries == end.entries
    assert len(trainings.started) == started


def test_three_failures_in_a_row_stop_the_search_and_fail_fast_does_at_once(bench: Bench) -> None:
    def fail(values: Mapping[str, Any]) -> float:
        raise ValueError("no images")

    end = bench.search(bench.sweep(trials=9), bench.trainings(fail))
    assert [entry.status for entry in end.entries] == ["failed"] * 3
    assert "3 trials failed one after the other" in (end.problem or "")
    end = bench.search(bench.sweep(trials=9), bench.trainings(fail), fail_fast=True)
    assert len(end.entries) == 4
    assert "--fail_fast" in (end.problem or "")


def test_a_teacher_that_fails_stops_the_search_and_leaves_the_trial_open(bench: Bench) -> None:
    broken = True

    def score(values: Mapping[str, Any]) -> float:
        if broken and values["experiment"] == TEACHER:
            raise ValueError("no images")
        return 0.5

    sweep = bench.sweep(f"{ALPHA}=0.1..0.9", trials=3, names=(DISTILLED,))
    trainings = bench.trainings(score)
    end = bench.search(sweep, trainings)
    assert TEACHER in (end.problem or "") and "no images" in (end.problem or "")
    assert [entry.status for entry in end.entries] == ["running"]
    broken = False
    end = bench.search(sweep, trainings)
    assert [entry.status for entry in end.entries] == ["finished"] * 3
    teachers = [name for name in trainings.started if name.startswith(TEACHER)]
    assert len(teachers) == 2 and len(set(teachers)) == 1  # one teacher for all trials


def test_an_interrupted_search_goes_on_with_the_same_trial(bench: Bench) -> None:
    trainings = bench.trainings(peak)

    def interrupted(command: Sequence[str]) -> Ended | Steps:
        return trainings(command) if trainings.started else terminated(command)

    end = bench.search(bench.sweep(trials=2), interrupted)
    assert isinstance(end.interrupt, Terminated)
    (entry,) = end.entries
    assert entry.status == "running"
    after = bench.search(bench.sweep(trials=2), trainings)
    assert after.entries[0].values == entry.values
    assert [entry.status for entry in after.entries] == ["finished"] * 2


def terminated(command: Sequence[str]) -> Ended:
    """A child that ends as a scheduler stops the batch."""
    os.kill(os.getpid(), signal.SIGTERM)
    return Ended(1, 75)


class Killed(BaseException):
    """Ends everything at once, as kill -9 does; locks are freed, nothing is written."""


def test_a_search_that_was_killed_amid_a_trial_and_a_line_of_the_journal_goes_on(bench: Bench) -> None:
    trainings = bench.trainings(peak)

    def killed(command: Sequence[str]) -> Steps:
        if len(trainings.started) == 1:
            raise Killed
        return trainings(command)

    sweep = bench.sweep(trials=3)
    with pytest.raises(Killed):
        bench.search(sweep, killed)
    journal = sweep.folder / "journal.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code":5,"worker_id":"x","tri')
    for _ in range(2):  # the second reads what the first has written after the torn line
        end = bench.search(sweep, trainings)
        assert [entry.status for entry in end.entries] == ["finished"] * 3
    assert len(trainings.started) == 3


def test_two_processes_share_the_trials(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = optuna.Study.ask

    def slow_ask(study: Any) -> Any:
        time.sleep(0.02)  # long enough for the other to look, too, how many trials there are
        return ask(study)

    monkeypatch.setattr(optuna.Study, "ask", slow_ask)
    sweep = bench.sweep(trials=12)

    def slow(values: Mapping[str, Any]) -> float:
        time.sleep(0.02)
        return peak(values)

    trainings = bench.trainings(slow)
    ends: list[SearchEnd] = []
    threads = [threading.Thread(target=lambda: ends.append(bench.search(sweep, trainings))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ends) == 2
    for end in ends:
        assert len(end.entries) == 12
        assert not [entry for entry in end.entries if entry.status not in ("finished", "pruned")]
    assert len(trainings.started) == len(set(trainings.started)) == 12


def test_a_trial_that_another_process_ends_at_this_very_moment_is_left_to_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = bench.sweep(trials=1)
    bench.search(sweep, terminated)  # leaves its trial open
    trainings = bench.trainings(peak)
    look = _Search._is_left_open

    def look_late(self: _Search[Any], frozen: Any, held: Any) -> bool:
        if not trainings.started:
            monkeypatch.setattr(_Search, "_is_left_open", look)
            monkeypatch.setattr("human_edge_detection.runner.sweep.search._moment", lambda lock, what: nullcontext())
            bench.search(sweep, trainings)  # the other process
        return look(self, frozen, held)

    monkeypatch.setattr(_Search, "_is_left_open", look_late)
    (entry,) = bench.search(sweep, trainings).entries
    assert (entry.status, len(trainings.started)) == ("finished", 1)


def test_with_seeds_the_score_is_their_mean_and_a_bad_seed_ends_the_trial(bench: Bench) -> None:
    def score(values: Mapping[str, Any]) -> float:
        if values.get("training.seed") == 1 and values[LEARNING_RATE] == 5e-3:
            raise ValueError("bad luck")
        return 0.4 if values.get("training.seed") == 1 else 0.6

    sweep = bench.sweep(f"{LEARNING_RATE}=1e-3,5e-3", trials=6, seeds=(0, 1, 2))
    trainings = bench.trainings(score)
    end = bench.search(sweep, trainings)
    finished = [entry for entry in end.entries if entry.status == "finished"]
    assert finished and all(entry.score == pytest.approx((0.6 + 0.4 + 0.6) / 3) for entry in finished)
    failed = [entry for entry in end.entries if entry.status == "failed"]
    assert failed
    assert failed[0].runs[2] not in trainings.started


@pytest.mark.parametrize("axis", [f"{LEARNING_RATE}=1e-3,2e-3,3e-3,4e-3,5e-3", "training.batch_size=2..6"])
def test_no_values_are_tried_twice_and_the_search_ends_when_all_were(bench: Bench, axis: str) -> None:
    def score(values: Mapping[str, Any]) -> float:
        if values.get(LEARNING_RATE) == 3e-3:
            raise ValueError("bad luck")
        return peak(values)

    trainings = bench.trainings(score)
    for trials, tried in ((3, 3), (4, 4), (50, 5), (50, 5)):
        end = bench.search(bench.sweep(axis, trials=trials), trainings)
        assert end.problem is None
        assert len(end.entries) == len({str(entry.values) for entry in end.entries}) == tried
        assert len(trainings.started) == tried


def test_trials_are_scored_on_the_tuning_split(bench: Bench) -> None:
    seen: list[str] = []

    def score(values: Mapping[str, Any]) -> float:
        seen.append(Path(values["data.val_ann"]).name)
        return 0.5

    bench.search(bench.sweep(trials=2), bench.trainings(score))
    assert seen == ["tuning.json"] * 2


CHILD = dedent(
    """
    import json, os, signal, sys, time
    from pathlib import Path

    root, score = Path(sys.argv[1]), float(sys.argv[2])

    def save_and_end(number, frame):
        status = {"state": "interrupted", "epochs": 4, "pid": os.getpid(), "host": "h", "started": "", "updated": ""}
        (root / "status.json").write_text(json.dumps(status))
        os._exit(75)

    signal.signal(signal.SIGTERM, save_and_end)
    (root / ".metrics").write_text(json.dumps({"epoch": 1, "val/miou": score}) + chr(10))
    (root / ".metrics").replace(root / "metrics.jsonl")
    time.sleep(60)  # left alone, it ends without having saved
    """
)


def test_a_child_that_falls_behind_gets_sigterm_and_saves(bench: Bench) -> None:
    trainings = bench.trainings(peak)
    sweep = bench.sweep(trials=6)

    class Last(LocalBackend):
        def submit(self, work: Work) -> LocalJob:
            root = dict(pairwise(work.command))["--resume"]
            return super().submit(replace(work, command=(sys.executable, "-c", CHILD, root, "0.001")))

    bench.search(bench.sweep(trials=5), trainings)
    end = bench.search_on(sweep, Last())
    assert end.entries[5].status == "pruned"
    assert json.loads((bench.output_dir / end.entries[5].runs[0] / "status.json").read_text())["state"] == "interrupted"
