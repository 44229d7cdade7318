"""What the page shows of the runs, read anew from their folders each time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from human_edge_detection.runner.report.curves import learning_curves
from human_edge_detection.runner.report.page import REPORT_FILE
from human_edge_detection.runner.report.runs import read_runs
from human_edge_detection.runner.watching.glance import BatchGlance, Glance, counts, look
from human_edge_detection.runs.paths import RunPaths, list_runs, run_name_of
from human_edge_detection.ui.batch import AtWork, log_tail, shown_command
from human_edge_detection.ui.request import words_of
from human_edge_detection.ui.starts import read_starts
from human_edge_detection.wording import duration, printable


def state_of(output_dir: Path, at_work: AtWork) -> dict[str, Any]:
    """Runs, batch, what was started before and what it said last, as plain data."""
    batch = _glance(output_dir, at_work)
    left = batch.seconds_left
    return {
        "batch": at_work.holder,
        "starting": at_work.starting,
        "summary": counts(batch.runs) if batch.runs else "no run yet",
        "left": None if left is None else duration(left),
        "runs": [_run(run) for run in batch.runs],
        "starts": [
            {
                "started": start.started,
                "command": shown_command(words_of(start.request, output_dir)),
                "request": start.request.model_dump(mode="json"),
            }
            for start in read_starts(output_dir)
        ],
        "log": [printable(line) for line in log_tail(output_dir)],
        "report": _written(output_dir / REPORT_FILE),
        "models": [
            {"run": run_name_of(paths), "file": file.name}
            for paths in list_runs(output_dir)
            for file in models_of(paths)
        ],
    }


def curves_of(output_dir: Path) -> dict[str, Any]:
    """Learning curves, as the report has them."""
    return learning_curves(read_runs(output_dir))


def pictures_of(output_dir: Path) -> list[dict[str, Any]]:
    """Of each run that has drawn some: its latest epoch with pictures, and their names."""
    found = ((paths, _latest_pictures(paths)) for paths in list_runs(output_dir))
    return [
        {"run": run_name_of(paths), "epoch": int(files[0].parent.name.removeprefix("epoch_")),
         "files": [file.name for file in files]}
        for paths, files in found if files
    ]  # fmt: skip


def file_of(output_dir: Path, run: str, kind: str, name: str) -> Path | None:
    """The picture or model of a run that the page may show or give; None for everything else."""
    paths = next((paths for paths in list_runs(output_dir) if run_name_of(paths) == run), None)
    if paths is None:
        return None
    files = {"picture": _latest_pictures, "model": models_of}.get(kind)
    return None if files is None else next((file for file in files(paths) if file.name == name), None)


def models_of(paths: RunPaths) -> list[Path]:
    """The exported models of a run."""
    return [path for path in (paths.detector_onnx, paths.onnx) if path.is_file()]


def _glance(output_dir: Path, at_work: AtWork) -> BatchGlance:
    """The runs directly below the folder; other folders of runs below it have a page of their own."""
    place = output_dir.resolve()
    try:
        found = next((batch for batch in look(output_dir) if batch.folder.resolve() == place), None)
    except OSError:  # nothing was started yet
        found = None
    return found or BatchGlance(output_dir, at_work.holder, ())


def _run(run: Glance) -> dict[str, Any]:
    return {
        "name": printable(run.name),
        "state": run.state,
        "error": None if run.error is None else printable(run.error),
        "epoch": run.epoch or 0,
        "epochs": run.epochs,
        "miou": run.miou,
        "left": None if run.seconds_left is None else duration(run.seconds_left),
    }


def _latest_pictures(paths: RunPaths) -> list[Path]:
    folders = sorted((paths.root / "visualizations").glob("epoch_*"), reverse=True)
    return next(filter(None, map(_pictures_in, filter(_is_epoch, folders))), [])


def _is_epoch(folder: Path) -> bool:
    return folder.name.removeprefix("epoch_").isdecimal()


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.png") if path.is_file())


def _written(path: Path) -> str | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except OSError:
        return None
