"""What one check of the machine found."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        name: What was looked at.
        status: ``problem``: training fails or its results cannot be trusted; ``warning``: it may be slow or get lost.
        text: What was found.
        advice: What to do; empty when all is well.
    """

    name: str
    status: Literal["ok", "warning", "problem"]
    text: str
    advice: str = ""


def ok(name: str, text: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", text)


def warning(name: str, text: str, advice: str) -> Finding:
    """It works, perhaps not well."""
    return Finding(name, "warning", text, advice)


def problem(name: str, text: str, advice: str) -> Finding:
    """It will not work."""
    return Finding(name, "problem", text, advice)
