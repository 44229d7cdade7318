"""The self-test of ``hed doctor``."""

from pathlib import Path

import pytest

from human_edge_detection.errors import HumanEdgeDetectionError
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.selfcheck import verify_resume as engine
from human_edge_detection.selfcheck.self_test import self_test
from human_edge_detection.selfcheck.verify_resume import Verification


def test_a_resumed_run_that_differs_fails_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = RunPaths(tmp_path / "run")
    different = Verification(run, 8, (2,), 99, "latest.pth: model/x differs", "cpu", False, tmp_path)
    monkeypatch.setattr(engine, "verify_resume", lambda *_, **__: different)
    with pytest.raises(HumanEdgeDetectionError, match=r"a resumed run is not identical: latest\.pth: model/x differs"):
        self_test(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_fails_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    same = Verification(RunPaths(tmp_path / "run"), 8, (2,), 99, None, "cpu", False, tmp_path)
    monkeypatch.setattr(engine, "verify_resume", lambda *_, **__: same)
    message = r"the export ended with exit code 2 \(error: .*best_model\.pth: No such file"
    with pytest.raises(HumanEdgeDetectionError, match=message):
        self_test(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_it_passes_here(tmp_path: Path) -> None:
    assert "killed, resumed to the same" in self_test(tmp_path)
    assert list(tmp_path.iterdir()) == []
