from pathlib import Path

import cv2
import numpy as np
import pytest
from pipelines import transform, write_pipeline

from human_edge_detection.engine.evaluation import view_figure
from human_edge_detection.engine.evaluation.view_figure import draw_training_views
from human_edge_detection.engine.evaluation.visualize import GAP
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive

PANEL = (view_figure._PANEL_WIDTH, view_figure._PANEL_WIDTH)


def config(**augmentation: object) -> ExperimentConfig:
    sample = {"train_images": 5, "val_images": 2, "image_size": [96, 128]}
    changes = {"sample": sample, "augmentation": augmentation or None}
    return derive(get_config("quickstart_student_b0"), name="views", data=changes, model={"image_size": [96, 96]})


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written into figures, line by line."""
    lines: list[str] = []

    def write(canvas: object, text: str, *place: object, **style: object) -> None:
        lines.append(text.strip())

    monkeypatch.setattr(view_figure, "write_text", write)
    return lines


def test_views_of_a_pipeline_are_shown_with_the_transforms_that_made_them(tmp_path: Path, written: list[str]) -> None:
    flip, noise = transform("HorizontalFlip"), transform("GaussNoise", std_range=[0.1, 0.2])
    file = write_pipeline(tmp_path / "pipeline.json", flip, noise)
    figure = draw_training_views(config(pipeline=str(file), box_jitter=0.0), tmp_path / "drawn")
    assert figure.dtype == np.uint8 and figure.shape[2] == 3
    assert figure.shape[1] == 5 * (PANEL[1] + GAP)
    assert written.count("HorizontalFlip") == 4 * 4
    text = " ".join(written)
    for expected in ("train_00000.jpg, as it is", "epoch 4", "drawn by pipeline.json:", "std_range (0.1, 0.2)"):
        assert expected in text
    # In the first row, the first view is the image as it is, mirrored.
    left, right = (figure[: PANEL[0], start : start + PANEL[1]].astype(int) for start in (GAP, 2 * GAP + PANEL[1]))
    assert cv2.blur(np.abs(left[:, ::-1] - right).astype(np.float32), (9, 9)).mean() < 40
    assert np.abs(left[:, ::-1] - right).mean() < np.abs(left - right).mean()


def test_built_in_views_are_shown_with_what_was_drawn(tmp_path: Path, written: list[str]) -> None:
    only_color = {"horizontal_flip": 0.0, "scale": [1.0, 1.0], "translate": 0.0, "rotate": 0.0, "blur": 0.0}
    draw_training_views(config(**only_color, color=0.3), tmp_path / "drawn")
    assert sum(line.startswith("brightness ") and "contrast" in line for line in written) == 4 * 4
    assert "flip: probability 0" in written and "flip" not in written


def test_without_augmentation_nothing_changes(tmp_path: Path, written: list[str]) -> None:
    figure = draw_training_views(config(), tmp_path / "drawn")
    assert written.count("nothing changed") == 4 * 4
    assert "data.augmentation is null: views are the images as they are" in written
    start = GAP
    for number in range(1, 5):
        other = start + number * (PANEL[1] + GAP)
        np.testing.assert_array_equal(
            figure[: PANEL[0], other : other + PANEL[1]], figure[: PANEL[0], start : start + PANEL[1]]
        )


def test_pasted_persons_are_counted_and_where_they_come_from_is_said(tmp_path: Path, written: list[str]) -> None:
    draw_training_views(config(copy_paste={"probability": 1.0, "max_persons": 3}), tmp_path / "drawn")
    assert sum(line.startswith("pasted: ") and "of the pixels" in line for line in written) > 8
    assert "copy-paste: probability 1, up to 3 persons of other images" in " ".join(written)
