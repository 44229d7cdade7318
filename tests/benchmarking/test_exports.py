"""The latency of made-up exports, as a batch has it measured."""

import logging
from pathlib import Path

import numpy as np
import pytest
from constant_models import OURS, constant_model

from human_edge_detection.benchmarking import exports
from human_edge_detection.benchmarking.exports import LEAST_ROUNDS, ROIS, ROUNDS, THREADS, measure_exports
from human_edge_detection.files.read import file_sha256
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import LatencyReport, read_section

OUTPUTS = {"binary_masks": np.zeros((1, 1, 4, 6), np.float32)}


def write_export(root: Path, *, rois: bool = True) -> RunPaths:
    paths = RunPaths(root)
    paths.checkpoints.mkdir(parents=True)
    constant_model(paths.onnx, OUTPUTS, metadata=OURS, rois=rois)
    return paths


def test_each_run_has_the_figures_of_one_measurement(tmp_path: Path) -> None:
    runs = [write_export(tmp_path / "whole"), write_export(tmp_path / "unet", rois=False)]
    measure_exports(runs)
    found = [read_section(LatencyReport, paths.latency) for paths in runs]
    whole, unet = (report for report in found if report is not None)
    assert (whole.rois, unet.rois) == (ROIS, None)
    assert whole.together_with == unet.together_with
    assert [one.onnx_sha256 for one in (whole, unet)] == [file_sha256(paths.onnx) for paths in runs]
    assert (whole.image_size, whole.threads, whole.rounds) == ((4, 6), THREADS, ROUNDS)
    assert 0 < whole.median_ms <= whole.p95_ms
    measure_exports(runs)
    again = read_section(LatencyReport, runs[1].latency)
    assert again is not None and again.together_with != unet.together_with


def test_slow_models_have_fewer_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_export(tmp_path / "run")
    monkeypatch.setattr(exports, "SECONDS", 0.0)
    measure_exports([paths])
    report = read_section(LatencyReport, paths.latency)
    assert report is not None and report.rounds == LEAST_ROUNDS


def test_what_cannot_be_measured_is_one_warning_and_the_others_are_measured(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, damaged, gone = write_export(tmp_path / "good"), write_export(tmp_path / "damaged"), RunPaths(tmp_path / "no")
    in_the_way = write_export(tmp_path / "in_the_way")
    in_the_way.latency.mkdir()
    damaged.onnx.write_bytes(b"no model")
    with caplog.at_level(logging.WARNING):
        measure_exports([damaged, gone, in_the_way, good])
    assert good.latency.is_file()
    assert not damaged.latency.exists() and not gone.root.exists()
    messages = [record.getMessage() for record in caplog.records]
    assert [message.partition(": not measured: ")[0] for message in messages] == [
        f"latency of {paths.root}" for paths in (damaged, gone, in_the_way)
    ]


def test_a_run_that_is_renamed_meanwhile_is_not_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_export(tmp_path / "run")

    def renamed() -> str:
        paths.root.rename(tmp_path / "elsewhere")
        return "a processor"

    monkeypatch.setattr(exports, "processor_name", renamed)
    measure_exports([paths])
    assert not paths.root.exists()
