"""What troubleshooting.md quotes is what the program says."""

import re

import pytest

from documents import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
_JOINT = re.compile(r'"\s*\n\s*f?"')
"""Between two pieces of one text in the source."""
_FREE = re.compile(r"\.\.\.|[A-Z]{2,}|\b[A-Z]\b|'[^']*'|[\d.]+%?|[()]|--?\w+|`")
"""What stands for something, or is filled in."""


def quoted() -> list[str]:
    """Code spans in the first column of tables whose first column is called "you see"."""
    found, seen = [], False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        first = line.split("|")[1].strip() if line.startswith("|") else ""
        seen = (seen or first == "you see") and line.startswith("|")
        if seen:
            found += re.findall(r"`([^`]+)`", first)
    return found


@pytest.fixture(scope="module")
def source() -> str:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "prediction" / "src").rglob("*.py")]
    return _JOINT.sub("", "\n".join(file.read_text(encoding="utf-8") for file in files))


@pytest.mark.parametrize("message", quoted())
def test_the_program_says_so(message: str, source: str) -> None:
    parts = [part.strip(" ,;:?") for part in _FREE.split(message)]
    assert not [part for part in parts if len(part) > 3 and part not in source]
