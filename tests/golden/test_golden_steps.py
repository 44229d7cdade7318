"""Twenty seeded steps of a distilled run, and the batches of two epochs, against recorded ones.

What changed the arithmetic without meaning to? A change that means to (another loss, another augmentation, another
order of the data) records them anew:

    HED_RECORD_GOLDEN=1 uv run pytest tests/golden/test_golden_steps.py

and the difference of the files in ``tests/golden`` goes into the same commit, with the reason.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from human_edge_detection.data.loader import training_batches
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.structures import CLASS_NAMES, IGNORE, Batch

pytestmark = pytest.mark.usefixtures("small_networks")

FOLDER = Path(__file__).parent
STEPS = 20
TOLERANCE = 1e-9
"""Relative, for each value of each step. Other processors move them by 1e-14; in float32 it was by 3e-3."""
ROUNDING = {"rois": 1e-5, "colours": 2e-3, "spread": 2e-3, "roi_masks": 4, "person_masks": 4}
"""Absolute: half a grey level in the mean of an image, a few pixels on the border of a mask; the rest is exact."""
BLOCKS = 4
"""Blocks along each side of a drawn mask."""


@pytest.fixture
def golden_config(tiny_config: ExperimentConfig, untrained_teacher: Path) -> ExperimentConfig:
    """Every part of the loss is on."""
    return derive(
        tiny_config,
        name="golden",
        model={"contour": {"loss_weight": 0.5}, "distance": {"loss_weight": 0.5}},
        loss={"boundary": {"weight": 2.0}, "class_weights": [1.0, 1.5, 2.0]},
        training={"epochs": 5, "learning_rate": 1e-4},
        distillation={"teacher_checkpoint": str(untrained_teacher)},
    )


def drawn_batches(config: ExperimentConfig) -> Iterator[Batch]:
    """Two random images with three rois each: images would bring the rounding of OpenCV with them."""
    random = torch.Generator().manual_seed(2)
    images, rois = 2, 6

    def masks(count: int, size: tuple[int, int], classes: int) -> Tensor:
        """Blocks of one class each, so that there are borders and distances."""
        blocks = torch.randint(0, classes + 1, (count, BLOCKS, BLOCKS), generator=random)
        blocks[blocks == classes] = IGNORE
        height, width = (side // BLOCKS for side in size)
        return blocks.repeat_interleave(height, 1).repeat_interleave(width, 2).to(torch.uint8)

    while True:
        low = torch.rand(rois, 2, generator=random) / 2
        high = low + 0.1 + 0.4 * torch.rand(rois, 2, generator=random)
        yield Batch(
            images=torch.rand(images, 3, *config.model.image_size, generator=random),
            rois=torch.cat([torch.arange(rois)[:, None] % images, low, high], dim=1),
            roi_masks=masks(rois, config.model.mask_size, len(CLASS_NAMES)),
            person_masks=masks(images, config.model.image_size, 2),
            image_ids=tuple(range(images)),
            annotation_ids=tuple(range(rois)),
        )


def recorded(name: str, values: Sequence[Any]) -> Any:
    """What the file ``name`` holds, after writing ``values`` there, one a line, if that is asked for."""
    file = FOLDER / name
    if os.environ.get("HED_RECORD_GOLDEN"):
        lines = ",\n".join(json.dumps(value) for value in values)
        file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.usefixtures("float64")
def test_twenty_steps_are_as_recorded(
    golden_config: ExperimentConfig, make_trainer: Callable[[ExperimentConfig], Trainer]
) -> None:
    trainer = make_trainer(golden_config)
    steps = [trainer.train_step([batch]) for batch in itertools.islice(drawn_batches(golden_config), STEPS)]
    expected = recorded("distilled_steps.json", steps)
    assert len(steps) == len(expected)
    for number, (step, then) in enumerate(zip(steps, expected, strict=True), start=1):
        assert step == pytest.approx(then, rel=TOLERANCE), f"step {number}"


def test_two_epochs_of_batches_are_as_recorded(
    tiny_config: ExperimentConfig, make_trainer: Callable[[ExperimentConfig], Trainer]
) -> None:
    stream = training_batches(
        make_trainer(tiny_config).parts.training_set,
        batch_size=2,
        seed=0,
        start_epoch=0,
        start_batch=0,
        epochs=2,
        num_workers=0,
    )
    batches = [summary(batch) for batch in stream]
    expected = recorded("batches.json", batches)
    assert len(batches) == len(expected)
    for number, (batch, then) in enumerate(zip(batches, expected, strict=True), start=1):
        for name, value in batch.items():
            assert value == pytest.approx(then[name], abs=ROUNDING.get(name, 0)), f"batch {number}, {name}"


def summary(batch: Batch) -> dict[str, list[float]]:
    """What is in a batch, as means and sums that one pixel rounded otherwise hardly moves."""
    classes = [*range(len(CLASS_NAMES)), IGNORE]
    images = batch.to(torch.device("cpu")).images
    return {
        "image_ids": [*batch.image_ids],
        "annotation_ids": [*batch.annotation_ids],
        "rois": batch.rois.flatten().tolist(),
        "colours": images.mean(dim=(2, 3)).flatten().tolist(),
        "spread": images.std(dim=(2, 3)).flatten().tolist(),
        "roi_masks": [int((mask == kind).sum()) for mask in batch.roi_masks for kind in classes],
        "person_masks": [int((mask == kind).sum()) for mask in batch.person_masks for kind in classes],
    }
