"""The page: what all its parts say, put into one HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from human_edge_detection import __version__
from human_edge_detection.errors import ConfigError
from human_edge_detection.files.write import write_atomically
from human_edge_detection.runner.report import charts, formats
from human_edge_detection.runner.report.curves import learning_curves
from human_edge_detection.runner.report.gains import MOST_SEEDS, Judged, judge, main_line
from human_edge_detection.runner.report.gallery import make_gallery
from human_edge_detection.runner.report.made_with import made_with
from human_edge_detection.runner.report.pictures import Pictures
from human_edge_detection.runner.report.private import Private
from human_edge_detection.runner.report.runs import MOST_DETAILED, MOST_ROWS, Run, most_telling, read_runs, run_columns
from human_edge_detection.runner.report.settings import differing_settings
from human_edge_detection.runner.report.tables import confusion_matrices, slice_tables
from human_edge_detection.runner.report.views import seen_in_training
from human_edge_detection.runs.paths import COMPARISON_FILE

REPORT_FILE: Final = "report.html"
MOST_MEGABYTES: Final = 12.0
"""That pictures take, unless another number is given: a page of ten runs stays below 15 MB."""
_MOST_GALLERIES: Final = 10
_SIZE: Final = "@@size@@"
"""Stands for the size of the page, which is known when it is made."""
_COLOURS: Final = 8
"""Of runs; their marks differ too."""


@dataclass(frozen=True)
class Page:
    """A page that was written.

    Attributes:
        path: The file.
        size_bytes: Of it.
        runs: That it is of.
        finished: Of these, which have scores.
        images: Images inside, of training and validation.
    """

    path: Path
    size_bytes: int
    runs: int
    finished: int
    images: int


def write_page(
    output_dir: Path, *, output: Path | None = None, images: bool = True, max_megabytes: float = MOST_MEGABYTES
) -> Page:
    """Writes all runs below ``output_dir`` as one HTML file.

    Args:
        output_dir: Folder of all runs.
        output: The file; None: ``report.html`` in ``output_dir``.
        images: Whether images of the data come into it.
        max_megabytes: That these may take.

    Raises:
        ConfigError: There is no run.
        StorageError: It cannot be written.
    """
    runs = read_runs(output_dir)
    if not runs:
        raise ConfigError(f"{output_dir}: holds no runs; train some with run_experiments.py")
    pictures = Pictures(max_megabytes * 1e6)
    content = make_page(runs, output_dir, pictures, images=images)
    path = output_dir / REPORT_FILE if output is None else output
    write_atomically(path, content)
    finished = sum(run.finished for run in runs)
    return Page(path, len(content), len(runs), finished, pictures.images)


def make_page(runs: list[Run], output_dir: Path, pictures: Pictures, *, images: bool) -> bytes:
    """The page of ``runs`` as UTF-8."""
    hidden = Private(output_dir, hosts=[run.record.status.host for run in runs if run.record.status])
    text = (
        _environment()
        .get_template("page.html")
        .render(
            _contents(runs, output_dir, pictures, hidden, images=images),
            hidden=hidden,
            style=template_text("page.css"),
            script="".join(map(template_text, ("theme.js", "curves.js", "page.js"))),
            size=_SIZE,
        )
    )
    # The size is a few bytes longer than what stands for it, at most.
    return text.replace(_SIZE, formats.megabytes(len(text.encode()))).encode()


@cache
def _environment() -> Environment:
    """With the templates, which take half a second to be compiled."""
    environment = Environment(
        loader=PackageLoader("human_edge_detection.runner.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["hide"] = _hide
    environment.globals |= {"formats": formats, "charts": charts, "colours": _COLOURS}
    return environment


@pass_context
def _hide(context: Context, text: str) -> str:
    """``text`` without what must not be passed on."""
    hidden: Private = context["hidden"]
    return hidden(text)


def _contents(
    runs: list[Run], output_dir: Path, pictures: Pictures, hidden: Private, *, images: bool
) -> dict[str, Any]:
    rows = runs[:MOST_ROWS]
    configured = most_telling([run for run in rows if run.record.config is not None], MOST_DETAILED)
    methods, all_methods = judge(runs)
    # Of what was distilled first: should there be no room for all, these are looked for.
    shown = sorted(methods, key=lambda judged: not judged.taught)[:_MOST_GALLERIES]
    return {
        "version": __version__,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "folder": output_dir.resolve().name,
        "runs": rows,
        "all_runs": len(runs),
        "finished": sum(run.finished for run in runs),
        "failed": sum(run.tone == "bad" for run in runs),
        "table_of_all": COMPARISON_FILE,
        "columns": run_columns(rows),
        "configured": configured,
        "settings": differing_settings(configured, hidden),
        "methods": methods,
        "all_methods": all_methods,
        "most_seeds": MOST_SEEDS,
        "taught": [judged for judged in methods if judged.taught],
        "forest": charts.forest([_difference(judged) for judged in methods if judged.taught]),
        "main_line": main_line,
        "tradeoffs": charts.tradeoffs([run for run in runs if run.finished]),
        "confusions": [(judged, found) for judged in methods if (found := confusion_matrices(judged))],
        "slices": slice_tables(methods),
        "curves": learning_curves(rows),
        "most_detailed": MOST_DETAILED,
        "with_images": images,
        "seen": seen_in_training(configured, pictures, hidden) if images else None,
        "galleries": [make_gallery(judged, pictures, output_dir, hidden) for judged in shown] if images else [],
        "without_gallery": len(methods) - len(shown),
        "pictures": pictures,
        "made_with": [made_with(run, hidden) for run in rows],
    }


def _difference(judged: Judged) -> tuple[float, float, float] | None:
    found = None if judged.control is None else judged.control.difference
    if found is None or found.low is None or found.high is None:
        return None
    return found.low, found.mean, found.high


def template_text(name: str) -> str:
    """A script or style of the page, as it is written into it."""
    return (files("human_edge_detection.runner.report") / "templates" / name).read_text(encoding="utf-8")
