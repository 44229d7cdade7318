"""Run folders edited by hand: whatever one of them holds, the others are compared, and it is a row with its reason.

The edits are made up of the files themselves: every file of a run folder in every state that a file can be in, and
every field in it with every value that JSON can hold. A few of each in every test run, all of them in the slow lane.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import WEIGHTS, made_up_counts, sha256_of, write_counted_run

from human_edge_detection.api.request import request_for_one
from human_edge_detection.errors import HumanEdgeDetectionError
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.files.write import write_json
from human_edge_detection.runner.comparison.runs_by_seed import find_method
from human_edge_detection.runner.comparison.table import Row, comparison_rows, read_records, to_csv
from human_edge_detection.runner.execution.plan import plan
from human_edge_detection.runs.lookup.identity import RunContents, WeightFile, write_contents
from human_edge_detection.runs.lookup.resume import ResumeRecord
from human_edge_detection.runs.paths import RunPaths, summary_path
from human_edge_detection.runs.records import LatencyReport, OutputParity, ParityCase, ParityReport, ParityTolerances
from human_edge_detection.wording import printable

STUDENT = "quickstart_distilled_b0_from_b3"
SECONDS = 20
HANGS = 4 << 30
Edit = Callable[[Path], object]


def write_everything(root: Path, write_run: Callable[..., RunPaths]) -> RunPaths:
    """A finished run folder with every file that there can be."""
    config = apply(get_config(STUDENT), collect(sets=["training.segments=null"]))
    paths = write_counted_run(
        write_run,
        root,
        config,
        made_up_counts(images=3),
        teacher_checkpoint="teacher/checkpoints/best_model.pth",
        teacher_sha256="abc",
        teacher_experiment="t",
        teacher_miou=0.5,
        teacher_parameters=5,
        temperature=4.0,
        last_loss=1.0,
        skipped_samples=({"file_name": "a.jpg", "problem": "cut off"},),
    )
    output = OutputParity(output="masks", max_difference=0.0, max_probability_difference=0.0, class_changes=0)
    case = ParityCase(images=1, rois=1, max_difference=0.0, mask_iou=1.0, outputs=(output,))
    parity = ParityReport(
        onnx="checkpoints/best_model.onnx",
        checkpoint_sha256=sha256_of(WEIGHTS),
        onnx_sha256=sha256_of("x"),
        opset=18,
        size_bytes=1,
        tolerances=ParityTolerances(probability=1e-3, margin=2e-3),
        max_difference=0.0,
        max_probability_difference=0.0,
        class_changes=0,
        mask_iou=1.0,
        passed=True,
        cases=[case],
    )
    write_json(paths.parity, parity.model_dump(mode="json"))
    latency = LatencyReport(
        median_ms=2.0,
        p95_ms=3.0,
        cpu_ms=2.0,
        threads=1,
        rois=3,
        image_size=(96, 96),
        rounds=11,
        onnx_sha256=sha256_of("x"),
        measured="2030-01-01T00:00:00+00:00",
        processor="made up",
        together_with="0",
    )
    write_json(paths.latency, latency.model_dump(mode="json"))
    weights: dict[str, tuple[WeightFile, ...]] = {
        "distillation.teacher_checkpoint": (WeightFile(sha256="a", run="b", group="c", epochs=3, checkpoint="d"),)
    }
    write_contents(paths, RunContents(drawn_version=1, encoder_weights="none", soft_labels="k", weights=weights))
    record = ResumeRecord(checkpoint="checkpoint_epoch_0001.pth", sha256="a", complete=True)
    write_json(paths.resumed_from, record.model_dump(mode="json"))
    provenance = {"command": ["hed", "train"], "versions": {"torch": "2"}, "git": None, "device": "cpu"}
    write_json(paths.provenance, {**provenance, "precision": "fp32", "threads": 1, "teacher_sha256": "a+b"})
    paths.onnx.write_text("x")
    return paths


def files_of(paths: RunPaths) -> list[Path]:
    """All JSON files of a run folder."""
    return sorted([*paths.root.glob("*.json"), paths.metrics, summary_path(paths.best)])


@pytest.fixture
def folder(tmp_path: Path, write_run: Callable[..., RunPaths], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output folder with a run to be edited and one that stays as it is."""
    monkeypatch.chdir(tmp_path)
    write_everything(tmp_path / "experiments" / STUDENT, write_run)
    write_everything(tmp_path / "experiments" / "healthy", write_run)
    return tmp_path / "experiments"


@pytest.fixture(autouse=True)
def impatience() -> Iterator[None]:
    """What hangs is a failure."""

    def hangs(*_: object) -> None:
        raise AssertionError(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hangs)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def replaced(how: Callable[[Path], object]) -> Edit:
    def edit(file: Path) -> None:
        file.unlink()
        how(file)

    return edit


def hollow(file: Path) -> None:
    with file.open("wb") as written:
        written.truncate(HANGS)


FILE_EDITS: dict[str, Edit] = {
    "pipe": replaced(lambda file: os.mkfifo(file)),
    "device": replaced(lambda file: file.symlink_to("/dev/zero")),
    "terminal": replaced(lambda file: file.symlink_to("/dev/tty")),
    "circle": replaced(lambda file: file.symlink_to(file.name)),
    "dangling": replaced(lambda file: file.symlink_to("gone")),
    "folder": replaced(lambda file: file.mkdir()),
    "hollow": replaced(hollow),
    "missing": lambda file: file.unlink(),
    "unreadable": lambda file: file.chmod(0),
    "empty": lambda file: file.write_bytes(b""),
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "latin-1": lambda file: file.write_bytes(b'{"caf\xe9": 1}'),
    "utf-16": lambda file: file.write_bytes(file.read_text().encode("utf-16")),
    "zeros": lambda file: file.write_bytes(bytes(4096)),
    "deep list": lambda file: file.write_bytes(b"[" * 200_000 + b"]" * 200_000),
    "deep object": lambda file: file.write_bytes(b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    "long number": lambda file: file.write_bytes(b"1" * 100_000),
    "a text": lambda file: file.write_bytes(b'"text"'),
    "null": lambda file: file.write_bytes(b"null"),
    "a list": lambda file: file.write_bytes(b"[{}]"),
    "an empty object": lambda file: file.write_bytes(b"{}"),
    "an escape": lambda file: file.write_bytes(b'{"\\u001b[31m": "\\u009b2J"}'),
}
VALUES: dict[str, str] = {
    "null": "null",
    "true": "true",
    "minus one": "-1",
    "a fraction": "0.5",
    "huge": f"{10**30}",
    "beyond float": "1e999",
    "largest float": "1.7e308",
    "not a number": "NaN",
    "infinity": "-Infinity",
    "empty text": '""',
    "a number as text": '"1"',
    "escape": '"\\u001b[2J\\u0007\\u202e\\n=cmd"',
    "nul": '"a\\u0000b"',
    "half a character": '"\\ud800"',
    "long": json.dumps("x" * 100_000),
    "empty list": "[]",
    "empty object": "{}",
    "an odd object": '{"status": -1, "run": 7, "\\u001b[31m": null}',
    "deep": "[" * 300 + "]" * 300,
    "gone": "",
}
PLANNED_FROM = {"config.json", "contents.json", "status.json", "result.json", "provenance.json", "resumed_from.json"}
"""What planning reads of a run that is there."""
OF_BOTH = {"gain_over_control", "control", "why_no_gain"}
"""Columns of a run that another one's files may change: without its distillation, that is its control."""
_HERE = "PUT-IT-HERE"


def places(content: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a value stands in plain content, also inside lists (the first two of each)."""
    below = (
        content.items() if isinstance(content, dict) else enumerate(content[:2]) if isinstance(content, list) else ()
    )
    for key, value in below:
        yield (*path, key)
        yield from places(value, (*path, key))


def edited(content: str, path: tuple[str | int, ...], value: str) -> str:
    """``content`` with ``value``, as JSON writes it, at ``path``; without it when that is empty."""
    fields = json.loads(content)
    inside = fields
    for key in path[:-1]:
        inside = inside[key]
    if not value:
        del inside[path[-1]]
        return json.dumps(fields)
    inside[path[-1]] = _HERE
    return json.dumps(fields).replace(f'"{_HERE}"', value)


def check(output_dir: Path, healthy: Row, *, file: str, what: str) -> None:
    """The comparison has both rows, the healthy one as it was; other commands are done, or refused in one line."""
    signal.alarm(SECONDS)
    rows = comparison_rows(read_records(output_dir))
    found = {row["run"]: row for row in rows}
    assert healthy.items() <= found["healthy"].items(), what
    row = found.get(STUDENT)
    assert row is not None or file == "status.json", what
    if row is not None and row["status"] != "finished":
        assert row["error"] or row["status"] in ("unknown", "killed", "running", "interrupted", "failed"), what
    text = to_csv(rows)
    assert text == "\n".join(map(printable, text.split("\n"))), what
    json.dumps(rows, allow_nan=False)
    request = request_for_one(STUDENT, None, output_dir, None)
    commands: list[Callable[[], object]] = [partial(find_method, STUDENT, output_dir)]
    if file in PLANNED_FROM:
        commands += [partial(plan, request), partial(plan, replace(request, resume=output_dir / STUDENT))]
    for command in commands:
        try:
            command()
        except (HumanEdgeDetectionError, OSError):  # the command line makes one line of both
            continue
    signal.alarm(0)


def sweep(output_dir: Path, chosen: Callable[[int], bool]) -> int:
    """Makes each chosen edit, one at a time; returns how many."""
    healthy = next(row for row in comparison_rows(read_records(output_dir)) if row["run"] == "healthy")
    healthy = {column: value for column, value in healthy.items() if column not in OF_BOTH}
    number = done = 0
    for file in files_of(RunPaths(output_dir / STUDENT)):
        content = file.read_bytes()
        for name, edit in FILE_EDITS.items():
            number += 1
            if chosen(number):
                edit(file)
                check(output_dir, healthy, file=file.name, what=f"{file.name}: {name}")
                done += 1
                _restore(file, content)
        text = content.decode()
        lines = text.splitlines(keepends=True) if file.suffix == ".jsonl" else [text]
        for path in places(json.loads(lines[0])):
            for name, value in VALUES.items():
                number += 1
                if chosen(number):
                    file.write_text("".join([edited(lines[0], path, value), "\n", *lines[1:]]), encoding="utf-8")
                    check(output_dir, healthy, file=file.name, what=f"{file.name}: {'.'.join(map(str, path))}: {name}")
                    done += 1
        file.write_bytes(content)
    return done


def _restore(file: Path, content: bytes) -> None:
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    else:
        file.unlink(missing_ok=True)
    file.write_bytes(content)


def test_some_edits_of_each_file_leave_the_others_compared(folder: Path) -> None:
    assert sweep(folder, lambda number: number % 89 == 0) > 50


@pytest.mark.slow
def test_edits_of_every_field_of_every_file_leave_the_others_compared(folder: Path) -> None:
    """A third of all edits, so that each field gets seven of the values, its neighbours others."""
    assert sweep(folder, lambda number: number % 3 == 0) > 1000
