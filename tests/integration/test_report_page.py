"""The page in a real browser, Chromium: no error, and all that can be clicked, dragged and typed does what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_fixtures import CONTRAST
from report_runs import DISTILLED, FAILED, write_report_runs

from human_edge_detection.runner.report.page import write_page
from human_edge_detection.runs.paths import RunPaths

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., RunPaths]) -> Path:
    output_dir = tmp_path_factory.mktemp("runs") / "experiments"
    write_report_runs(output_dir, write_run)
    return write_page(output_dir).path


@pytest.fixture
def page(chromium: Any, file: Path) -> Iterator[Any]:
    """The page, opened anew; whatever it says on the console or asks the network for is an error."""
    opened = chromium.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else said.append(request.url)
    )
    opened.set_viewport_size({"width": 1280, "height": 900})
    opened.goto(file.as_uri())
    yield opened
    assert said == []
    opened.close()


def column(page: Any, number: int) -> list[str]:
    texts: list[str] = page.locator(f"#run-table tbody tr > :nth-child({number})").all_inner_texts()
    return [text.split("\n")[0].strip() for text in texts]


def test_the_table_is_sorted_by_click_and_by_key(page: Any) -> None:
    head = page.locator("#run-table thead th", has_text="mIoU").first
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    values = column(page, 3)
    numbers = [float(value) for value in values[:-1]]
    assert numbers == sorted(numbers, reverse=True)
    assert values[-1] == "–"  # what has no number comes last, in either direction
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 3) == [*(f"{number:.4f}" for number in sorted(numbers)), "–"]
    page.locator("#run-table thead th", has_text="run").first.locator("button").click()
    assert column(page, 1) == sorted(column(page, 1))


def test_the_legend_switches_runs_in_all_charts(page: Any) -> None:
    charts = page.locator("#charts .plot").count()
    assert charts >= 8
    button = page.locator("#legend button", has_text=f"{DISTILLED}/seed_0")
    number = page.locator("#charts .plot svg g", has_text=f"{DISTILLED}/seed_0").first.get_attribute("data-run")
    drawn = page.locator(f"#charts .plot g[data-run='{number}'] .line")
    before = drawn.count()
    assert before >= 6
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert drawn.count() == 0
    button.click()
    assert drawn.count() == before
    page.locator("#charts summary", has_text="gradient").first.click()
    page.wait_for_function("count => document.querySelectorAll('#charts .plot').length > count", arg=charts)


def test_a_chart_is_read_with_the_keyboard(page: Any) -> None:
    plot = page.locator("#charts .plot").first
    plot.locator("svg").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert plot.locator("output").inner_text().startswith("epoch 2: ")


def test_the_slider_divides_two_layers_that_are_chosen(page: Any) -> None:
    gallery = page.locator(".gallery:not([hidden])")
    assert gallery.count() == 1
    figure = gallery.locator(".compare").first
    overlays = [figure.locator(f".over.{side}") for side in ("left", "right")]
    before = [overlay.get_attribute("src") for overlay in overlays]
    assert all((source or "").startswith("data:image/png") for source in before)
    assert before[0] != before[1]
    assert page.evaluate(
        "[...document.querySelectorAll('.gallery:not([hidden]) img[src]')].every((i) => i.naturalWidth > 0)"
    )
    slider = figure.locator("input")
    slider.focus()
    page.keyboard.press("Home")
    assert figure.locator(".stage").evaluate("(stage) => stage.style.getPropertyValue('--at')") == "0%"
    box = figure.locator(".stage").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
    assert 70 <= int(slider.input_value()) <= 80
    gallery.locator(".left-layer").select_option("truth")
    assert overlays[0].get_attribute("src") != before[0]
    assert "ground truth" in (slider.get_attribute("aria-label") or "")
    gallery.locator(".right-layer").select_option("")
    assert overlays[1].get_attribute("src") is None
    page.locator("#gallery-model").select_option(index=1)
    assert page.locator(".gallery:not([hidden])").get_attribute("data-gallery") == "1"


def test_labels_of_training_views_can_be_hidden(page: Any) -> None:
    label = page.locator(".views .over").first
    assert label.is_visible()
    page.locator("#labels").uncheck()
    assert not label.is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_have_contrast(page: Any, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    assert page.evaluate(CONTRAST) == []


def test_the_theme_is_chosen_against_the_system(page: Any) -> None:
    page.emulate_media(color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator("#theme").click()
    assert page.evaluate(background) == light
    page.locator("#theme").click()
    assert page.evaluate(background) != light
    page.locator("#theme").click()
    assert page.evaluate(background) == light


def test_a_phone_scrolls_in_one_direction(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#run-table", has_text=FAILED).is_visible()
