"""What a model finds itself: measured on images whose persons are all annotated, by a model that knows the truth."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.evaluation.evaluate import Metrics, evaluate
from human_edge_detection.engine.evaluation.own_boxes import OwnBoxes
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.losses.detection import box_labels, centre_labels
from human_edge_detection.metrics.detection import METRICS
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult
from human_edge_detection.structures import Batch, SegmentationOutput

MASK_SIZE = (32, 24)


def people_of(root: Path, folder: Path, *, not_exhaustive: tuple[int, ...]) -> AnnotationSet:
    content = json.loads((root / "annotations" / "instances_val.json").read_text())
    for image in content["images"]:
        image["exhaustive"] = image["id"] not in not_exhaustive
    file = folder / "val.json"
    file.write_text(json.dumps(content))
    return read_annotations(file, root / "images" / "val")


class Knowing:
    """Finds every person of the batch that it is shown, and fills each box with one; or finds nobody."""

    def __init__(self, *, finds: bool) -> None:
        self.finds = finds
        self.asked = 0
        self.batch: Batch | None = None

    def __call__(self, images: Tensor, rois: Tensor) -> SegmentationOutput:
        assert self.batch is not None
        self.asked += len(images)
        logits = torch.tensor([-5.0, 5.0, -5.0]).view(1, 3, 1, 1).expand(len(rois), 3, *MASK_SIZE)
        centres = 20.0 * (centre_labels(self.batch) == 1.0).float()[:, None] - 10.0
        maps = {"centre_logits": centres if self.finds else torch.full_like(centres, -10.0)}
        maps["person_boxes"] = box_labels(self.batch)[:, :4]
        return SegmentationOutput(logits, maps)


def measured(people: AnnotationSet, model: Knowing) -> Metrics:
    dataset = PersonDataset(
        people, image_size=(192, 256), mask_size=MASK_SIZE, augmentation=None, max_rois=None, seed=0
    )

    def shown() -> Iterator[Batch]:
        for batch in validation_batches(dataset, batch_size=2, num_workers=0):
            model.batch = batch.to(torch.device("cpu"))
            yield batch

    cpu = torch.device("cpu")
    return evaluate(model, shown(), device=cpu, precision="fp32", mask_size=MASK_SIZE, own_boxes=OwnBoxes(people))


def test_who_finds_everybody_has_the_masks_of_the_true_boxes(tiny_coco: Path, tmp_path: Path) -> None:
    people = people_of(tiny_coco, tmp_path, not_exhaustive=())
    model = Knowing(finds=True)
    values = measured(people, model)
    found = [values[name] for name in ("recall10", "recall10_tall", "box_AP50")]
    assert found == pytest.approx([1.0, 1.0, 1.0])
    assert values["own_mask_AP50"] == pytest.approx(values["given_mask_AP50"], abs=0.02)
    assert model.asked == 2 * len(people.images), "once about the true boxes, once about its own"


def test_images_with_unknown_persons_are_left_out(
    tiny_coco: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = Knowing(finds=True)
    values = measured(people_of(tiny_coco, tmp_path, not_exhaustive=(1, 2, 3, 4)), model)
    assert [values[name] for name in METRICS] == [None] * len(METRICS)
    assert model.asked == 4
    assert "none of the 4 images is exhaustively labelled, so what the detector finds is not measured" in caplog.text


def test_nobody_found_is_a_score_of_nothing(tiny_coco: Path, tmp_path: Path) -> None:
    values = measured(people_of(tiny_coco, tmp_path, not_exhaustive=()), Knowing(finds=False))
    assert (values["recall10"], values["box_AP"], values["own_mask_AP"]) == (0.0, 0.0, 0.0)
    assert values["given_mask_AP50"] == pytest.approx(1.0, abs=0.1)


def test_a_run_with_a_detector_reports_what_it_finds(
    tiny_config: ExperimentConfig, train: Callable[..., RunResult], tmp_path: Path
) -> None:
    sizes = {"image_size": [32, 32], "roi_size": [8, 8], "mask_size": [16, 12]}
    config = derive(tiny_config, name="finder", model={**sizes, "detector": {}}, training={"epochs": 1})
    paths = RunPaths(tmp_path / "run")
    result = train(config, paths)
    assert set(METRICS) < set(result.metrics)
    assert result.metrics["box_AP"] is not None
    history = json.loads(paths.metrics.read_text().splitlines()[-1])
    assert {"train/detector/focal", "train/detector_box/giou"} < set(history)
