from pathlib import Path

import pytest
from carded_runs import SOURCES, MakeRun

from human_edge_detection.runner.model_card import write as write_module
from human_edge_detection.runner.model_card.facts import Facts, facts_of
from human_edge_detection.runner.model_card.write import write_card, write_cards


def test_a_card_lies_beside_its_model_and_is_replaced(facts: Facts, tmp_path: Path) -> None:
    onnx = tmp_path / "small.onnx"
    assert write_card(facts, onnx, None, None) == tmp_path / "small.md"
    (tmp_path / "small.md").write_text((tmp_path / "small.md").read_text()[:200])
    write_card(facts, onnx, None, None)
    assert "`small.detect.onnx` takes" in (tmp_path / "small.md").read_text()


def test_a_file_of_the_users_stays(facts: Facts, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("my own words")
    assert write_card(facts, tmp_path / "README.onnx", None, None) is None
    assert readme.read_text() == "my own words"
    assert "stays as it is" in caplog.text


def test_a_batch_writes_the_cards_of_what_it_exported(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [make_run("one", sources=SOURCES), make_run("two"), make_run("not_exported")]
    monkeypatch.setattr(write_module, "is_exported", lambda run: run.root.name != "not_exported")
    damaged = runs[1]
    damaged.parity.write_text("{")
    assert write_cards(runs) is None
    assert "5 images: CC BY 2.0" in runs[0].onnx.with_suffix(".md").read_text()
    assert f"model card of {damaged.root}: " in caplog.text
    assert not runs[2].onnx.with_suffix(".md").exists()
    assert facts_of(runs[0].best).sources is not None


def test_an_interruption_is_handed_on(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt = KeyboardInterrupt()

    def stop(_: object) -> bool:
        raise interrupt

    monkeypatch.setattr(write_module, "is_exported", stop)
    assert write_cards([make_run("one")]) is interrupt
