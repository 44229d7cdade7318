"""What a page that is passed on must not say: where things lie on this machine, who works there, what it is called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from human_edge_detection.wording import printable

_PATH: Final = re.compile(r"(?<![\w.~\-/\\…])(?:~?/|[A-Za-z]:\\)[^\s\"'<>|;,()\[\]{}]+")
"""An absolute path, up to what seldom is in one."""
_HOMES: Final = ("home", "Users", "root")
_SHORTENED: Final = "…"


class Private:
    """Turns absolute paths into relative ones, and hides the names of machines.

    Args:
        output_dir: Folder of all runs; paths below the folder that it lies in are given from there on.
        hosts: Names of machines that messages may have.
    """

    def __init__(self, output_dir: Path, hosts: Iterable[str] = ()) -> None:
        beside = {str(place.parent) for place in (output_dir.absolute(), output_dir.resolve())}
        here = {str(Path.cwd()), os.path.realpath(Path.cwd())}
        # The longest first, as one of them may lie in another.
        self._roots = sorted((root for root in beside | here if root != "/"), key=len, reverse=True)
        self._home = str(Path.home())
        names = "|".join(re.escape(host) for host in sorted({*hosts}, key=len, reverse=True) if host)
        self._hosts = re.compile(rf"\bon (?:{names})(?![\w-])") if names else None

    def __call__(self, text: str) -> str:
        """``text`` without absolute paths, names of machines and control characters."""
        for root in self._roots:
            text = re.sub(rf"{re.escape(root)}(?:/|(?![\w.\-]))", "", text)
        if len(self._home) > 1:
            text = re.sub(rf"{re.escape(self._home)}(?![\w.\-])", _SHORTENED, text)
        text = _PATH.sub(lambda found: _shortened(found[0]), text)
        if self._hosts is not None:
            text = self._hosts.sub("on a machine", text)
        return printable(text)


def _shortened(path: str) -> str:
    """The last part of an absolute path, unless that is the name of a user."""
    parts = [part for part in re.split(r"[/\\]", path) if part and part != "~" and not part.endswith(":")]
    if not parts or (parts[0] in _HOMES and len(parts) < 3):
        return _SHORTENED
    return f"{_SHORTENED}/{parts[-1]}"
