"""Chromium for the tests of pages; without it, or without playwright, they are skipped with the reason."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, Final

import pytest

PATIENCE_MS: Final = 120_000
_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Without them it looks for other machines at every start."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium with a new profile."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: `uv sync --group browser`")
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("needs Chromium: `apt-get install chromium`, or the like")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS), timeout=PATIENCE_MS)
        yield browser
        browser.close()
