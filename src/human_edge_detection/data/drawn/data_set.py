"""Draws the sample data: images of persons with COCO annotations, the same for the same seed.

It replaces real images where there are none: for trying the tool, and in tests. Scores on it show that the program
works and say nothing about images of real persons.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.polygons_and_rle import Segmentation, mask_area_and_box
from human_edge_detection.data.drawn.canvas import SUPERSAMPLING, Canvas, point
from human_edge_detection.data.drawn.figures import (
    POSES,
    Pose,
    draw_figure,
    place,
    random_joints,
    random_looks,
)
from human_edge_detection.data.drawn.scenery import draw_background, draw_distractors, draw_seat
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import DRAWN_VERSION
from human_edge_detection.files.strict_json import strict_json
from human_edge_detection.files.whole_folder import whole_folder
from human_edge_prediction.resampling import resize

logger = logging.getLogger(__name__)

_PARAMETERS_FILE = "sample.json"
_CROWD = 255
"""Number of all persons of a crowd region on the canvas."""
_MIN_VISIBLE_PX = 16
"""Least visible pixels of a person that is annotated."""
_JPEG_QUALITY = 85
"""Quality of JPEG files, 0 to 100."""
_DRAWING_SECONDS = 3600.0
"""Longest time to wait for another process that draws the same."""


@dataclass(frozen=True)
class _Parameters:
    """What the images depend on; stored with them."""

    train_images: int
    val_images: int
    image_size: tuple[int, int]
    seed: int
    version: int = DRAWN_VERSION
    test_images: int | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Number of images by split."""
        test = {} if self.test_images is None else {"test": self.test_images}
        return {"train": self.train_images, "val": self.val_images, **test}

    def as_json(self) -> dict[str, Any]:
        """As plain data; without what older versions did not know, where it is not used."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {name: value for name, value in plain.items() if value is not None}


def write_drawn_data(
    root: Path,
    *,
    train_images: int = 96,
    val_images: int = 32,
    image_size: tuple[int, int] = (240, 320),
    seed: int = 0,
    test_images: int | None = None,
) -> Path:
    """Draws the sample data into ``root``; does nothing if it has sample data with the same parameters already.

    Writes ``annotations/instances_{train,val}_person.json`` and ``images/{train,val}/*.jpg``, of ``test`` too where it
    is wanted; all files or none.

    Args:
        root: Folder to create.
        train_images: Number of training images, at least 2.
        val_images: Number of validation images, at least 2.
        image_size: (height, width) of an image.
        seed: Seed of all random numbers.
        test_images: Number of test images, at least 2; None: no test split. The other images are the same in any case.

    Returns:
        ``root``.

    Raises:
        DataError: ``root`` holds something else or is incomplete, or cannot be written.
    """
    parameters = _Parameters(train_images, val_images, image_size, seed, test_images=test_images)
    if _is_made(root, parameters):
        return root
    try:
        with whole_folder(root, "sample data", wait=_DRAWING_SECONDS) as building:
            if _is_made(root, parameters):  # by another process, in the meantime
                return root
            for split, (name, count) in enumerate(parameters.counts.items()):
                _write_split(building, name, count, image_size, (seed, split))
            (building / _PARAMETERS_FILE).write_text(strict_json(parameters.as_json()) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"sample data cannot be written to {root} ({error.strerror}); choose another folder") from error
    logger.info("drew %s sample images into %s", " + ".join(map(str, parameters.counts.values())), root)
    return root


def _is_made(root: Path, parameters: _Parameters) -> bool:
    """Whether ``root`` holds sample data with these parameters; False when there is nothing in it.

    Raises:
        DataError: It holds something else, or is incomplete.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    wanted = parameters.as_json()
    try:
        found = json.loads((root / _PARAMETERS_FILE).read_bytes())
    except (OSError, ValueError):
        raise DataError(f"{root} exists and is not sample data; choose another folder or move it away") from None
    if found != wanted:
        raise DataError(
            f"{root} holds sample data made with {found}, asked for {wanted}; choose another folder or remove it"
        )
    counts = {split: len(list((root / "images" / split).glob("*.jpg"))) for split in parameters.counts}
    files = [root / "annotations" / f"instances_{split}_person.json" for split in parameters.counts]
    if counts != parameters.counts or not all(file.is_file() for file in files):
        raise DataError(f"sample data in {root} is incomplete; remove the folder, it is then drawn anew")
    return True


def _write_split(root: Path, split: str, count: int, size: tuple[int, int], seed: tuple[int, int]) -> None:
    """Draws one split: about 5 % of the images without persons, 8 % with a crowd region."""
    folder = root / "images" / split
    folder.mkdir(parents=True)
    order = np.random.default_rng(seed).permutation(count)
    empty = max(1, round(0.05 * count))
    crowded = max(1, round(0.08 * count))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, place_in_order in enumerate(np.argsort(order).tolist()):
        rng = np.random.default_rng((*seed, number))
        people = 0 if place_in_order < empty else int(rng.choice([1, 2, 3, 4, 5], p=[0.25, 0.28, 0.22, 0.15, 0.1]))
        crowd = empty <= place_in_order < empty + crowded
        image, found = draw_image(size, rng, people=people, crowd=crowd)
        name = f"{split}_{number:05d}.jpg"
        encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
        (folder / name).write_bytes(encoded.tobytes())
        images.append({"id": number + 1, "file_name": name, "width": size[1], "height": size[0]})
        for annotation in found:
            annotations.append({"id": len(annotations) + 1, "image_id": number + 1, "category_id": 1, **annotation})
    data = {
        "info": {"description": f"drawn sample data, {split}"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "supercategory": "person"}],
    }
    file = root / "annotations" / f"instances_{split}_person.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(strict_json(data) + "\n", encoding="utf-8")


def draw_image(
    size: tuple[int, int], rng: np.random.Generator, *, people: int, crowd: bool
) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """Draws one image and annotates the visible persons.

    Args:
        size: (height, width).
        rng: Source of randomness.
        people: Number of persons to draw; some may be occluded.
        crowd: Whether to draw a group of small persons in the background, annotated as one crowd region.

    Returns:
        ``(H, W, 3)`` uint8 RGB, and COCO annotations without ids.
    """
    # 1. Draw back to front.
    canvas = Canvas(size, rng)
    horizon = rng.uniform(0.28, 0.48) * canvas.height
    draw_background(canvas, rng, horizon)
    if crowd:
        _draw_crowd(canvas, rng, horizon)
    draw_distractors(canvas, rng, horizon)
    _draw_people(canvas, rng, horizon, people)
    image = canvas.render(rng)
    # 2. Annotate what is visible. A crowd region is closed morphologically and leaves out pixels of annotated persons.
    annotations = [_annotation(canvas.owners == owner, rng, is_crowd=False) for owner in range(1, people + 1)]
    if crowd:
        region = cv2.morphologyEx(
            (canvas.owners == _CROWD).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((13, 13), np.uint8)
        )
        annotations.append(_annotation((region > 0) & (canvas.owners % _CROWD == 0), rng, is_crowd=True))
    return image, [annotation for annotation in annotations if annotation is not None]


def _draw_people(canvas: Canvas, rng: np.random.Generator, horizon: float, people: int) -> None:
    """Draws persons on the ground, far ones first; most stand close together, so that they overlap."""
    depths = np.sort(rng.uniform(0.3, 1.45, people))
    middle = rng.uniform(0.2, 0.8) * canvas.width
    for owner, depth in enumerate(depths.tolist(), start=1):
        foot_y = horizon + depth * (canvas.height - horizon)
        height = min(rng.uniform(1.05, 1.3) * (foot_y - horizon), 1.15 * canvas.height)
        spread = 0.6 * height if rng.random() < 0.6 else 0.35 * canvas.width
        x = float(np.clip(rng.normal(middle, spread), 0.0, canvas.width))
        _draw_person(canvas, rng, (x, foot_y), height, POSES[rng.choice(4, p=[0.35, 0.3, 0.17, 0.18])], owner)


def _draw_person(
    canvas: Canvas, rng: np.random.Generator, foot: tuple[float, float], height: float, pose: Pose, owner: int
) -> None:
    """Draws a person with its shadow, and its seat if it is sitting."""
    looks = random_looks(rng, height)
    feet_at = point(*foot)
    body = place(random_joints(rng, pose, looks), feet_at, height)
    canvas.darken(feet_at, (0.17 * height, 0.035 * height), 0.45)
    if pose == "sitting":
        hips = (body.hips[0] + body.hips[1]) / 2
        draw_seat(canvas, rng, hips + point(0, 0.03 * height), 0.13 * height, foot[1] - 0.03 * height)
    draw_figure(canvas, body, looks, height, owner)


def _draw_crowd(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Draws three rows of six small persons."""
    middle = rng.uniform(0.2, 0.8) * canvas.width
    height = rng.uniform(0.09, 0.14) * canvas.height
    for row in range(3):
        for x in middle + rng.uniform(-1.6, 1.6, 6) * height:
            foot = (x, horizon + (0.55 + 0.25 * row) * height)
            _draw_person(canvas, rng, foot, height * rng.uniform(0.85, 1.1), POSES[rng.integers(2)], _CROWD)


def _annotation(visible: NDArray[np.bool_], rng: np.random.Generator, *, is_crowd: bool) -> dict[str, Any] | None:
    """The COCO annotation of a canvas mask, as polygons or RLE; None when too little of it is visible."""
    size = (visible.shape[0] // SUPERSAMPLING, visible.shape[1] // SUPERSAMPLING)
    mask = resize(visible.astype(np.float32), size) >= 0.5
    if mask.sum() < _MIN_VISIBLE_PX:
        return None
    segmentation: Segmentation
    if is_crowd:
        segmentation = _run_lengths(mask)
    else:
        polygons = None if rng.random() < 0.1 else _polygons(visible)
        packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        segmentation = polygons or {"size": list(size), "counts": packed["counts"].decode()}
    area, (x1, y1, x2, y2) = mask_area_and_box(segmentation, *size)
    return {
        "iscrowd": int(is_crowd),
        "area": float(area),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "segmentation": segmentation,
    }


def _polygons(visible: NDArray[np.bool_]) -> list[list[float]] | None:
    """Polygons around a canvas mask, in pixels of the image; None when it has holes, which COCO polygons cannot have.

    Border following, then simplification by the Douglas-Peucker algorithm; small parts are left out.
    """
    contours, hierarchy = cv2.findContours(visible.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    large = [number for number, contour in enumerate(contours) if cv2.contourArea(contour) >= 4 * SUPERSAMPLING**2]
    if not large or any(hierarchy[0][number][3] >= 0 for number in large):
        return None
    outlines = [cv2.approxPolyDP(contours[number], 0.8, closed=True)[:, 0] for number in large]
    return [_flat((outline + 0.5) / SUPERSAMPLING) for outline in outlines if len(outline) >= 3] or None


def _flat(outline: NDArray[np.float64]) -> list[float]:
    """A polygon ``(P, 2)`` as COCO writes it: x, y, x, y, ..., rounded to hundredths of a pixel."""
    return [round(float(value), 2) for value in outline.ravel()]


def _run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Uncompressed RLE, as COCO writes crowd regions: in column-major order, background first."""
    # Changes of value in column-major order, with a background pixel before the first one.
    pixels = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(pixels[1:] != pixels[:-1])
    edges = np.concatenate([[0], changes, [mask.size]])
    return {"size": list(mask.shape), "counts": np.diff(edges).tolist()}
