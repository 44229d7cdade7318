"""``hed ui`` in a real browser, with a real training: configure, start, watch, stop, continue; reload, two windows."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from browser_fixtures import CONTRAST

from human_edge_detection.files.lock_state import holder_process, is_held
from human_edge_detection.runs.paths import BATCH_LOCK

pytestmark = pytest.mark.slow

PATIENCE: Final = 240_000
"""Milliseconds: a training starts slowly on a machine that is busy."""
STUDENT: Final = "quickstart_student_b0"
SMALL: Final = {
    "model.encoder": "mobilenet_v2",
    "model.image_size": "[64, 64]",
    "model.roi_size": "[16, 12]",
    "model.mask_size": "[32, 24]",
    "data.sample.train_images": "8",
    "data.sample.val_images": "4",
    "data.sample.image_size": "[96, 128]",
    "data.num_workers": "0",
    "training.epochs": "400",
    "training.visualize_images": "1",
}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], tuple[str, subprocess.Popen[str]]]]:
    """Starts ``hed ui`` on the same folder each time it is called; whatever runs at the end is stopped."""
    servers: list[subprocess.Popen[str]] = []

    def start() -> tuple[str, subprocess.Popen[str]]:
        command = [sys.executable, "-m", "human_edge_detection", "ui", "--port", "0"]
        server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        servers.append(server)
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None
        return found[0], server

    yield start
    for server in servers:
        server.kill()
        server.wait()
    lock = tmp_path / "experiments" / BATCH_LOCK
    process = holder_process(lock) if is_held(lock) else None
    if process is not None:
        os.kill(process.pid, signal.SIGTERM)


@pytest.fixture
def opened(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a window of its own; what it says on the console is an error, but for what is meant to be refused."""
    said: list[str] = []
    windows = []

    def open_window(address: str, **settings: Any) -> Any:
        context = chromium.new_context(**settings)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        windows.append(context)
        page.goto(address)
        page.locator("#command").get_by_text("hed run").wait_for()
        return page

    yield open_window
    for context in windows:
        context.close()
    assert [text for text in said if "409 (Conflict)" not in text and "ERR_CONNECTION" not in text] == []


def enter(page: Any, changes: dict[str, str]) -> None:
    for path, value in changes.items():
        top = page.locator(f"#form > details[data-section='{path.split('.')[0]}']")
        if top.get_attribute("open") is None:
            top.locator("summary").click()
        control = page.locator(f"[data-path='{path}']")
        if control.evaluate("element => element.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)
    page.wait_for_function(
        "() => document.querySelector('#differs tbody tr') || !document.querySelector('#problem').hidden"
    )


def wait_for_state(page: Any, state: str) -> None:
    page.locator(f"#runs tr[data-run='{STUDENT}'] .tag", has_text=re.compile(f"^{state}$")).wait_for()


def epochs_of(page: Any) -> int:
    return int(page.locator(f"#runs tr[data-run='{STUDENT}'] progress").get_attribute("value"))


def wait_for_epochs(page: Any, more_than: int) -> None:
    bar = f"#runs tr[data-run='{STUDENT}'] progress"
    page.wait_for_function(f'least => document.querySelector("{bar}")?.value > least', arg=more_than)


def test_configure_start_watch_stop_continue(
    serve: Callable[[], Any], opened: Callable[..., Any], tmp_path: Path
) -> None:
    address, server = serve()
    page = opened(address)
    page.locator("#experiment").select_option(STUDENT)

    # What is wrong is said while one types, and nothing can be started.
    enter(page, {"training.epochs": "0"})
    page.locator(
        "#problem", has_text="--epochs (training.epochs): input should be greater than or equal to 1"
    ).wait_for()
    assert page.locator("#start").is_disabled()
    assert page.locator("[data-path='training.epochs']").get_attribute("aria-invalid") == "true"
    enter(page, SMALL)
    page.locator("#problem").wait_for(state="hidden")
    row = page.locator("#differs tr", has_text="training.epochs")
    assert row.locator("td").all_inner_texts() == ["6", "400"]

    # A reload keeps what was entered; another window has its own.
    page.locator("#command", has_text="visualize_images=1").wait_for()
    command = page.locator("#command").inner_text()
    assert f"--configs {STUDENT}" in command
    assert "--epochs 400" in command
    page.reload()
    page.locator("#command", has_text="--epochs 400").wait_for()
    assert page.locator("#command").inner_text() == command
    other = opened(address)
    assert "--epochs" not in other.locator("#command").inner_text()

    page.locator("#start").click()
    wait_for_state(page, "running")
    wait_for_epochs(page, 0)
    page.locator("#charts .plot .line").first.wait_for(state="attached")
    page.wait_for_function("() => [...document.querySelectorAll('#shots img')].some((image) => image.naturalWidth > 0)")

    # The other window sees it, cannot start a second batch, and is refused should it try.
    wait_for_state(other, "running")
    assert other.locator("#start").is_disabled()
    request = json.dumps({"experiment": STUDENT})
    refused = other.evaluate(
        "body => fetch('start', {method: 'POST', body, headers: {'Content-Type': 'application/json'}})"
        ".then(async (answer) => [answer.status, (await answer.json()).error])",
        request,
    )
    assert refused[0] == 409
    assert "in use by process" in refused[1]

    # It goes on without the page and without its server.
    page.context.close()
    before = epochs_of(other)
    server.send_signal(signal.SIGINT)
    assert server.wait(60) == 0
    other.locator("#trouble", has_text="Runs go on").wait_for()
    address, _ = serve()
    page = opened(address)
    wait_for_epochs(page, before)
    wait_for_state(page, "running")

    # Stopped, it has saved; continued, it goes on from there.
    page.locator("#stop").click()
    wait_for_state(page, "interrupted")
    page.locator("#stop").wait_for(state="hidden")
    stopped = epochs_of(page)
    again = page.locator("#starts button.again")
    assert again.inner_text() == "Continue"
    page.wait_for_function("() => !document.querySelector('#starts button.again').disabled")
    again.click()
    wait_for_state(page, "running")
    wait_for_epochs(page, stopped)
    assert page.locator("#starts li").count() == 1
    assert page.locator("#log").text_content().startswith(f"$ {command}")
    page.locator("#stop").click()
    wait_for_state(page, "interrupted")
    lines = (tmp_path / "experiments" / STUDENT / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(lines) + 1))


def test_sections_are_switched_on_and_off_and_a_start_goes_into_the_form(
    serve: Callable[[], Any], opened: Callable[..., Any], tmp_path: Path
) -> None:
    start = {"started": "2026-01-01T00:00:00+00:00", "request": {"experiment": "baseline", "seeds": [4]}}
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "ui_starts.json").write_text(json.dumps([start]))
    page = opened(serve()[0])
    page.locator("#experiment").select_option(STUDENT)
    page.locator("#form summary", has_text="training").click()
    page.locator("[data-path='training.ema']").check()
    enter(page, {"training.ema.decay": "0.5"})
    page.locator("#command", has_text="training.ema.decay=0.5").wait_for()
    page.locator("[data-path='training.ema']").uncheck()
    page.locator("#same").wait_for()
    assert page.locator("[data-path='training.ema.decay']").count() == 0
    page.locator("#find").fill("learning rate")
    assert page.locator("#form .entry:visible").count() <= 4
    page.locator("#find").fill("")
    page.locator("#starts button", has_text="Into the form").click()
    page.locator("#command", has_text="--configs baseline --seeds 4").wait_for()
    page.locator("#seeds").fill("4 x")
    page.locator("#problem", has_text="Seeds: expected whole numbers, got x").wait_for()
    assert page.locator("#start").is_disabled()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_reads_it_in_both_colours(serve: Callable[[], Any], opened: Callable[..., Any], theme: str) -> None:
    page = opened(serve()[0], color_scheme=theme, viewport={"width": 360, "height": 740})
    for summary in page.locator("#form > details > summary").all():
        summary.click()
    time.sleep(0.1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(f"({CONTRAST})()") == []
