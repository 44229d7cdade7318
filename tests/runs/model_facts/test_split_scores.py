"""Scores on a test split count for the weights, annotations and images that they are of, and for no others."""

from pathlib import Path

import pytest
from made_up_runs import WriteRun, made_up_counts, sha256_of, write_counted_run, write_tested, write_weights

from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.model_facts.split_scores import (
    SplitScores,
    how_to_test,
    own_test_split,
    read_split_counts,
    split_scores_of,
    why_untested,
)
from human_edge_detection.runs.paths import RunPaths

NOWHERE = DataConfig(root="nowhere")


@pytest.fixture
def run(tmp_path: Path, write_run: WriteRun) -> RunPaths:
    """A run that was tested."""
    counts = made_up_counts()
    paths = write_counted_run(write_run, tmp_path / "experiments" / "run", get_config("quickstart_student_b0"), counts)
    write_tested(paths, counts)
    return paths


def test_what_is_stored_is_read_again(run: RunPaths) -> None:
    scores = split_scores_of(run)
    assert scores is not None
    assert (scores.images, scores.metrics) == (60, {"miou": 0.4, "AP": None})
    assert read_split_counts(run, scores) == made_up_counts()
    assert why_untested(run, NOWHERE) is None
    assert {run.test_scores, run.test_per_image} <= {*run.own}, "--restart deletes them"


def test_scores_of_other_weights_do_not_count(run: RunPaths) -> None:
    write_weights(run.best, "trained on")
    assert split_scores_of(run) is None
    assert why_untested(run, NOWHERE) == "its test scores are of other weights than best_model.pth"


def test_scores_are_of_the_annotations_as_they_are_now(run: RunPaths, tmp_path: Path) -> None:
    annotations = tmp_path / "test.json"
    annotations.write_text("test")
    own = DataConfig(root="nowhere", test_ann=str(annotations), test_images=str(tmp_path))
    assert why_untested(run, own) is None
    annotations.write_text("other")
    assert why_untested(run, own) == f"its test scores are of other annotations than {annotations} is now"
    write_tested(run, made_up_counts(), annotations=str(annotations), annotations_sha256=sha256_of("other"))
    assert why_untested(run, own) is None
    annotations.write_text("changed")
    assert "other annotations" in str(why_untested(run, NOWHERE)), "also where the run names no test split"


def test_counts_belong_to_their_scores(run: RunPaths) -> None:
    run.test_per_image.write_text(made_up_counts(seed=1).model_dump_json())
    assert why_untested(run, NOWHERE) == "test_per_image.json is missing, or not that of its test scores"
    run.test_per_image.unlink()
    assert "missing" in str(why_untested(run, NOWHERE))
    run.test_scores.write_text("{")
    with pytest.raises(CheckpointError, match="hed evaluate --split test makes it anew"):
        why_untested(run, NOWHERE)
    run.test_scores.unlink()
    assert why_untested(run, NOWHERE) == "it has no test scores"


def test_where_a_test_split_lies(tested_coco: Path, tiny_coco: Path, tmp_path: Path) -> None:
    by_root = own_test_split(DataConfig(root=str(tested_coco)), tmp_path)
    assert by_root == (tested_coco / "annotations/instances_test.json", tested_coco / "images/test")
    named = DataConfig(root=str(tested_coco), test_ann="t.json", test_images="t")
    assert own_test_split(named, tmp_path) == (Path("t.json"), Path("t"))
    for without in (DataConfig(root=str(tiny_coco)), DataConfig(), DataConfig.model_validate({"sample": {}})):
        assert own_test_split(without, tested_coco) is None
    assert own_test_split(DataConfig.model_validate({"sample": {"test_images": 4}}), tested_coco) == by_root


def test_the_digest_of_the_scores_is_filled_in(run: RunPaths) -> None:
    assert len(SplitScores.model_validate_json(run.test_scores.read_bytes()).per_image_sha256) == 64


def test_a_finished_run_is_told_how_to_be_tested_on_what_it_does_not_name(run: RunPaths) -> None:
    assert how_to_test(run, NOWHERE) is None
    given = how_to_test(run, DataConfig(root="nowhere", test_ann="t.json", test_images="t"))
    assert given is not None
    assert f"hed evaluate {run.root} --split test --test_ann t.json --test_images t" in given
    config = get_config("quickstart_student_b0")
    named = config.model_copy(update={"data": DataConfig(root="nowhere", test_ann="t.json", test_images="t")})
    write_json(run.config, named.model_dump(mode="json"))
    assert how_to_test(run, named.data) is None
