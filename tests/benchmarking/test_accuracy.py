"""Scores of exported files are those of ``hed evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from human_edge_detection.benchmarking.accuracy import person_ious, roi_metrics
from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import person_mask, read_scene
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import build_model, build_validation_set
from human_edge_detection.engine.evaluation.evaluate import evaluate, predictor
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.exporters.exportable import ExportableStudent
from human_edge_detection.files.data_folder import find_split
from human_edge_detection.metrics.coco_ap import CocoMaskAp
from human_edge_prediction.description import ImageInput
from human_edge_prediction.models.model import Model
from human_edge_prediction.models.own import OwnModel


class Network(OwnModel):
    """A network of PyTorch in the place of the file that would be exported from it."""

    def __init__(self, config: ExperimentConfig) -> None:
        torch.manual_seed(0)
        self.student = ExportableStudent(build_model(config.model)).eval()
        self.input = ImageInput(size=config.model.image_size)
        self._takes_rois, self._mask_size = True, config.model.mask_size

    @property
    def mask_size(self) -> tuple[int, int]:
        return self._mask_size

    @torch.no_grad()
    def run(self, images: NDArray[np.float32], rois: NDArray[np.float32]) -> dict[str, Any]:
        masks, people = self.student(torch.from_numpy(images), torch.from_numpy(rois))
        return {"masks": masks.numpy(), "binary_masks": people.numpy()}


class Maps(Model):
    """Gives person maps that are known beforehand, one after the other."""

    kind = "person_map"

    def __init__(self, maps: list[NDArray[np.float32]]) -> None:
        self.maps = iter(maps)

    def person_map(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return next(self.maps)


class Boxes(Model):
    kind = "boxes"

    def __init__(self) -> None: ...


@pytest.mark.usefixtures("small_networks")
def test_an_export_scores_as_the_network_that_it_was_made_from(tiny_config: ExperimentConfig, tiny_coco: Path) -> None:
    people = read_annotations(*find_split(tiny_coco, "val"))
    model = Network(tiny_config)
    images = []
    found = roi_metrics(model, people, after_image=lambda: images.append(1))
    expected = evaluate(
        predictor(model.student.model),
        validation_batches(build_validation_set(tiny_config.model, people), batch_size=3, num_workers=0),
        device=torch.device("cpu"),
        precision="fp32",
        mask_size=tiny_config.model.mask_size,
        coco_ap=CocoMaskAp(people.file),
    )
    assert found == pytest.approx(expected, abs=1e-4)
    assert {"miou", "AP", "full_image_iou"} <= found.keys()
    assert len(images) == len(people.images)


def truths(people: AnnotationSet) -> list[NDArray[np.uint8]]:
    return [person_mask(read_scene(people, one), (one.height, one.width)) for one in people.images]


def test_person_maps_are_scored_on_all_pixels_that_count(tiny_coco: Path) -> None:
    people = read_annotations(*find_split(tiny_coco, "train"))  # with a crowd region
    masks = truths(people)
    assert any((mask == 255).any() for mask in masks)
    right = [(mask == 1).astype(np.float32) for mask in masks]
    in_crowd = [np.where(mask == 255, np.float32(1), good) for mask, good in zip(masks, right, strict=True)]
    half = [good * (np.arange(good.shape[1]) % 2) for good in right]
    everywhere = [np.ones_like(good) for good in right]
    models = [Maps(right), Maps(in_crowd), Maps(half), Maps(everywhere), Boxes()]
    found = person_ious(models, people, after_image=lambda: None)
    person, counted = sum((mask == 1).sum() for mask in masks), sum((mask != 255).sum() for mask in masks)
    assert found[:2] == [1.0, 1.0]
    assert found[2] == pytest.approx(sum(one.sum() for one in half) / person)
    assert found[3] == pytest.approx(person / counted)
    assert found[4] is None
