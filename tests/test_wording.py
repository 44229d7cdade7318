"""Numbers and texts as they are shown."""

import pytest

from human_edge_detection.wording import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, café, 写真, 👩‍🦰 [a]", "plain, café, 写真, 👩‍🦰 [a]"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\nerror: b\r\t\0", "a\\nerror: b\\r\\t\\x00"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("gpj\u202e.exe", "gpj\\u202e.exe"),
        ("caf\udce9", "caf\\udce9"),
    ],
)
def test_what_is_no_visible_text_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
