"""What was started from the page, beside the runs: so that any window, and the next server, can go on with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from human_edge_detection.files.strict_json import read_json
from human_edge_detection.files.write import write_json
from human_edge_detection.ui.request import StartRequest

STARTS_FILE: Final = "ui_starts.json"
_MOST: Final = 20


class Start(BaseModel):
    """A batch that was started.

    Attributes:
        started: When, the last time.
        request: What was asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    started: str
    request: StartRequest


_STARTS: Final[TypeAdapter[tuple[Start, ...]]] = TypeAdapter(tuple[Start, ...])


def read_starts(output_dir: Path) -> tuple[Start, ...]:
    """The last ones, the latest first; none where the file is missing, damaged or of another version."""
    try:
        return read_json(_STARTS, output_dir / STARTS_FILE)
    except (OSError, ValueError):
        return ()


def remember(request: StartRequest, output_dir: Path) -> None:
    """Puts ``request`` first; the same one is there once.

    Raises:
        StorageError: It cannot be written.
    """
    others: Sequence[Start] = [start for start in read_starts(output_dir) if start.request != request]
    start = Start(started=datetime.now(UTC).isoformat(timespec="seconds"), request=request)
    kept = (start, *others)[:_MOST]
    write_json(output_dir / STARTS_FILE, _STARTS.dump_python(kept, mode="json"))
