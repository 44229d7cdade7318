from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.engine.teaching import remembered_scores as module
from human_edge_detection.engine.teaching.remembered_scores import remembered_metrics
from human_edge_detection.experiments.schema.model import ModelConfig

SIZES = ModelConfig()
METRICS = {"miou": 0.5123456789012345, "iou_target": None}


@pytest.fixture
def people(tiny_coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnnotationSet:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (file,) = (tiny_coco / "annotations").glob("*val*.json")
    return replace(read_annotations(file, tiny_coco / "images" / "val"), images_fingerprint="images")


@pytest.fixture
def ask(people: AnnotationSet) -> Callable[..., bool]:
    """Whether a teacher is measured when its metrics are asked for."""

    def asked(
        sha256: str = "teacher", data: AnnotationSet = people, sizes: ModelConfig = SIZES, precision: str = "fp32"
    ) -> bool:
        measured: list[bool] = []

        def measure() -> dict[str, float | None]:
            measured.append(True)
            return dict(METRICS)

        device = torch.device("cpu")
        found = remembered_metrics(sha256, data, sizes, device=device, precision=precision, measure=measure)  # type: ignore[arg-type]
        assert found == METRICS
        return bool(measured)

    return asked


def test_a_teacher_is_measured_once_on_the_same_images(ask: Callable[..., bool]) -> None:
    assert [ask(), ask()] == [True, False]


def test_whatever_may_change_the_score_is_measured_again(
    ask: Callable[..., bool], people: AnnotationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask()
    assert ask(sha256="another")
    assert ask(data=replace(people, sha256="others"))
    assert ask(data=replace(people, images_fingerprint="noise"))
    assert ask(sizes=SIZES.model_copy(update={"mask_size": (8, 8)}))
    assert ask(precision="bf16")
    monkeypatch.setattr(module, "git_commit", lambda: "another version of this tool")
    assert ask()


def test_images_that_nobody_read_are_not_remembered(ask: Callable[..., bool], people: AnnotationSet) -> None:
    unknown = replace(people, images_fingerprint=None)
    assert [ask(data=unknown), ask(data=unknown)] == [True, True]


def test_a_cache_that_is_damaged_or_cannot_be_written_costs_only_time(ask: Callable[..., bool], tmp_path: Path) -> None:
    ask()
    (file,) = (tmp_path / "human-edge-detection" / "teacher_scores").iterdir()
    file.write_text("{")
    assert [ask(), ask()] == [True, False]
    file.unlink()
    file.parent.rename(tmp_path / "moved")
    file.parent.write_text("a file where the folder should be")
    assert [ask(), ask()] == [True, True]
