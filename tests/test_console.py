"""What is written for people holds nothing that a terminal obeys, but for rich's own colours."""

import io

from rich.table import Table
from rich.text import Text

from human_edge_detection.console import TextConsole

ODD = "a\x1b]0;owned\x07\x1b[2J\rb\u202ec\udce9"


def test_names_in_tables_and_lines_are_text_and_colours_stay() -> None:
    written = io.StringIO()
    console = TextConsole(file=written, force_terminal=True, color_system="standard", width=200, markup=False)
    table = Table(title=Text(ODD))
    table.add_column("run")
    table.add_row(Text(ODD, style="red"))
    console.print(table)
    console.print(f"written: {ODD} [red]x[/nothing]", highlight=False)
    console.print("two\nlines")
    shown = written.getvalue()
    assert "\x1b[31m" in shown
    assert "two\nlines\n" in shown
    assert "[red]x[/nothing]" in shown
    for control in ("\x1b]", "\x1b[2J", "\x07", "\u202e", "\udce9"):
        assert control not in shown
    assert shown.count("\\x1b[2J") == 2  # title and line; the cell is cut at its width
