from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as functional

from human_edge_detection.engine.evaluation.visualize import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    WRONG_PERSON,
    Colour,
    Pixels,
    draw_comparison,
    encode_png,
    write_figures,
)
from human_edge_detection.structures import Batch, SegmentationOutput

SIZE = (64, 96)
MASK = (40, 30)


def make_batch(rois: int = 2) -> Batch:
    """Image 11 holds the rois, image 12 is empty. Each roi: own person left, another person right, a gap between."""
    masks = torch.zeros(rois, *MASK, dtype=torch.uint8)
    masks[:, :, :10] = 1
    masks[:, :, 20:] = 2
    boxes = torch.tensor([[0.0, 0.05, 0.1, 0.45, 0.9], [0.0, 0.55, 0.1, 0.95, 0.9]])
    people = torch.zeros(2, *SIZE, dtype=torch.uint8)
    people[0, 10:50, 10:40] = 1
    people[1, :20] = 255
    return Batch(torch.full((2, 3, *SIZE), 0.5), boxes[:rois], masks, people, (11, 12), tuple(range(rois)))


def prediction(batch: Batch, classes: torch.Tensor, *, full_image: bool = True) -> SegmentationOutput:
    logits = functional.one_hot(classes.long(), 3).permute(0, 3, 1, 2).float()
    aux = {"full_image_logits": (batch.person_masks == 1).float()[:, None] * 8 - 4} if full_image else {}
    return SegmentationOutput(logits, aux)


def amount(figure: Pixels, colour: Colour) -> int:
    """Pixels that are near to ``colour``, the legend's swatches left out."""
    distance = np.abs(figure[:-30].astype(int) - np.array(colour)).max(-1)
    return int((distance < 30).sum())


def error_colours(figure: Pixels) -> dict[str, bool]:
    colours = {"missed": FALSE_NEGATIVE, "invented": FALSE_POSITIVE, "wrong": WRONG_PERSON}
    return {name: amount(figure, colour) > 200 for name, colour in colours.items()}


def test_one_figure_an_image_with_a_panel_for_each_prediction() -> None:
    batch = make_batch()
    right = prediction(batch, batch.roi_masks)
    figures = draw_comparison(batch, right, right, max_images=5)
    assert [stem for stem, _ in figures] == ["image_000000000011", "image_000000000012"]
    alone = draw_comparison(batch, right, None, max_images=1)
    assert len(alone) == 1
    assert all(rgb.dtype == np.uint8 and rgb.shape[2] == 3 for _, rgb in figures)
    panel = figures[0][1].shape[1] - alone[0][1].shape[1]
    assert panel >= 256, "the teacher's panel is large enough to read"
    without_image = draw_comparison(batch, prediction(batch, batch.roi_masks, full_image=False), None, max_images=1)
    assert without_image[0][1].shape[0] < alone[0][1].shape[0]


def test_errors_have_their_colours() -> None:
    batch = make_batch()
    right = batch.roi_masks
    seen = {}
    for name, classes in {
        "right": right,
        "missed": torch.where(right == 1, 0, right),
        "invented": torch.where(right == 0, 1, right),
        "wrong": torch.where(right == 2, 1, right),
        "other": torch.where(right == 1, 2, right),
    }.items():
        output = prediction(batch, classes, full_image=False)
        seen[name] = error_colours(draw_comparison(batch, output, None, max_images=1)[0][1])
    none = {"missed": False, "invented": False, "wrong": False}
    assert seen == {
        "right": none,
        "missed": none | {"missed": True},
        "invented": none | {"invented": True},
        "wrong": none | {"wrong": True},
        "other": none | {"wrong": True},
    }


def test_errors_in_ignored_pixels_are_not_drawn() -> None:
    batch = make_batch()
    batch = batch._replace(roi_masks=torch.full_like(batch.roi_masks, 255))
    output = prediction(batch, torch.ones_like(batch.roi_masks), full_image=False)
    assert not any(error_colours(draw_comparison(batch, output, None, max_images=1)[0][1]).values())


def test_persons_appear_at_their_boxes() -> None:
    batch = make_batch(rois=1)
    output = prediction(batch, torch.ones_like(batch.roi_masks) - batch.roi_masks.clamp(max=1), full_image=False)
    figure = draw_comparison(batch, output, None, max_images=1)[0][1]
    panels = np.array_split(figure[:-30], 4, axis=1)
    rows, columns = np.nonzero(np.abs(panels[3].astype(int) - FALSE_POSITIVE).max(-1) < 30)
    width = panels[3].shape[1]
    assert abs(columns.min() / width - (0.05 + 0.4 / 3)) < 0.03
    assert abs(columns.max() / width - (0.05 + 0.8 / 3)) < 0.03
    assert len(rows) > 1000


def test_models_without_rois_and_batches_without_rois_are_drawn(tmp_path: Path) -> None:
    batch = make_batch()
    unet = SegmentationOutput(torch.zeros(0, 3, *MASK), prediction(batch, batch.roi_masks).aux)
    assert len(draw_comparison(batch, unet, None, max_images=2)) == 2
    empty = make_batch(rois=0)
    nobody = prediction(empty, empty.roi_masks)
    assert len(draw_comparison(empty, nobody, nobody, max_images=2)) == 2
    assert draw_comparison(batch, unet, None, max_images=0) == []


def test_written_figures_keep_their_colours(tmp_path: Path) -> None:
    rgb = np.zeros((4, 5, 3), np.uint8)
    rgb[..., 0] = 200
    write_figures(tmp_path / "new" / "folder", [("image_1", encode_png(rgb))])
    stored = cv2.imread(str(tmp_path / "new" / "folder" / "image_1.png"))
    assert stored is not None
    assert stored[..., ::-1].tolist() == rgb.tolist()
