"""Rows of every setting, and which of the reference's times each is divided by."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from constant_models import OURS, constant_model
from numpy.typing import NDArray

from human_edge_detection.benchmarking import providers, speed
from human_edge_detection.benchmarking.artefacts import Artefact
from human_edge_detection.benchmarking.records import Settings
from human_edge_detection.benchmarking.speed import measure_speed
from human_edge_prediction import AdapterError

DESCRIPTION = {"kind": "person_map", "input": {"size": [4, 6]}, "output": {"values": "probabilities"}}
PEOPLE = np.zeros((1, 1, 4, 6), np.float32)


@pytest.fixture
def artefacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Artefact]:
    """One of ours at two sizes, and a peer without rois."""
    monkeypatch.setattr(speed, "measure_memory", lambda artefact, *, provider, threads, rois: 10.0 + (rois or 0))
    made = []
    for height, width in ((4, 6), (8, 6)):
        path = tmp_path / f"{height}.onnx"
        outputs: dict[str, NDArray[Any]] = {
            "masks": np.zeros((1, 3, 2, 2), np.float32),
            "binary_masks": np.zeros((1, 1, height, width)),
        }
        constant_model(path, outputs, shape=(1, 3, height, width), metadata=OURS, rois=True)
        made.append(Artefact("ours", path, None, "trained", (height, width), "instances", takes_rois=True))
    path = constant_model(tmp_path / "peer.onnx", {"people": PEOPLE})
    return [*made, Artefact("peer", path, DESCRIPTION, "foreign", (4, 6), "person_map", takes_rois=False)]


def test_every_setting_has_a_row(artefacts: list[Artefact], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "other_providers", lambda: [])
    settings = Settings(threads=(1, 2), rois=(1, 5), rounds=3)
    measured = measure_speed(artefacts, "ours", settings)
    assert [(artefact.path.stem, row.rois, row.threads) for artefact, row in measured.rows] == [
        (name, rois, threads)
        for threads in (1, 2)
        for name, rois in (("4", 1), ("4", 5), ("8", 1), ("8", 5), ("peer", None))
    ]
    rows = [row for _, row in measured.rows]
    assert [row.memory_mib for row in rows[:5]] == [11.0, 15.0, 11.0, 15.0, 10.0]
    assert all(row.provider == "CPU" and row.median_ms > 0 for row in rows)
    assert [row.ratio for row in rows[:4]] == [1.0] * 4  # of itself, with the same size and rois
    assert rows[4].ratio is not None
    assert rows[0].file_mib == artefacts[0].path.stat().st_size / 2**20
    assert measured.notes == []


def test_a_provider_that_computes_nothing_has_no_rows_and_it_is_said(
    artefacts: list[Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the CPU's times never stand under another name."""
    shares = {"4": 0.0, "8": 0.5, "peer": 1.0}
    monkeypatch.setattr(speed, "other_providers", lambda: ["CPUExecutionProvider"])  # the only one that is always there
    monkeypatch.setattr(speed, "share_computed", lambda artefact, provider: shares[artefact.path.stem])
    measured = measure_speed(artefacts, "peer", Settings(rois=(1,), rounds=1))
    assert [artefact.path.stem for artefact, _ in measured.rows[3:]] == ["8", "peer"]
    assert measured.notes == [
        "ours: CPU computes 50% of the operators, the CPU the rest",
        "CPU has no rows of ours: it computes none of the operators, the CPU does",
    ]


def test_a_provider_that_fails_is_said(artefacts: list[Artefact], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(artefact: Artefact, provider: str) -> float:
        raise AdapterError("it does not start")

    monkeypatch.setattr(speed, "other_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(speed, "share_computed", fail)
    measured = measure_speed(artefacts[2:], "peer", Settings(rounds=1))
    assert measured.notes == ["peer: not measured on CUDA: it does not start"]
    assert len(measured.rows) == 1


def test_what_a_provider_computes_is_read_from_a_profile(artefacts: list[Artefact], tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    images, people = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 4, 6)) for name in ("images", "people")
    )
    graph = helper.make_graph([helper.make_node("Sin", ["images"], ["people"])], "sine", [images], [people])
    path = tmp_path / "sine.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    artefact = Artefact("sine", path, DESCRIPTION, "foreign", (4, 6), "person_map", takes_rois=False)
    assert providers.share_computed(artefact, "CPUExecutionProvider") == 1.0


def test_what_asks_another_machine_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["CUDAExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    assert providers.other_providers() == ["CUDAExecutionProvider"]
