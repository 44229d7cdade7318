"""The page of examples/browser in Chromium: it shows what Python computes, and asks for nothing but itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from browser_fixtures import PATIENCE_MS
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from human_edge_detection.engine.build import build_model
from human_edge_detection.experiments.schema.experiment import build_config
from human_edge_detection.exporters.detector_parity import MIN_SCORE
from human_edge_detection.exporters.exportable import ExportableDetector
from human_edge_detection.exporters.graph import with_constant
from human_edge_detection.exporters.onnx import to_onnx, usage_of
from human_edge_prediction import open_model
from human_edge_prediction.resampling import paste_roi

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "examples" / "browser"
SIZE = (96, 64)
MASK_SIZE = (32, 24)
FOUND = np.array([[0, 0.05, 0.1, 0.35, 0.95], [0, 0.6, 0.2, 0.95, 1.0], [0, 0.4, 0.1, 0.5, 0.4]], np.float32)
SCORES = np.array([0.9, 0.6, 0.3], np.float32)


def write_model(path: Path, *, finds_persons: bool, checkpoint: str = "a") -> Path:
    """A model with the inputs and outputs of an export, whose persons are what is more red than blue.

    The one that finds persons finds :data:`FOUND`, whatever the image.
    """
    height, width = SIZE
    constants: dict[str, NDArray[Any]] = {
        "weights": np.array([[[[24.0]], [[0.0]], [[-24.0]]]], np.float32),
        "bias": np.array([-3.0], np.float32),
        "image_index": np.array(0, np.int64),
        "corners": np.array([1, 2, 3, 4], np.int64),
        "sides": np.array([width, height, width, height], np.float32),
        "sign": np.array([-1.0, 1.0, 0.0], np.float32).reshape(1, 3, 1, 1),
    }
    if finds_persons:
        constants |= {"rois": FOUND, "found_scores": SCORES}
    nodes = [
        helper.make_node("Conv", ["images", "weights", "bias"], ["person"]),
        helper.make_node("Sigmoid", ["person"], ["binary_masks"]),
        helper.make_node("Gather", ["rois", "image_index"], ["owners"], axis=1),
        helper.make_node("Cast", ["owners"], ["batch_indices"], to=TensorProto.INT64),
        helper.make_node("Gather", ["rois", "corners"], ["fractions"], axis=1),
        helper.make_node("Mul", ["fractions", "sides"], ["pixels"]),
        helper.make_node(
            "RoiAlign", ["person", "pixels", "batch_indices"], ["aligned"],
            output_height=MASK_SIZE[0], output_width=MASK_SIZE[1], coordinate_transformation_mode="half_pixel",
        ),
        helper.make_node("Mul", ["aligned", "sign"], ["masks"]),
    ]  # fmt: skip
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ("B", 3, *SIZE))]
    outputs: dict[str, tuple[str | int, ...]] = {"masks": ("N", 3, *MASK_SIZE), "binary_masks": ("B", 1, *SIZE)}
    if finds_persons:
        nodes += [
            helper.make_node("Identity", ["rois"], ["boxes"]),
            helper.make_node("Identity", ["found_scores"], ["scores"]),
        ]
        outputs = {"boxes": ("N", 5), "scores": ("N",), **outputs}
    else:
        inputs.append(helper.make_tensor_value_info("rois", TensorProto.FLOAT, ("N", 5)))
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "drawn", inputs, results, stored),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    metadata = {"written_by": "human-edge-detection 0.1.0", "checkpoint_sha256": checkpoint}
    helper.set_model_props(model, metadata | ({"min_score": "0.25"} if finds_persons else {}))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def boxes_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "best_model.onnx", finds_persons=False)


@pytest.fixture(scope="module")
def detect_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "best_model.detect.onnx", finds_persons=True)


@pytest.fixture(scope="module")
def image_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three drawn persons, 300 x 340: red is where the model sees somebody."""
    image = np.full((300, 340, 3), (110, 120, 130), np.uint8)
    for x, color in ((65, (220, 90, 40)), (260, (180, 60, 90)), (150, (40, 60, 200))):
        cv2.ellipse(image, (x, 90), (22, 28), 0, 0, 360, color, -1, cv2.LINE_AA)
        cv2.ellipse(image, (x, 190), (42, 85), 8, 0, 360, color, -1, cv2.LINE_AA)
    path = tmp_path_factory.mktemp("images") / "drawn people.png"
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``bundle(*models)``: the page as the README's command makes it."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules").is_dir():
        pytest.skip("the page is bundled with Node.js: install it and run `npm ci --prefix examples/browser`")

    def run(*models: Path) -> Path:
        page = tmp_path_factory.mktemp("page") / "index.html"
        command = [node, str(FOLDER / "bundle.mjs"), "--output", str(page), *map(str, models)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return page

    return run


@pytest.fixture(scope="module")
def address(bundle: Callable[..., Path]) -> Iterator[str]:
    """Where the page is served, as ``python -m http.server`` does it."""
    page = bundle()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(page.parent)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()
    thread.join()
    server.server_close()


class Page:
    """The page as its user sees it."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def wait(self, status: str) -> str:
        """Until the status reads like ``status``, or something is wrong; returns which."""
        settled = self.page.locator("#status", has_text=re.compile(status))
        settled.or_(self.page.locator("#problem:not([hidden])")).first.wait_for()
        return str(self.page.locator("#problem").text_content() or self.page.locator("#status").text_content())

    def give(self, kind: str, *files: Path, status: str = r"\d ms in the model") -> str:
        self.page.set_input_files(f"#{kind}", [str(file) for file in files])
        return self.wait(status)

    def persons(self) -> list[str]:
        return [str(text) for text in self.page.locator("#persons li").all_inner_texts()]

    def masks(self) -> NDArray[np.uint8]:
        """The saved masks: the number of a person at each pixel of the image."""
        with self.page.expect_download() as download:
            self.page.click("#save-masks")
        saved = cv2.imread(str(download.value.path()), cv2.IMREAD_GRAYSCALE)
        assert saved is not None
        return np.asarray(saved, np.uint8)

    def shown(self) -> NDArray[np.uint8]:
        """The picture on the page, with all that is drawn over the image: RGB."""
        with self.page.expect_download() as download:
            self.page.click("#save-overlay")
        return read_rgb(download.value.path())

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """From one point of the picture to another, as fractions of it."""
        place = self.page.locator("#canvas").bounding_box()
        points = [(place["x"] + x * place["width"], place["y"] + y * place["height"]) for x, y in (start, end)]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        self.page.mouse.move(*points[1], steps=3)
        self.page.mouse.up()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[[str], Page]]:
    """``open_page(address)``; afterwards: it asked for nothing but itself, and no script complained."""
    context = chromium.new_context(viewport={"width": 1200, "height": 1000})
    context.set_default_timeout(PATIENCE_MS)
    asked: list[str] = []
    complaints: list[str] = []

    def start(address: str, *, before: str = "") -> Page:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if before:
            page.add_init_script(before)
        page.goto(address)
        started = Page(page)
        started.wait("Give|Now|ms in")
        return started

    yield start
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("blob:", "data:"))] == asked[:1]


def read_rgb(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path))
    assert image is not None
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def masks_in_python(
    model: Path, image: NDArray[np.uint8], boxes: NDArray[np.float32] | None = None, *, threshold: float = 0.5
) -> list[NDArray[Any]]:
    """What prediction/ says of each person: (height, width) bool."""
    found = open_model(model).instances(image, None if boxes is None else boxes.tolist())
    masks = []
    for probability, frame in zip(found.masks, found.frames, strict=True):
        where, values = paste_roi(probability, frame, image.shape[:2], linear=True)
        mask = np.zeros(image.shape[:2], bool)
        mask[where] = values > threshold
        masks.append(mask)
    return masks


def iou(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def test_found_persons_have_the_masks_that_python_gives_them(
    open_page: Callable[..., Page], address: str, detect_model: Path, image_file: Path
) -> None:
    page = open_page(address)
    assert page.give("model", detect_model, status="Now an image") == "Now an image."
    page.give("image", image_file)
    image = read_rgb(image_file)
    saved = page.masks()
    expected = masks_in_python(detect_model, image)
    assert [bool(mask.any()) for mask in expected] == [True, True, False]
    assert saved.shape == image.shape[:2]
    assert iou(saved == 1, expected[0]) > 0.99
    assert iou(saved == 2, expected[1]) > 0.99
    assert set(np.unique(saved)) == {0, 1, 2}
    texts = page.persons()
    assert [re.findall(r"score (\d+)\s%", text) for text in texts] == [["90"], ["60"], ["30"]]
    spoken = page.page.get_attribute("#canvas", "aria-label").replace("\N{NO-BREAK SPACE}", " ")
    assert spoken.startswith("drawn people.png: 3 persons. Person 1, score 90 %")

    # What is shown: other than the image in the masks, and the image elsewhere.
    shown = cv2.resize(page.shown(), (image.shape[1], image.shape[0]), interpolation=cv2.INTER_AREA)
    changed = np.abs(shown.astype(int) - image).max(axis=2) > 12
    inside = cv2.erode((saved > 0).astype(np.uint8), np.ones((9, 9))) > 0
    assert changed[inside].mean() > 0.95
    assert not changed[:25].any(), "above the boxes"

    # Fewer persons above a higher score, and smaller masks above a higher threshold, without asking the model again.
    page.page.fill("#score", "0.5")
    assert len(page.persons()) == 2
    page.page.fill("#threshold", "0.95")
    assert 0 < (page.masks() > 0).sum() < (saved > 0).sum()


def test_a_real_export_of_an_edge_student(
    open_page: Callable[..., Page], address: str, image_file: Path, tmp_path: Path
) -> None:
    sizes = {"image_size": [96, 64], "roi_size": [16, 12], "mask_size": [32, 24], "head_channels": 8}
    parts = {"decoder": {"kind": "fpn", "channels": 16}, "feature_stride": 4, "detector": {}}
    encoder = {"encoder": "tu-mobilenetv4_conv_small", "encoder_weights": "none"}
    config = build_config({"name": "student", "model": {**encoder, **parts, **sizes}}).model
    torch.manual_seed(0)
    detector = ExportableDetector(build_model(config).eval(), max_persons=1).eval()
    example = {"images": torch.rand(2, 3, *config.image_size), MIN_SCORE: torch.tensor(0.0)}
    model = tmp_path / "best_model.detect.onnx"
    model.write_bytes(with_constant(to_onnx(detector, example, usage_of(config)), MIN_SCORE, 0.0))
    page = open_page(address)
    page.give("model", model, status="Now an image")
    page.give("image", image_file)
    image = read_rgb(image_file)
    # Random weights are sure of nothing: half of the box is above this threshold.
    threshold = round(float(np.median(open_model(model).instances(image).masks)), 2)
    page.page.fill("#threshold", str(threshold))
    (expected,) = masks_in_python(model, image, threshold=threshold)
    assert expected.any()
    assert iou(page.masks() == 1, expected) > 0.99


def test_boxes_by_mouse_and_by_numbers(
    open_page: Callable[..., Page], address: str, boxes_model: Path, image_file: Path
) -> None:
    page = open_page(address)
    page.give("image", image_file, status="Give a model")
    assert "Draw a box around each person" in page.give("model", boxes_model)
    assert page.persons() == []
    page.drag((0.95, 0.98), (0.6, 0.15))  # against the order of the corners
    page.page.locator("#persons li").first.wait_for()
    page.page.locator("summary").click()
    for name, value in {"left": 5, "top": 10, "right": 35, "bottom": 96}.items():
        page.page.fill(f"[name={name}]", str(value))
    page.page.keyboard.press("Enter")
    page.page.locator("#persons li").nth(1).wait_for()
    boxes = np.array([[0.6, 0.15, 0.95, 0.98], [0.05, 0.1, 0.35, 0.96]], np.float32)
    expected = masks_in_python(boxes_model, read_rgb(image_file), boxes)
    saved = page.masks()
    assert iou(saved == 1, expected[0]) > 0.98  # the mouse stops at whole pixels of the screen
    assert iou(saved == 2, expected[1]) > 0.99

    page.drag((0.5, 0.5), (0.502, 0.9))
    assert len(page.persons()) == 2, "a box without area is a click"
    page.page.fill("[name=left]", "60")
    page.page.click("text=Add the box")
    assert "left < right" in page.wait("^$")
    page.page.click("text=Remove >> nth=0")
    page.page.locator("#persons li").nth(1).wait_for(state="detached")
    assert iou(page.masks() == 1, expected[1]) > 0.99


def test_both_models_together_from_a_file_that_holds_them(
    open_page: Callable[..., Page], bundle: Callable[..., Path], detect_model: Path, boxes_model: Path, image_file: Path
) -> None:
    page = open_page(bundle(detect_model, boxes_model).as_uri())
    page.give("image", image_file)
    assert len(page.persons()) == 3
    assert not page.page.is_checked("#drawing")
    page.page.check("#drawing")
    page.drag((0.05, 0.1), (0.35, 0.95))
    page.page.locator("#persons li").nth(3).wait_for()
    assert [text.count("your box") for text in page.persons()] == [0, 0, 0, 1]


def test_what_is_wrong_is_one_line_and_the_page_goes_on(
    open_page: Callable[..., Page], address: str, detect_model: Path, image_file: Path, tmp_path: Path
) -> None:
    page = open_page(address)
    foreign = onnx.load(str(detect_model))
    del foreign.metadata_props[:]
    content = detect_model.read_bytes()
    bad = {
        "not_onnx.onnx": (b"\x00\x01 no model at all", "is no ONNX file"),
        "cut.onnx": (content[: len(content) // 2], "is no ONNX file, or it is damaged"),
        "empty.onnx": (b"", "is no ONNX file"),
        "foreign.onnx": (foreign.SerializeToString(), "was not exported by human-edge-detection"),
    }
    for name, (given, line) in bad.items():
        (tmp_path / name).write_bytes(given)
        said = page.give("model", tmp_path / name)
        assert said.startswith(f"{name} ")
        assert line in said
        assert "\n" not in said
    page.give("model", detect_model, status="Now an image")
    (tmp_path / "text.png").write_text("no image")
    assert page.give("image", tmp_path / "text.png").startswith("text.png is no image that this browser can read")
    page.give("image", image_file)
    assert page.page.is_hidden("#problem")
    assert len(page.persons()) == 3


def test_a_browser_without_webassembly_is_told(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(address, before="delete globalThis.WebAssembly")
    assert "no WebAssembly" in str(page.page.text_content("#problem"))


def test_a_browser_that_hides_pixels_is_refused(
    open_page: Callable[..., Page], bundle: Callable[..., Path], image_file: Path
) -> None:
    page_file = bundle()
    html = page_file.read_text(encoding="utf-8")
    worker = '<script id="worker" type="text/plain">'
    noise = "OffscreenCanvasRenderingContext2D.prototype.getImageData = () => ({ data: new Uint8Array(1024).fill(7) });"
    assert html.count(worker) == 1
    page_file.write_text(html.replace(worker, worker + noise), encoding="utf-8")
    page = open_page(page_file.as_uri())
    assert page.give("image", image_file).startswith("This browser hides the pixels")
