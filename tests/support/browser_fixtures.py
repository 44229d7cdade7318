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

CONTRAST: Final = """
() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const part = (value) => value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  const texts = "p, a, th, td, small, strong, h1, h2, h3, h4, li, button, dt, dd, summary, code, figcaption, span";
  for (const element of document.querySelectorAll(texts)) {
    if (!element.offsetParent || !element.textContent.trim()) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(`${element.tagName}.${element.className} ${ratio} ${element.textContent.slice(0, 30)}`);
  }
  return low;
}
"""
"""Texts whose contrast with what is behind them is below 4.5 to 1 (WCAG AA)."""


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
