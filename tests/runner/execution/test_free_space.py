"""The estimate of what a batch writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest

from human_edge_detection.errors import StorageError
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.experiments.schema.encoders import Encoder
from human_edge_detection.experiments.schema.experiment import derive
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.runner.execution.free_space import (
    UNET_PARAMETERS,
    batch_need,
    check_free_space,
    kept_bytes,
    model_parameters,
)
from human_edge_detection.runner.execution.plan import plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runs.paths import RunPaths

TEACHER, STUDENT, DISTILLED = expand(["quickstart"])[:3]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_every_encoder_has_its_size() -> None:
    assert set(UNET_PARAMETERS) == set(get_args(Encoder))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", get_args(Encoder))
def test_the_sizes_are_those_of_the_models(encoder: Encoder) -> None:
    from human_edge_detection.engine.model_cost import describe_model

    cases: list[dict[str, Any]] = [
        {},
        {"contour": {}, "distance": {}},
        {"head": "plain"},
        {"head": "none"},
        {"head_channels": 64},
    ]
    for fields in cases:
        config = ModelConfig.model_validate({"encoder": encoder, **fields})
        described = describe_model(config)
        assert described.unet_parameters == UNET_PARAMETERS[encoder]
        assert model_parameters(config) == pytest.approx(described.total_parameters, rel=0.01)


def test_the_estimate_is_near_a_real_run() -> None:
    """Two epochs of the B0 student on images took 247 MB, ONNX file included; the teacher 494 MB."""
    student = get_config("rgb_hierarchical_unet_v2_student_b0")
    big = get_config("rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r80x60m160x120_disttrans_contdet_baware")
    for config, taken in ((student, 247e6), (big, 494e6)):
        short = derive(config, name="short", training={"epochs": 2})
        assert taken < kept_bytes(short, export_onnx=True) < 1.2 * taken


def test_a_moving_average_and_more_checkpoints_need_more() -> None:
    config = get_config(STUDENT)
    more = [{"ema": {}}, {"keep_last": 5}, {"keep_every": 2}, {"visualize_images": 32}]
    for changes in more:
        changed = derive(config, name="more", training=changes)
        assert kept_bytes(changed, export_onnx=False) > kept_bytes(config, export_onnx=False)


def test_a_batch_that_does_not_fit_is_refused_with_need_free_place_and_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = plan(BatchRequest(names=(TEACHER, STUDENT), output_dir=tmp_path / "not" / "yet"))
    need = batch_need(runs, export_onnx=False)
    asked: list[Path] = []

    def usage(free: int) -> Callable[[Path], Usage]:
        def of(place: Path) -> Usage:
            asked.append(place)
            return Usage(10**12, 0, free)

        return of

    monkeypatch.setattr("human_edge_detection.runner.execution.free_space.shutil.disk_usage", usage(need))
    check_free_space(runs, tmp_path / "not" / "yet", export_onnx=False)
    monkeypatch.setattr("human_edge_detection.runner.execution.free_space.shutil.disk_usage", usage(need - 1))
    with pytest.raises(StorageError, match=r"the 2 runs .* need about .* GB, and .* GB are free .* choose another"):
        check_free_space(runs, tmp_path / "not" / "yet", export_onnx=False)
    assert set(asked) == {tmp_path}


def test_what_is_there_counts(tmp_path: Path, write_run: Callable[..., RunPaths]) -> None:
    def need(**request: Any) -> int:
        return batch_need(plan(BatchRequest(names=(STUDENT,), output_dir=tmp_path, **request)), export_onnx=False)

    new = need()
    paths = write_run(tmp_path / STUDENT, get_config(STUDENT), state="interrupted")
    checkpoint = paths.epoch_checkpoint(1)
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(bytes(1_000_000))
    checkpoint.with_name("latest.pth").hardlink_to(checkpoint)
    other_run = RunPaths(paths.root / "seed_1").latest
    other_run.parent.mkdir(parents=True)
    other_run.write_bytes(bytes(3_000_000))
    assert new - need() == pytest.approx(1_000_000, abs=10_000)
    write_run(tmp_path / STUDENT, get_config(STUDENT))
    assert need() == 0
    assert need(restart=True) == pytest.approx(new - 1_000_000, abs=10_000)
