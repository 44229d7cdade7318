from pathlib import Path

import pytest
from carded_runs import DISTILLED, METRICS, SOURCES, MakeRun
from made_up_runs import write_weights

from human_edge_detection.runner.model_card import facts as facts_module
from human_edge_detection.runner.model_card.facts import Facts, facts_of
from human_edge_detection.runner.model_card.gain import controls_in
from human_edge_detection.runs.checkpoint_config import CheckpointHead


def test_a_run_says_all_that_it_wrote_down(facts: Facts) -> None:
    assert facts.metrics == METRICS
    low, high = facts.intervals["miou"]
    assert 0 < high - low < 0.2
    assert facts.sources is not None
    assert facts.sources.train.images == 8
    assert facts.result is not None
    assert facts.gain is None, "nobody asked to compare"


def test_distillation_is_compared_with_its_control_alone(make_run: MakeRun, tmp_path: Path) -> None:
    taught = make_run("distilled", DISTILLED, skill=0.8, teacher_checkpoint="teacher.pth")
    assert facts_of(taught.best, controls_in(tmp_path / "experiments")).gain is None
    make_run("control", skill=0.7)
    make_run("other", "rgb_hierarchical_unet_v2_student_edge_tiny")
    gain = facts_of(taught.best, controls_in(tmp_path / "experiments")).gain
    assert gain is not None
    assert (gain.control, gain.metric, gain.difference.verdict) == ("control", "miou", "better")
    assert 0.05 < gain.difference.mean < 0.3


def test_what_is_of_other_weights_does_not_count(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("student", sources=SOURCES)
    write_weights(run.best, "trained on")
    facts = facts_of(run.best)
    assert (facts.counts, facts.intervals) == (None, {})
    config = facts.config
    monkeypatch.setattr(facts_module, "head_of_checkpoint", lambda _: CheckpointHead(config, 7, {"miou": 0.9}, "data"))
    later = facts_of(run.best)
    assert later.result is None, "of the run before it went on"
    assert later.metrics == {"miou": 0.9}
    assert later.sources is not None


def test_a_checkpoint_alone_says_what_it_knows(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = facts_of(make_run("student").best).config
    monkeypatch.setattr(facts_module, "head_of_checkpoint", lambda _: CheckpointHead(config, 3, {"miou": 0.4}, ""))
    alone = tmp_path / "mail" / "best_model.pth"
    write_weights(alone, "copied")
    facts = facts_of(alone)
    assert (facts.epoch, facts.metrics, facts.data_fingerprint) == (3, {"miou": 0.4}, None)
    assert (facts.result, facts.sources, facts.contents, facts.provenance) == (None, None, None, {})


def test_a_damaged_file_of_the_run_is_a_warning(make_run: MakeRun, caplog: pytest.LogCaptureFixture) -> None:
    run = make_run("student", sources=SOURCES)
    run.result.write_text("{")
    run.per_image.write_text("[]")
    facts = facts_of(run.best)
    assert (facts.result, facts.counts) == (None, None)
    assert caplog.text.count("model card: ") == 2
