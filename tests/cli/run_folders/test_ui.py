"""``hed ui``: it writes the address, ends with Ctrl-C, and refuses a folder that is none of its own in one line."""

import os
from pathlib import Path

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.ui.server import UiServer


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes at once."""

    def serve(self: UiServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(UiServer, "serve_forever", serve)


def test_the_address_is_written_and_ctrl_c_ends_it(
    interrupted: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ui", str(tmp_path / "new"), "--port", "0"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{tmp_path / 'new'}: http://127.0.0.1:")
    assert err == ""
    assert not (tmp_path / "new").exists()


def test_another_interface_is_warned_of(interrupted: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", str(tmp_path), "--port", "0", "--host", "0.0.0.0"]) == 0
    assert "may start processes as you" in capsys.readouterr().err


def test_a_run_and_a_foreign_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "status.json").write_text("{}")
    assert main(["ui", str(run)]) == 2
    assert "give the folder of all runs" in capsys.readouterr().err
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert main(["ui", str(tmp_path / "new" / "deeper")]) == 2
    assert f"error: {tmp_path}: cannot be written" in capsys.readouterr().err
