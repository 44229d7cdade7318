"""What is said of a source: how much it covers, and whether it goes with the annotations."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from external_answers import training_people, true_mask, true_results, write_maps, write_results

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.engine.teaching.external.coverage import (
    measure_coverage,
    warn_of_contradictions,
)
from human_edge_detection.engine.teaching.external.read_answers import read_answers
from human_edge_detection.errors import DataError


@pytest.fixture(scope="module")
def people(tiny_coco: Path) -> AnnotationSet:
    return training_people(tiny_coco)


def test_the_truth_covers_everything(people: AnnotationSet, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answers = read_answers(write_results(tmp_path / "results.json", true_results(people)), people)
    coverage = measure_coverage(answers, people)
    persons = int(people.images.person_counts.sum())
    assert (coverage.images, coverage.answered, coverage.others) == (8, 8, 0)
    assert (coverage.persons, coverage.matched, coverage.strangers) == (persons, persons, 0)
    assert (coverage.person_iou, coverage.matched_iou) == (1.0, 1.0)
    warn_of_contradictions(answers.source, coverage)
    assert "contradicts" not in caplog.text
    assert coverage.in_words == (
        f"answers to 8 of 8 training images, IoU of the person map 1.000, {persons} of {persons} persons matched (mean "
        "IoU 1.000), 0 instances match nobody"
    )


def test_gaps_are_counted(people: AnnotationSet, tmp_path: Path) -> None:
    results = [entry for entry in true_results(people) if entry["image_id"] != 1]
    moved = results[0] | {"segmentation": [[0, 0, 8, 0, 8, 8]]}
    foreign = results[1] | {"image_id": 500}
    answers = read_answers(write_results(tmp_path / "r.json", [moved, *results[1:], foreign]), people)
    coverage = measure_coverage(answers, people)
    persons = int(people.images.person_counts.sum()) - 2
    assert (coverage.answered, coverage.others, coverage.persons) == (7, 1, persons)
    assert (coverage.matched, coverage.strangers) == (persons - 1, 1)
    assert "answers to 7 of 8 training images, 1 to other images" in coverage.in_words


def test_answers_that_contradict_the_truth_are_warned_about(
    people: AnnotationSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_maps(tmp_path / "maps", people)
    for record in people.images:
        cv2.imwrite(str(folder / record.file_name), 255 - 255 * true_mask(record))
    answers = read_answers(folder, people)
    coverage = measure_coverage(answers, people)
    warn_of_contradictions(answers.source, coverage)
    assert coverage.person_iou == 0.0
    assert "contradicts the annotations: IoU of its person map with them 0.000 (expected 0.4 and more)" in caplog.text
    halves = [entry | {"segmentation": [[0, 0, 8, 0, 8, 8 + k]]} for k, entry in enumerate(true_results(people))]
    answers = read_answers(write_results(tmp_path / "r.json", halves), people)
    warn_of_contradictions(answers.source, measure_coverage(answers, people))
    assert "only 0 of" in caplog.text


def test_maps_of_zeros_and_ones_are_not_taken_for_probabilities_near_zero(
    people: AnnotationSet, tmp_path: Path
) -> None:
    folder = write_maps(tmp_path / "maps", people)
    for record in people.images:
        cv2.imwrite(str(folder / record.file_name), true_mask(record))
    with pytest.raises(DataError, match=r"maps: no probability above 0\.0039 in any map; 255 \(8 bit\) or 65535"):
        measure_coverage(read_answers(folder, people), people)


def test_a_map_of_another_size_is_found_before_anything_is_taught(people: AnnotationSet, tmp_path: Path) -> None:
    folder = write_maps(tmp_path / "maps", people)
    cv2.imwrite(str(folder / "000005.png"), np.zeros((64, 64), np.uint8))
    with pytest.raises(DataError, match=r"000005\.png: is 64 x 64"):
        measure_coverage(read_answers(folder, people), people)


def test_answers_to_few_images_are_warned_about(
    people: AnnotationSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = [entry for entry in true_results(people) if entry["image_id"] == people.images[0].id]
    answers = read_answers(write_results(tmp_path / "results.json", results), people)
    warn_of_contradictions(answers.source, measure_coverage(answers, people))
    assert "answers to only 1 of 8 training images" in caplog.text
