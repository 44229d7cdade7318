"""Milliseconds of an exported model in the page of examples/browser beside ONNX Runtime outside of a browser.

    npm ci --prefix examples/browser && (cd examples/browser && npm run bundle)
    uv run --group browser python benchmarks/browser.py

One image and three boxes, one thread each, taking turns, in processor time of the thread that computes, which other
programs hardly change. Random weights: what they are makes no difference to the time. Needs Chromium and Linux.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from playwright.sync_api import sync_playwright

from human_edge_detection.engine.build import build_model
from human_edge_detection.experiments.config_manager import get_config
from human_edge_detection.exporters.onnx import export_unchecked

PAGE = Path(__file__).parents[1] / "examples" / "browser" / "dist" / "index.html"
EXPERIMENTS = ("rgb_hierarchical_unet_v2_student_b0_edge", "rgb_hierarchical_unet_v2_student_edge_tiny")
BOXES = ((5, 10, 35, 95), (30, 20, 60, 90), (60, 5, 95, 100))
"""Left, top, right and bottom in percent."""
_CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
_PATIENCE_MS = 300_000


def outside(model: Path, size: tuple[int, int]) -> Callable[[], float]:
    """A call of the model in ONNX Runtime, which gives its processor seconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    rois = np.array([[0, *(side / 100 for side in box)] for box in BOXES], np.float32)
    feeds = {"images": np.random.default_rng(0).random((1, 3, *size), np.float32), "rois": rois}

    def seconds() -> float:
        started = time.thread_time()
        session.run(None, feeds)
        return time.thread_time() - started

    return seconds


@contextmanager
def in_chromium(model: Path, image: Path, program: str) -> Iterator[Callable[[], float]]:
    """Asking the page about the last of three boxes anew; gives the processor seconds of its worker."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_CHROMIUM), timeout=_PATIENCE_MS)
        page = browser.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(PAGE.as_uri())
        page.set_input_files("#model", str(model))
        page.set_input_files("#image", str(image))
        persons = page.locator("#persons li")
        page.locator("#status", has_text="ms in the model").wait_for()
        page.locator("summary").click()

        def add(box: tuple[int, int, int, int], count: int) -> None:
            for name, value in zip(("left", "top", "right", "bottom"), box, strict=True):
                page.fill(f"[name={name}]", str(value))
            page.click("text=Add the box")
            persons.nth(count - 1).wait_for()

        for number, box in enumerate(BOXES, start=1):
            add(box, number)

        def seconds() -> float:
            page.locator("text=Remove").last.click()
            persons.nth(len(BOXES) - 1).wait_for(state="detached")
            started = worker_seconds()
            add(BOXES[-1], len(BOXES))
            return worker_seconds() - started

        yield seconds
        browser.close()


def worker_seconds() -> float:
    """Processor time so far of all threads that are workers of pages."""
    total = 0
    for task in Path("/proc").glob("[0-9]*/task/*"):
        try:
            if (task / "comm").read_text().startswith("DedicatedWorker"):
                total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue  # it has ended meanwhile
    return total / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--output", type=Path, default=Path("browser.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    measured = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = folder / "noise.png"
        cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))
        for experiment in EXPERIMENTS:
            config = get_config(experiment).model
            model = folder / f"{experiment}.onnx"
            model.write_bytes(export_unchecked(build_model(config).eval(), config))
            with in_chromium(model, image, args.chromium) as browser_seconds:
                calls = {"chromium": browser_seconds, "onnxruntime": outside(model, config.image_size)}
                turns = [{name: call() for name, call in calls.items()} for _ in range(args.rounds + 1)][1:]
            medians = {name: 1e3 * statistics.median(turn[name] for turn in turns) for name in calls}
            measured[experiment] = medians | {"ratio": medians["chromium"] / medians["onnxruntime"]}
            print(
                f"{experiment} at {config.image_size[0]} px: {medians['chromium']:.0f} ms in Chromium, "
                f"{medians['onnxruntime']:.0f} ms outside: {measured[experiment]['ratio']:.1f} times",
                flush=True,
            )
    args.output.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
