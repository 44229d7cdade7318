"""Soft labels made of the truth's own masks are the truth of the same view; what the teacher does not say is NaN."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from augmentations import only
from external_answers import training_people, true_mask, true_results, write_maps, write_results
from numpy.typing import NDArray

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.dataset import PersonDataset, Sample
from human_edge_detection.engine.teaching.external.answers import ImageAnswers, Instance, ProbabilityMap
from human_edge_detection.engine.teaching.external.answers_in_views import AnswersInViews
from human_edge_detection.engine.teaching.external.read_answers import read_answers
from human_edge_detection.engine.teaching.external.to_soft_labels import DOUBT, LEAST, SoftLabels, to_soft_labels
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_detection.structures import IGNORE

STRONG = AugmentationConfig(scale=(0.6, 1.5), translate=0.3, rotate=25.0)
MIRRORED = only(horizontal_flip=1.0)
PLAIN = {"full_image_logits": 0.993, "bg_fg_logits": 0.995, "target_nontarget_logits": 0.995, "logits": 0.99}
WARPED = {"full_image_logits": 0.99, "bg_fg_logits": 0.98, "target_nontarget_logits": 0.99, "logits": 0.975}
"""Least share of the pixels; the truth of a warped view is drawn from outlines, the answers are pixels of the image."""


@pytest.fixture(scope="module")
def people(tiny_coco: Path) -> AnnotationSet:
    return training_people(tiny_coco)


def dataset(people: AnnotationSet, augmentation: AugmentationConfig | None) -> PersonDataset:
    return PersonDataset(
        people, image_size=(64, 64), mask_size=(32, 24), augmentation=augmentation, max_rois=None, seed=3
    )


def labels_of(head: str, sample: Sample) -> NDArray[np.uint8]:
    """``(n, H, W)`` classes of a head as the annotations have them, 255 where they say nothing."""
    masks = sample.roi_masks
    if head == "full_image_logits":
        return sample.person_mask[None]
    if head == "bg_fg_logits":
        return np.where(masks == IGNORE, IGNORE, masks > 0).astype(np.uint8)
    return np.where((masks == 0) | (masks == IGNORE), IGNORE, masks - 1) if head.startswith("target") else masks


def classes_of(logits: NDArray[np.float16]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Likeliest classes ``(n, H, W)``, and where there are any."""
    values = logits.astype(np.float32)
    both = np.concatenate([np.zeros_like(values), values], axis=1) if values.shape[1] == 1 else values
    known = np.isfinite(both).all(axis=1)
    return np.where(known[:, None], both, 0).argmax(axis=1), known


def compare(source: AnswersInViews, data: PersonDataset, epochs: int) -> dict[str, tuple[float, float]]:
    """Of each head, the share of the pixels that truth and answers agree on, and that both or neither know."""
    counts: dict[str, list[NDArray[np.int64]]] = {}
    for epoch in range(epochs):
        for index in range(len(data)):
            sample = data[(epoch, index)]
            for head, logits in source(epoch, index, sample).items():
                labels = labels_of(head, sample)
                assert logits.dtype == np.float16
                assert (len(logits), *logits.shape[2:]) == labels.shape
                classes, known = classes_of(logits)
                both = known & (labels != IGNORE)
                agreed = (classes == labels)[both].sum()
                outside = (known == (labels != IGNORE)).sum()
                counts.setdefault(head, []).append(np.array([agreed, both.sum(), outside, labels.size]))
    totals = {head: np.sum(rows, axis=0) for head, rows in counts.items()}
    return {head: (row[0] / row[1], row[2] / row[3]) for head, row in totals.items()}


@pytest.mark.parametrize(
    ("augmentation", "least"),
    [(None, PLAIN), (MIRRORED, WARPED), (STRONG, WARPED)],
    ids=["plain", "mirrored", "warped"],
)
@pytest.mark.parametrize("kind", ["results", "person maps", "maps of persons"])
def test_soft_labels_of_the_true_masks_are_the_truth(
    people: AnnotationSet, kind: str, augmentation: AugmentationConfig | None, least: dict[str, float], tmp_path: Path
) -> None:
    if kind == "results":
        source = write_results(tmp_path / "results.json", true_results(people))
    else:
        source = write_maps(tmp_path / "maps", people, persons=kind == "maps of persons")
    answers = AnswersInViews(read_answers(source, people), people)
    found = compare(answers, dataset(people, augmentation), epochs=2 if augmentation else 1)
    heads = {"full_image_logits", "bg_fg_logits"}
    assert set(found) == heads if kind == "person maps" else found.keys() == least.keys()
    for head, (agreed, _) in found.items():
        assert agreed >= least[head], (head, agreed)
    if kind == "person maps":  # which crowds and borders do not matter to: only outside of the image nothing is known
        assert found["full_image_logits"][1] > 0.97


def probabilities(logits: NDArray[np.float16]) -> NDArray[np.float32]:
    values = np.exp(logits.astype(np.float32))
    return np.asarray(values / values.sum(axis=1, keepdims=True), np.float32)


def test_the_main_head_is_what_the_branches_say_together(people: AnnotationSet, tmp_path: Path) -> None:
    source = write_results(tmp_path / "results.json", true_results(people))
    answers = AnswersInViews(read_answers(source, people), people)
    data = dataset(people, STRONG)
    said = answers(0, 1, data[(0, 1)])
    main, person, which = (probabilities(said[head]) for head in ("logits", "bg_fg_logits", "target_nontarget_logits"))
    known = np.isfinite(which).all(axis=1)
    assert known.any()
    for channel in (0, 1):
        assert np.allclose(main[:, 1 + channel][known], (person[:, 1] * which[:, channel])[known], atol=5e-3)
    assert np.allclose(main[:, 0], person[:, 0], atol=5e-3, equal_nan=True)


def soft_labels_of_first(
    people: AnnotationSet, answers: ImageAnswers | None, index: int = 0
) -> tuple[Sample, SoftLabels]:
    sample = dataset(people, None)[(0, index)]
    return sample, to_soft_labels(answers, people.images[index], sample, instances=True)


def binary(mask: NDArray[np.uint8]) -> ProbabilityMap:
    return ProbabilityMap(mask.astype(np.float32), 0, 0, (mask.shape[0], mask.shape[1]), is_binary=True)


def sigmoid(logits: NDArray[np.float16]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float32))), np.float32)


def test_nobody_is_certain(people: AnnotationSet) -> None:
    """A mask teaches 95 %; a person whom no annotation confirms teaches the score; a map teaches what it says."""
    record = people.images[0]
    person, stranger = record.persons[0], np.zeros((96, 128), np.uint8)
    stranger[:12, :16] = 1
    assert not (stranger & true_mask(record)).any()
    found = (Instance(binary(true_mask(record, person.id)), 0.3, None), Instance(binary(stranger), 0.6, None))
    _, said = soft_labels_of_first(people, ImageAnswers(None, found))
    whole = sigmoid(said["full_image_logits"][0, 0])
    assert (whole.min(), whole.max()) == pytest.approx((DOUBT, 1 - DOUBT), abs=2e-3)
    assert whole[:6, :6].mean() == pytest.approx(DOUBT + (1 - 2 * DOUBT) * 0.6, abs=2e-3)
    row = 0
    assert said["logits"][row].astype(np.float32).max() <= np.log(1 - DOUBT) + 2e-3
    levels = np.linspace(0, 1, 96 * 128, dtype=np.float32).reshape(96, 128)
    _, said = soft_labels_of_first(people, ImageAnswers(ProbabilityMap(levels, 0, 0, (96, 128), False), ()))
    whole = sigmoid(said["full_image_logits"][0, 0])
    assert (whole.min(), whole.max()) == pytest.approx((LEAST, 1 - LEAST), abs=6e-3)
    assert np.isnan(said["logits"]).all()


def test_persons_who_were_not_found_are_left_to_the_truth(people: AnnotationSet) -> None:
    record = people.images[1]
    first, second, *_ = record.persons
    found = Instance(binary(true_mask(record, first.id)), 0.9, None)
    sample, said = soft_labels_of_first(people, ImageAnswers(None, (found,)), index=1)
    assert sample.annotation_ids[:2] == (first.id, second.id)
    for head in ("logits", "target_nontarget_logits"):
        assert np.isnan(said[head][1:]).all()
    assert np.isfinite(said["logits"][0]).all()
    assert np.isfinite(said["bg_fg_logits"]).all()
    assert np.isfinite(said["full_image_logits"]).all()
    assert sigmoid(said["full_image_logits"]).max() == pytest.approx(1 - DOUBT, abs=2e-3)


def test_one_asked_for_single_persons_says_nothing_of_others(people: AnnotationSet) -> None:
    """Neither of persons that it was not asked for, nor of crowds; a map of any person does."""
    record = people.images[1]
    first, second, *_ = record.persons
    asked = Instance(binary(true_mask(record, first.id)), 1.0, first.id)
    sample, said = soft_labels_of_first(people, ImageAnswers(None, (asked,)), index=1)
    known = np.isfinite(said["full_image_logits"][0, 0])
    assert known.any()
    assert not known[sample.person_mask == IGNORE].any()
    x1, y1, x2, y2 = (np.array(second.box) / (128, 96, 128, 96) * 64).round().astype(int)
    others = np.zeros((64, 64), bool)
    others[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] = True
    mine = sigmoid(said["full_image_logits"][0, 0])[others & known] > 0.5
    assert mine.all()
    nothing = ImageAnswers(binary(np.zeros((96, 128), np.uint8)), (asked,))
    assert np.isfinite(soft_labels_of_first(people, nothing, index=1)[1]["full_image_logits"]).all()


def test_where_nothing_is_said_everything_is_nan(people: AnnotationSet) -> None:
    sample, said = soft_labels_of_first(people, None)
    assert said["logits"].shape == (len(sample.boxes), 3, 32, 24)
    assert all(np.isnan(values).all() for values in said.values())


def test_nothing_is_said_of_persons_that_were_pasted_over_the_image(people: AnnotationSet, tmp_path: Path) -> None:
    source = AnswersInViews(
        read_answers(write_results(tmp_path / "results.json", true_results(people)), people), people
    )
    pasting = AugmentationConfig.model_validate({"copy_paste": {"probability": 1.0}})
    seen = 0
    for index in range(len(people.images)):
        sample = dataset(people, pasting)[(0, index)]
        assert sample.pasted is not None
        labels = source(0, index, sample)
        assert np.isnan(labels["full_image_logits"][0, 0][sample.pasted > 0]).all()
        own = {person.id for person in people.images[index].persons}
        height, width = sample.pasted.shape
        for row, number in enumerate(sample.annotation_ids):
            assert (number in own) or np.isnan(labels["logits"][row]).all()
            # Where the middle of a mask pixel lies well inside of a pasted person.
            x1, y1, x2, y2 = sample.boxes[row]
            columns = ((x1 + (x2 - x1) * (np.arange(24) + 0.5) / 24) * width).astype(int)
            rows = ((y1 + (y2 - y1) * (np.arange(32) + 0.5) / 32) * height).astype(int)
            inside = cv2.erode(sample.pasted, np.ones((3, 3), np.uint8))[np.ix_(rows, columns)] > 0
            assert np.isnan(labels["bg_fg_logits"][row][:, inside]).all()
            seen += int(inside.sum()) if number in own else 0
        assert np.isfinite(labels["full_image_logits"]).any()
    assert seen > 100


def test_a_view_that_is_no_affine_map_is_refused(people: AnnotationSet) -> None:
    sample = dataset(people, None)[(0, 0)]._replace(matrix=None)
    with pytest.raises(ConfigError, match=r"data\.augmentation\.pipeline: its views are no affine maps"):
        to_soft_labels(
            ImageAnswers(binary(np.zeros((96, 128), np.uint8)), ()), people.images[0], sample, instances=True
        )
