"""What the documents say that can be checked: fenced blocks, command lines, flags in code spans, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "prediction" / "README.md",
        ROOT / "examples" / "browser" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    )
)
MARK = re.compile(r"<!-- not run: (.+) -->")
"""In the line before a block: why no test runs it."""
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"(?<!\\)\]\(([^()\s]+)\)")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z_0-9]*=")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        document: Path in the repository.
        line: Of its first line of text, from 1 on.
        language: Behind the fence, ``bash``; may be empty.
        text: Without the fences.
        not_run: Why no test runs it; None: one does.
    """

    document: str
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"


def blocks_of(document: str) -> Iterator[Block]:
    """The fenced blocks of a document, in its order."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start = number
            continue
        before = next((text for text in reversed(lines[:start]) if text.strip()), "")
        mark = MARK.fullmatch(before.strip())
        text = "\n".join(lines[start + 1 : number])
        yield Block(document, start + 2, lines[start][3:].strip(), text, mark and mark[1])
        start = None


def without_blocks(document: str) -> str:
    """The text of a document outside of fenced blocks."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def spans_of(document: str) -> Iterator[str]:
    """The code spans of a document."""
    for match in _SPAN.finditer(without_blocks(document)):
        yield match[1].replace("\\|", "|")


def links_of(document: str) -> Iterator[str]:
    """Targets of links that lie in the repository, as written, with their anchors."""
    for match in _LINK.finditer(without_blocks(document)):
        if "://" not in match[1] and not match[1].startswith("mailto:"):
            yield match[1]


def anchors_of(document: str) -> set[str]:
    """What a link to a heading of a document may name, as GitHub makes it."""
    titles = re.findall(r"(?m)^#+ (.+)$", without_blocks(document))
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "")).strip().lower().replace(" ", "-") for title in titles}


def commands_of(text: str) -> Iterator[list[str]]:
    """The words of each command in lines of a shell: continued lines joined, comments and assignments taken off."""
    here_document = re.compile(r"(?ms)<<'?(\w+)'?\n.*?^\1$")
    for line in here_document.sub("", text).replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in (*lexer, ";"):
            if word and not set(word) <= set(";&|()"):
                words.append(word)
                continue
            if command := _bare(words):
                yield command
            words = []


def _bare(words: list[str]) -> list[str]:
    """Words without what stands before the command, and without redirections."""
    words = [word for word in words if word not in (">", ">>", "2>", "<")]
    while words and (_ASSIGNMENT.match(words[0]) or words[0] in ("time", "export", "nohup")):
        words = words[1:]
    return words
