"""Where tables and lines for people are written: rich's console, on which names and messages are text and no more."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from human_edge_detection.wording import printable

_PLAIN_WIDTH: Final = 100


class TextConsole(Console):
    """Escapes control characters in what it writes; colours and cursor movements of rich's own stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of ``renderable``, whose texts hold nothing that a terminal would obey."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                lines = "\n".join(map(printable, segment.text.split("\n")))
                yield segment._replace(text=lines)


def report_console(width: int = _PLAIN_WIDTH) -> TextConsole:
    """For reports on standard output, of so many columns where that is no terminal; a text is no markup."""
    return TextConsole(width=None if sys.stdout.isatty() else width, markup=False)
