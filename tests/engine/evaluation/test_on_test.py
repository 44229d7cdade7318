"""Scores on a test split are kept in the folder of a run, where they are of its best weights."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_runs import made_up_counts

from human_edge_detection.data.annotations.coco import AnnotationSet, read_annotations
from human_edge_detection.engine.build import HeldOut
from human_edge_detection.engine.checkpoints.load import load_trained
from human_edge_detection.engine.evaluation import on_test
from human_edge_detection.engine.evaluation.evaluate_checkpoint import Evaluation
from human_edge_detection.errors import StorageError
from human_edge_detection.files.data_folder import find_split
from human_edge_detection.runs.model_facts.split_scores import read_split_counts, split_scores_of
from human_edge_detection.runs.paths import RunPaths


def measured(people: AnnotationSet, *, with_counts: bool) -> Evaluation:
    assert with_counts
    evaluation = Evaluation(
        "tiny", "best_model.pth", "sha", 2, str(people.file), str(people.images_dir), people.fingerprint, 4, 7, "cpu",
        "fp32", {"miou": 0.25},
    )  # fmt: skip
    return replace(evaluation, split="test", counts=made_up_counts())


def test_scores_of_the_best_weights_are_kept(
    trained_runs: Path, tiny_coco: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = replace(read_annotations(*find_split(tiny_coco, "val")), images_fingerprint="images")
    run = RunPaths(Path("experiments", "alone"))
    trained = load_trained(run.best)
    done = on_test.evaluate_on_test(trained, HeldOut(people, {"val": 4}), measured)
    assert done.scores_file is not None
    assert Path(done.scores_file).samefile(run.test_scores)
    kept = split_scores_of(run)
    assert kept is not None
    assert (kept.also_in, kept.images_fingerprint, kept.metrics) == ({"val": 4}, "images", {"miou": 0.25})
    assert kept.checkpoint_sha256 == trained.sha256
    assert read_split_counts(run, kept) == made_up_counts()
    assert {"counts"}.isdisjoint(done.to_json())

    other = run.checkpoints / "checkpoint_epoch_0001.pth"
    other.write_bytes(run.best.read_bytes())
    run.test_scores.unlink()
    assert on_test.evaluate_on_test(load_trained(other), HeldOut(people, {}), measured).scores_file is None
    assert not run.test_scores.exists()

    def full(*_: object) -> None:
        raise StorageError("no space left")

    monkeypatch.setattr(on_test, "write_split_scores", full)
    with caplog.at_level(logging.WARNING):
        assert on_test.evaluate_on_test(trained, HeldOut(people, {}), measured).metrics == {"miou": 0.25}
    assert "no space left; hed compare --split test will have to measure again" in caplog.text
