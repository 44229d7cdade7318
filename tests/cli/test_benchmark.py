"""``hed benchmark`` as the user gets it; what it measures is tested below ``tests/benchmarking``."""

import json
from pathlib import Path

import numpy as np
import pytest
from constant_models import OURS, constant_model

from human_edge_detection.benchmarking import speed
from human_edge_detection.cli.main import main
from human_edge_detection.limits import allowed_cores

DESCRIPTION = {"kind": "person_map", "input": {"size": [4, 6]}, "output": {"values": "probabilities"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of ours that sees nobody, and a peer that sees people everywhere; no real network."""
    monkeypatch.chdir(tmp_path)
    outputs = {"binary_masks": np.zeros((1, 1, 4, 6), np.float32)}
    constant_model(tmp_path / "ours.onnx", outputs, metadata=OURS)
    constant_model(tmp_path / "peer.onnx", {"people": np.ones((1, 1, 4, 6), np.float32)})
    (tmp_path / "peer.adapter.json").write_text(json.dumps(DESCRIPTION))
    return tmp_path


def test_ours_and_a_peer_stand_in_one_table(folder: Path, tiny_coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["benchmark", "ours.onnx", "peer.onnx", "--rounds", "2", "--data_root", str(tiny_coco)]
    assert main([*command, "--reference", "peer.onnx", "--image_sizes", "32", "--output", "mine"]) == 0
    shown = capsys.readouterr().out
    for expected in (
        "ours",
        "peer",
        "foreign",
        "4x6",
        "times of peer",
        "the only size that they take: ours (4x6), peer (4x6)",
        "4 images",
        "written:",
    ):
        assert expected in shown
    content = json.loads((folder / "mine" / "benchmark.json").read_text())
    ours, peer = content["rows"]
    assert (ours["person_iou"], ours["miou"]) == (0.0, None)
    assert 0 < peer["person_iou"] < 1
    assert peer["ratio"] == 1.0
    assert content["data"]["images"] == 4
    assert sorted(path.name for path in (folder / "mine").iterdir()) == [
        "benchmark.csv",
        "benchmark.json",
        "pareto.png",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "model nothing: no file that ends in .onnx"),
        (["bare.onnx"], "describe it in bare.adapter.json beside it"),
        (["broken.onnx"], "ONNX Runtime cannot open it"),
        (["text.onnx", "--adapter", "text.onnx=peer.onnx"], "--adapter peer.onnx: not a JSON or YAML text"),
        (["peer.onnx", "--adapter", "peer.onnx"], "--adapter peer.onnx: expected MODEL=FILE"),
        (["peer.tflite"], "ai-edge-litert is not installed"),
        (
            ["ours.onnx", "--image_sizes", "100"],
            "--image_sizes: sides must be multiples of 32, from 32 to 4096, got 100x100",
        ),
        (["ours.onnx", "--image_sizes", "32x"], "expected a side or HEIGHTxWIDTH"),
        (["ours.onnx", "--threads", "1", "0"], "--threads: expected 1 to 1024, got 1, 0"),
        (["ours.onnx", "--rois", "0"], "--rois: expected 1 to 1000, got 0"),
        (["ours.onnx", "--rounds", "0"], "--rounds: expected 1 to 100000, got 0"),
        (["ours.onnx", "--reference", "gone"], "model gone: no file"),
        (["ours.onnx", "--data_root", "gone"], "data folder gone does not exist"),
        (["ours.onnx", "--output", "ours.onnx"], "ours.onnx is not a folder"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert", None)
    constant_model(folder / "bare.onnx", {"people": np.zeros((1, 1, 4, 6), np.float32)})
    (folder / "broken.onnx").write_bytes(b"no model")
    (folder / "text.onnx").touch()
    (folder / "peer.tflite").touch()
    assert main(["benchmark", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")
    assert not (folder / "experiment_benchmark").exists()


def test_outputs_that_are_not_as_described_are_found_before_anything_is_timed(
    folder: Path, tiny_coco: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    constant_model(folder / "peer.onnx", {"people": np.full((1, 1, 4, 6), 7, np.float32)})
    assert main(["benchmark", "ours.onnx", "peer.onnx", "--data_root", str(tiny_coco)]) == 2
    error = capsys.readouterr().err
    assert "adapter of peer: output 0: expected values in [0, 1], got 7 to 7; say 'logits'" in error
    assert error.count("\n") == 1, "nothing was timed"


def test_what_a_time_is_of_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "measure_memory", lambda *_, **__: None)
    monkeypatch.setattr(speed, "other_providers", list)
    found = {"boxes": np.array([[0, 0, 0, 0.5, 1]], np.float32), "scores": np.ones(1, np.float32)}
    outputs = {"masks": np.zeros((1, 3, 2, 2), np.float32), "binary_masks": np.zeros((1, 1, 4, 6), np.float32)}
    constant_model(folder / "finder.onnx", found | outputs, metadata=OURS)
    many = allowed_cores() + 1
    assert main(["benchmark", "finder.onnx", "--rounds", "1", "--threads", "1", str(many)]) == 0
    shown = capsys.readouterr().out
    assert "finder finds the persons itself, 1 on the image that is timed" in shown
    assert f"{many} threads on " in shown


@pytest.mark.slow  # two real exports
def test_an_experiment_and_its_sizes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["benchmark", "quickstart_student_b0", "peer.onnx", "--image_sizes", "64", "96x64", "--rois", "1", "3"]
    assert main([*command, "--rounds", "3"]) == 0
    rows = json.loads((folder / "experiment_benchmark" / "benchmark.json").read_text())["rows"]
    own = [(row["image_height"], row["image_width"], row["rois"], row["weights"]) for row in rows[:4]]
    assert own == [(64, 64, 1, "random"), (64, 64, 3, "random"), (96, 64, 1, "random"), (96, 64, 3, "random")]
    assert rows[2]["median_ms"] > rows[0]["median_ms"] * 0.8
    assert all(row["memory_mib"] > 5 for row in rows[:4])
    assert "random" in capsys.readouterr().out
