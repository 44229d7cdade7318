"""One row for each run, from the JSON files of the run folders alone; written as CSV and JSON beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.lock import hold
from human_edge_detection.files.write import delete, write_atomically, write_rows
from human_edge_detection.runner.comparison.control import (
    Control,
    Controls,
    Finished,
    Presets,
    Taught,
    taught_by,
)
from human_edge_detection.runs.artifacts import export_problem, latency_of, problem_against, read_summary
from human_edge_detection.runs.lookup.identity import RunContents, read_contents
from human_edge_detection.runs.model_facts.split_scores import SplitScores, split_scores_of_weights
from human_edge_detection.runs.paths import (
    COMPARISON_FILE,
    COMPARISON_JSON_FILE,
    RUNS_FILE,
    RunPaths,
    list_runs,
    run_paths_of_checkpoint,
)
from human_edge_detection.runs.records import LatencyReport, ParityReport, RunResult, RunStatus, read_section
from human_edge_detection.runs.standing import standing_of
from human_edge_detection.wording import printable

Row = dict[str, Any]
_LOCK = ".experiment_comparison.lock"
_LOCK_SECONDS = 300.0
_LEAST_CPU_MS = 1e-3
"""Less is no time that a clock can tell."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Record:
    """What one run folder says of its run.

    Attributes:
        name: The folder below the output folder.
        paths: The folder.
        state: From status.json, where that is true of the folder; see :mod:`human_edge_detection.runs.standing`.
        error: Why the run did not finish.
        config: From config.json.
        contents: From contents.json, or as found now for a run of an older version; there when the config is.
        status: From status.json.
        result: From result.json; None for a run that has not finished.
        weights: The sha256 of its best weights, as the summary beside them has it.
        parity: From parity.json; None where the ONNX file is not the one that it is of.
        latency: From latency.json; None where it is not of this ONNX file.
        tested: From test_scores.json; None where they are not of the best weights.
    """

    name: str
    paths: RunPaths
    state: str
    error: str | None = None
    config: ExperimentConfig | None = None
    contents: RunContents | None = None
    status: RunStatus | None = None
    result: RunResult | None = None
    weights: str | None = None
    parity: ParityReport | None = None
    latency: LatencyReport | None = None
    tested: SplitScores | None = None


def read_records(output_dir: Path) -> list[Record]:
    """All runs below ``output_dir``; one whose files are damaged says so in its error."""
    return [read_record(run, run.root.relative_to(output_dir).as_posix()) for run in list_runs(output_dir)]


def comparison_rows(records: Sequence[Record]) -> list[Row]:
    """One row for each record, all with the same columns; None where a run has no such number."""
    metrics = list(dict.fromkeys(name for record in records if record.result for name in record.result.metrics))
    tested = list(dict.fromkeys(name for record in records if record.tested for name in record.tested.metrics))
    others = _Others.of(records)
    return [_row(record, others, metrics) | _test_columns(record, tested) for record in records]


def write_comparison(
    output_dir: Path, *, extra: Mapping[str, tuple[str, str | None]] | None = None
) -> tuple[list[Row], list[Path]]:
    """Rebuilds the three comparison files from the run folders.

    Args:
        output_dir: Folder of all runs; the files are written beside it.
        extra: Run name -> (state, error) that the folders cannot tell: a run that was skipped, an export that failed.

    Returns:
        The rows and the files written.

    Raises:
        StorageError: They cannot be written.
        BusyError: Other processes have been writing them for minutes.
    """
    beside = output_dir.resolve().parent
    files = [beside / name for name in (COMPARISON_FILE, COMPARISON_JSON_FILE, RUNS_FILE)]
    # Read and written under one lock: else what a slower process has read before would replace newer rows.
    with hold(beside / _LOCK, f"{files[0]}", advice="it takes a moment; give the command again", wait=_LOCK_SECONDS):
        _delete_leftovers(files)
        records = with_extra(read_records(output_dir), output_dir, extra or {})
        rows = comparison_rows(records)
        write_atomically(files[0], to_csv(rows).encode())
        write_rows(files[1], rows)
        write_rows(files[2], [_summary(record) for record in records])
    return rows, files


def to_csv(rows: Sequence[Row]) -> str:
    """``rows`` as CSV; a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else ["experiment"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({column: _safe(value) for column, value in row.items()})
    return buffer.getvalue()


def _delete_leftovers(files: Iterable[Path]) -> None:
    """What killed processes left half written; nothing else, as the folder beside is the user's own."""
    for file in files:
        for leftover in file.parent.glob(f".{file.name}.*.tmp"):
            delete(leftover)


def read_record(paths: RunPaths, name: str) -> Record:
    """The run in ``paths``, called ``name``; one whose files are damaged says so in its error."""
    try:
        status = read_section(RunStatus, paths.status)
        best = read_summary(paths.best)
        weights = None if best is None else best.sha256
        standing = standing_of(paths, status, problem_of_best=lambda file: problem_against(file, best, hashes=False))
        config = read_section(ExperimentConfig, paths.config)
        parity = read_section(ParityReport, paths.parity)
        latency = latency_of(paths, parity)
        damage = export_problem(paths, parity, hashes=False) if parity is not None and parity.passed else None
        record = Record(
            name=name,
            paths=paths,
            state=standing.state,
            error=standing.reason or (damage and f"{damage}; hed export writes it anew"),
            config=config,
            contents=None if config is None else read_contents(paths, config),
            status=status,
            result=read_section(RunResult, paths.result),
            weights=weights,
            parity=None if damage else parity,
            latency=None if damage else latency,
            tested=split_scores_of_weights(paths, weights),
        )
    except CheckpointError as error:
        return Record(name, paths, "unreadable", str(error))
    return record


def with_extra(
    records: Iterable[Record], output_dir: Path, extra: Mapping[str, tuple[str, str | None]]
) -> list[Record]:
    """``records`` with what the folders cannot tell: run name -> (state, error), see :func:`write_comparison`."""
    known = {record.name: record for record in records}
    for name, (state, error) in extra.items():
        record = known.get(name, Record(name, RunPaths(output_dir / name), state))
        known[name] = replace(record, state=state, error=error)
    return list(known.values())


class _Others(NamedTuple):
    """What a row says of other runs, to look up.

    Attributes:
        finished: Name -> the run, where it has finished.
        teachers: Checkpoint that taught -> the run in whose folder it lies, and what was measured of its export.
        controls: The runs without distillation.
        presets: The registered experiments.
    """

    finished: Mapping[str, Finished]
    teachers: Mapping[str, tuple[Finished, LatencyReport | None]]
    controls: Controls
    presets: Presets

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        """Of all runs that have finished."""
        finished = {record.name: run for record in records if (run := _finished(record)) is not None}
        # Links are followed once for a folder, and once for a checkpoint, however many it has taught.
        by_folder = {
            record.paths.root.resolve(): (finished[record.name], record.latency)
            for record in records
            if record.name in finished
        }
        named = {run.result.teacher_checkpoint for run in finished.values()} - {None}
        folders = {checkpoint: run_paths_of_checkpoint(Path(checkpoint)).root for checkpoint in named if checkpoint}
        teachers = {checkpoint: by_folder[folder] for checkpoint, folder in folders.items() if folder in by_folder}
        return cls(finished, teachers, Controls(finished.values()), Presets())


def _finished(record: Record) -> Finished | None:
    if record.config is None or record.contents is None or record.result is None:
        return None
    return Finished(record.name, record.config, record.contents, record.result, record.weights)


def _row(record: Record, others: _Others, metrics: Sequence[str]) -> Row:
    result, parity, latency, config = record.result, record.parity, record.latency, record.config
    scores: Mapping[str, float | None] = result.metrics if result else {}
    taught, control = _teacher(record, others), _control(record, others)
    share = _ratio(scores.get("miou"), None if taught is None else taught.metrics.get("miou"))
    gain = _gain(result, control)

    def reported(field: str) -> Any:
        return getattr(result, field, None)

    run = {
        "experiment": config.name if config else record.name.split("/")[0].split("+")[0],
        "run": printable(record.name),
        "changes": None if config is None else others.presets.changes_of(config),
        "seed": config.training.seed if config else None,
        "status": record.state,
        "error": _shown(record.error),
        "encoder": config.model.encoder if config else None,
        "teacher": reported("teacher_experiment") or reported("teacher_checkpoint"),
        "temperature": reported("temperature"),
        "alpha": reported("alpha"),
        "last_temperature": reported("last_temperature"),
        "last_alpha": reported("last_alpha"),
        "last_loss": reported("last_loss"),
        "last_hard_loss": reported("last_hard_loss"),
        "last_soft_loss": reported("last_soft_loss"),
        "unet_parameters": reported("unet_parameters"),
        "total_parameters": reported("total_parameters"),
        "compression": _ratio(taught.parameters if taught else None, reported("total_parameters")),
        "split": None if result is None else "val",
        "best_epoch": reported("best_epoch"),
        "epochs": reported("epochs"),
        "segments": _segments(config),
    }
    compared = {
        "teacher_miou_share": share,
        "why_no_share": None if taught is None or share is not None else taught.reason or "a score is missing or 0",
        "gain_over_control": gain,
        "control": printable(control.run.name) if control is not None and control.run is not None else None,
        "why_no_gain": None if control is None or gain is not None else control.reason or "a score is missing",
        "seconds": reported("seconds"),
        "images_per_second": reported("images_per_second"),
        "onnx": None if parity is None else str(record.paths.onnx),
        "parity_probability_difference": getattr(parity, "max_probability_difference", None),
        "parity_max_difference": getattr(parity, "max_difference", None),
        "parity_mask_iou": getattr(parity, "mask_iou", None),
        "latency_ms": getattr(latency, "median_ms", None),
        "latency_cpu_ms": getattr(latency, "cpu_ms", None),
        "latency_measured": None if latency is None else printable(latency.measured),
        "speedup": _speedup(record, others),
    }
    # A metric of a damaged file may be called as a column.
    return {**run, **{name: scores.get(name) for name in metrics if name not in run}, **compared}


def _test_columns(record: Record, metrics: Sequence[str]) -> Row:
    """What the best weights scored on a test split, as ``test_miou``; no column where no run was tested."""
    if not metrics:
        return {}
    tested = record.tested
    data = None if tested is None else f"{tested.data_fingerprint[:12]}+{tested.images_fingerprint[:12]}"
    scores = {} if tested is None else tested.metrics
    columns = {"test_data": data, "test_images": None if tested is None else tested.images}
    return columns | {f"test_{name}": scores.get(name) for name in metrics}


def _teacher(record: Record, others: _Others) -> Taught | None:
    run = others.finished.get(record.name)
    if run is None or run.result.teacher_checkpoint is None:
        return None
    its, _ = others.teachers.get(run.result.teacher_checkpoint, (None, None))
    own, weights = (None, None) if its is None else (its.result, its.weights)
    return taught_by(run.config, run.result, own, weights)


def _speedup(record: Record, others: _Others) -> float | None:
    """The processor time of the one teacher over the run's own, where both were measured together."""
    run, own = others.finished.get(record.name), record.latency
    if run is None or own is None or run.result.teacher_checkpoint is None or run.config.distillation is None:
        return None
    _, its = others.teachers.get(run.result.teacher_checkpoint, (None, None))
    if its is None or its.together_with != own.together_with or run.config.distillation.more_teacher_checkpoints:
        return None
    return its.cpu_ms / own.cpu_ms if own.cpu_ms >= _LEAST_CPU_MS else None


def _control(record: Record, others: _Others) -> Control | None:
    """The control of a finished run with a distillation."""
    run = others.finished.get(record.name)
    return None if run is None or run.config.distillation is None else others.controls.of(run)


def _gain(result: RunResult | None, control: Control | None) -> float | None:
    """MIoU over that of the control."""
    if result is None or control is None or control.run is None:
        return None
    own, its = result.metrics.get("miou"), control.run.result.metrics.get("miou")
    return None if own is None or its is None else own - its


def _segments(config: ExperimentConfig | None) -> str | None:
    """How a run grew: ``50 100`` was trained to 50 epochs and then on to 100."""
    segments = None if config is None else config.training.segments
    return None if segments is None else " ".join(map(str, segments))


def _shown(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _safe(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return printable(f"'{value}" if value.startswith(_FORMULA) else value)


def _summary(record: Record) -> Row:
    status, result = record.status, record.result
    return {
        "run": printable(record.name),
        "folder": str(record.paths.root),
        "experiment": record.config.name if record.config else None,
        "seed": record.config.training.seed if record.config else None,
        "status": record.state,
        "error": _shown(record.error),
        "epoch": status.epoch if status else None,
        "epochs": status.epochs if status else None,
        "started": status.started if status else None,
        "updated": status.updated if status else None,
        "seconds": result.seconds if result else None,
    }
