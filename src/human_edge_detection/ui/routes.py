"""What each address of the page answers, without the server that carries it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from human_edge_detection import __version__
from human_edge_detection.api.experiments import list_configs
from human_edge_detection.api.results import report
from human_edge_detection.api.training import preview_experiments
from human_edge_detection.errors import ConfigError, HumanEdgeDetectionError
from human_edge_detection.experiments.registry import DEFAULT_NAME, list_groups
from human_edge_detection.runner.report.page import REPORT_FILE, template_text
from human_edge_detection.ui.batch import Batches, shown_command
from human_edge_detection.ui.gate import JSON_TYPE
from human_edge_detection.ui.request import StartRequest, judge, overrides_of, words_of
from human_edge_detection.ui.starts import remember
from human_edge_detection.ui.state import curves_of, file_of, pictures_of, state_of
from human_edge_detection.wording import printable

_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT_POLICY: Final = "sandbox allow-scripts"
"""The report is a page by itself: its scripts get none of the rights of this one."""
_TRY_PAGE: Final = Path(__file__).parents[3] / "examples" / "browser" / "dist" / "index.html"
"""In a clone, once it is bundled."""


@dataclass(frozen=True)
class Answer:
    """A response.

    Attributes:
        body: Its bytes.
        kind: Their media type.
        status: Of HTTP.
        headers: Further ones.
    """

    body: bytes
    kind: str = JSON_TYPE
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class _Stop(BaseModel):
    """Which batch is to be stopped, as the page showed it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    holder: str


class Routes:
    """The addresses of the page of one output folder."""

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._batches = Batches(output_dir)
        self._read: Mapping[str, Callable[[Mapping[str, str]], Answer | None]] = {
            "": lambda query: _page(),
            "page.css": lambda query: _text(template_text("page.css") + _own_text("ui.css"), "text/css"),
            "page.js": lambda query: _text(_script(), "text/javascript"),
            "experiments": lambda query: _data(self._experiments()),
            "state": lambda query: _data(state_of(output_dir, self._batches.at_work)),
            "curves": lambda query: _data(curves_of(output_dir)),
            "pictures": lambda query: _data(pictures_of(output_dir)),
            "picture": partial(self._file, "picture", "image/png"),
            "model": partial(self._file, "model", "application/octet-stream"),
            "report": lambda query: _html(output_dir / REPORT_FILE, _REPORT_POLICY),
            "try": lambda query: _html(_TRY_PAGE, None),
        }
        self._change: Mapping[str, Callable[[bytes], Any]] = {
            "check": self._check,
            "start": self._start,
            "stop": self._stop,
            "report": self._write_report,
        }

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        """What ``path`` shows.

        Args:
            path: Behind the token.
            query: What follows the question mark, each name once.
        """
        read = self._read.get(path)
        try:
            found = None if read is None else read(query)
        except (HumanEdgeDetectionError, OSError) as error:
            return _error(error)
        return found or _data({"error": "there is no such page or file (any more)"}, status=404)

    def post(self, path: str, body: bytes) -> Answer:
        """Does what ``path`` says with the JSON ``body``."""
        change = self._change.get(path)
        if change is None:
            return _data({"error": "there is no such page"}, status=404)
        try:
            return _data(change(body))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            return _data({"error": f"{where}: {problem['msg']}; reload the page"}, status=400)
        except (HumanEdgeDetectionError, OSError) as error:
            return _error(error)

    def _experiments(self) -> dict[str, Any]:
        return {
            "folder": printable(str(self._output_dir)),
            "version": __version__,
            "default": DEFAULT_NAME,
            "experiments": [{"name": config.name, "description": config.description} for config in list_configs()],
            "groups": sorted(list_groups()),
            "try": _TRY_PAGE.is_file(),
        }

    def _check(self, body: bytes) -> dict[str, Any]:
        found = judge(StartRequest.model_validate_json(body), self._output_dir)
        form = [section._asdict() | {"fields": [field._asdict() for field in section.fields]} for section in found.form]
        return {
            "form": form,
            "error": None if found.error is None else printable(found.error),
            "wrong": found.wrong,
            "differences": found.differences,
            "command": shown_command(found.words),
        }

    def _start(self, body: bytes) -> dict[str, Any]:
        request = StartRequest.model_validate_json(body)
        # What the batch itself would refuse (a missing file, a teacher that does not fit) is said where it is read.
        preview = preview_experiments(
            request.names,
            changes=overrides_of(request),
            seeds=request.seeds or None,
            output_dir=self._output_dir,
            export_onnx=request.export_onnx,
        )
        self._batches.start(words_of(request, self._output_dir))
        remember(request, self._output_dir)
        return {"preview": [printable(line) for line in preview]}

    def _stop(self, body: bytes) -> dict[str, Any]:
        self._batches.stop(_Stop.model_validate_json(body).holder)
        return {}

    def _write_report(self, body: bytes) -> dict[str, Any]:
        return {"runs": report(self._output_dir).runs}

    def _file(self, kind: str, media_type: str, query: Mapping[str, str]) -> Answer | None:
        run, name = query.get("run", ""), query.get("file", "")
        path = file_of(self._output_dir, run, kind, name)
        if path is None:
            return None
        saved = f"{run.replace('/', '_')}.{name}" if kind == "model" else ""
        headers = (("Content-Disposition", f'attachment; filename="{saved}"'),) if saved.isascii() and saved else ()
        return Answer(path.read_bytes(), media_type, headers=headers)


def _page() -> Answer:
    return Answer(
        _own_text("ui.html").encode(), "text/html; charset=utf-8", headers=(("Content-Security-Policy", _PAGE_POLICY),)
    )


def _script() -> str:
    return template_text("theme.js") + template_text("curves.js") + _own_text("ui.js")


def _own_text(name: str) -> str:
    return (files("human_edge_detection.ui") / "templates" / name).read_text(encoding="utf-8")


def _html(path: Path, policy: str | None) -> Answer | None:
    headers = () if policy is None else (("Content-Security-Policy", policy),)
    return Answer(path.read_bytes(), "text/html; charset=utf-8", headers=headers) if path.is_file() else None


def _text(text: str, kind: str) -> Answer:
    return Answer(text.encode(), f"{kind}; charset=utf-8")


def _data(data: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(data, allow_nan=False).encode(), status=status)


def _error(error: HumanEdgeDetectionError | OSError) -> Answer:
    if isinstance(error, HumanEdgeDetectionError):
        said = " ".join(str(error).split())
    else:
        said = f"{error.filename or 'input or output'}: {error.strerror or error}; check the path and the disk"
    return _data({"error": printable(said)}, status=400 if isinstance(error, ConfigError) else 409)
