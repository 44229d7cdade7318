"""What an annotation file leaves out is unknown: neither taught nor scored as background.

Each case counts wrong pixels on the ways that training takes with and without augmentation, straight from the file and
after ``hed prepare-data``.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from unknown_people import BOXES, HEIGHT, IMAGES, KINDS, SAID_OF_ALL, WIDTH, Case, write_people

from human_edge_detection.advanced.knowledge_distillation import DistillationLoss
from human_edge_detection.cli.main import main
from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset, collate
from human_edge_detection.data.views.view import PeopleInView
from human_edge_detection.data.views.warp import scaling
from human_edge_detection.engine.teaching.head_targets import StandIn, head_targets
from human_edge_detection.experiments.schema.distillation import (
    BpkdConfig,
    CwdConfig,
    DistConfig,
    DkdConfig,
    KlConfig,
    TermSettings,
)
from human_edge_detection.experiments.schema.heads import HEADS
from human_edge_detection.experiments.schema.loss import LossConfig
from human_edge_detection.files.data_folder import find_split
from human_edge_detection.losses.hierarchical import HierarchicalLoss
from human_edge_detection.metrics.segmentation import SegmentationMetrics
from human_edge_detection.structures import IGNORE, Batch, LossOutput, SegmentationOutput

CASES = {f"{kind}: {name}": case for kind, cases in KINDS.items() for name, case in cases.items()}
COUNTS = {
    "a good mask whose box is none": 11,
    "a person with a box and no mask": 18,
    "an image that is not exhaustively labelled": 7,
    "nothing unknown": 5,
}
"""Cases of each kind that were tried."""
MOST_WRONG = 80
"""Pixels of 19,200, of which a person has 2500: on outlines a view, made from polygons, is finer than COCO's pixels."""


def samples(people: AnnotationSet) -> PersonDataset:
    return PersonDataset(
        people, image_size=(HEIGHT, WIDTH), mask_size=(64, 48), augmentation=None, max_rois=None, seed=0
    )


def in_view(people: AnnotationSet) -> NDArray[np.uint8]:
    return PeopleInView(people.images[0], scaling(1 / WIDTH, 1 / HEIGHT)).person_mask((HEIGHT, WIDTH))


def check(people: AnnotationSet, case: Case) -> None:
    sample = samples(people)[0, 0]
    assert len(sample.boxes) == case.persons
    assert (sample.person_mask != case.expected).sum() == 0
    assert (in_view(people) != case.expected).sum() <= MOST_WRONG


def prepared(folder: Path, files: tuple[Path, Path], *flags: str) -> AnnotationSet:
    data = [f"--train_ann={files[0]}", f"--train_images={files[1]}"]
    assert main(["prepare-data", *data, "--output", str(folder / "out"), *flags]) == 0
    return read_annotations(*find_split(folder / "out", "train"))


def test_the_table_says_how_many_cases_were_tried() -> None:
    assert {kind: len(cases) for kind, cases in KINDS.items()} == COUNTS


@pytest.mark.parametrize("name", CASES)
def test_no_pixel_is_wrong(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    files = write_people(tmp_path, case.edit)
    if not case.flags:
        check(read_annotations(*files), case)
    check(prepared(tmp_path, files, *case.flags), case)


def test_shrinking_keeps_what_is_unknown(tmp_path: Path) -> None:
    case = KINDS["a person with a box and no mask"]["not exhaustive"]
    people = prepared(tmp_path, write_people(tmp_path, case.edit), "--max_side", "80")
    got = samples(people)[0, 0].person_mask
    # Images and masks are shrunk to half of the size; only pixels along edges may be others.
    assert ((got == IGNORE) != (case.expected == IGNORE)).mean() < 0.02
    assert people.images[0].known_boxes is not None


def test_a_person_of_whom_shrinking_leaves_no_pixel_is_ignored_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def edit(data: dict[str, Any]) -> None:
        data["annotations"][1].update(segmentation=[[101, 51, 103, 51, 103, 53, 101, 53]], bbox=[101, 51, 2, 2])

    with caplog.at_level(logging.WARNING):
        people = prepared(tmp_path, write_people(tmp_path, edit), "--max_side", "16")
    assert "1 of 8 persons have no pixel left after shrinking; what is in their boxes is ignored" in caplog.text
    assert "(first: annotation 2 on 'p0.png')" in caplog.text
    (region,) = people.images[0].crowds
    assert region.id == 2 and len(people.images[0].persons) == 1


def test_what_shrinking_leaves_of_a_small_person_is_no_reason_for_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def edit(data: dict[str, Any]) -> None:
        data["annotations"][1].update(segmentation=[[95, 45, 105, 45, 105, 55, 95, 55]], bbox=[95, 45, 10, 10])
        data["annotations"][3].update(segmentation=[[98, 48, 104, 48, 104, 54, 98, 54]], bbox=[98, 48, 6, 6])

    with caplog.at_level(logging.WARNING):
        people = prepared(tmp_path, write_people(tmp_path, edit), "--max_side", "16")
    assert people.images.person_counts.tolist() == [2, 1, 2, 2] and len(people.images[1].crowds) == 1
    assert "far from their mask" not in caplog.text


def test_what_was_mended_is_counted_and_named_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def edit(data: dict[str, Any]) -> None:
        data["annotations"][1].update(segmentation=None)
        data["annotations"][3].update(segmentation=[])
        data["annotations"][5].update(bbox=[0, 0, 0, 0])

    with caplog.at_level(logging.WARNING):
        read_annotations(*write_people(tmp_path, edit))
    unmasked, moved = sorted(caplog.messages, key=lambda message: "far from" in message)
    assert "2 of 8 person annotations have a box and no mask; what is in these boxes is ignored" in unmasked
    assert "(first: annotation 2 on 'p0.png')" in unmasked
    assert "1 of 8 person annotations have a bbox that is empty or far from their mask" in moved
    assert moved.endswith("(first: 6)")


def not_exhaustive(tmp_path: Path) -> Batch:
    """Two images, of which the second is exhaustive; the box of its first person is larger than the person."""

    def edit(data: dict[str, Any]) -> None:
        data["images"][0]["exhaustive"] = False
        data["annotations"][0]["bbox"] = [20, 10, 60, 100]

    dataset = samples(read_annotations(*write_people(tmp_path, edit)))
    return collate([dataset[0, 0], dataset[0, 1]])


def random_output(batch: Batch, seed: int) -> SegmentationOutput:
    generator = torch.Generator().manual_seed(seed)
    count, size = len(batch.rois), batch.roi_masks.shape[1:]

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    aux = {
        "bg_fg_logits": random(count, 2, *size),
        "target_nontarget_logits": random(count, 2, *size),
        "full_image_logits": random(len(batch.images), 1, HEIGHT, WIDTH),
        "contour_logits": random(count, 1, *size),
        "distance": random(count, 1, *size),
        "centre_logits": random(len(batch.images), 1, HEIGHT // 4, WIDTH // 4),
        "person_boxes": random(len(batch.images), 4, HEIGHT // 4, WIDTH // 4),
    }
    return SegmentationOutput(random(count, 3, *size), aux)


def test_no_loss_learns_from_what_is_unknown(tmp_path: Path) -> None:
    batch = not_exhaustive(tmp_path)
    unknown, in_rois = batch.person_masks == IGNORE, batch.roi_masks == IGNORE
    assert unknown[0].float().mean() > 0.5 and not unknown[1].any()
    weights = {head.name: 1.0 for head in HEADS}
    output = random_output(batch, 0)
    HierarchicalLoss(weights, LossConfig())(output, batch).total.backward()
    for head in HEADS:
        logits = output.of(head.key)
        assert logits is not None
        gradient = logits.grad
        assert gradient is not None
        ignored = in_rois
        if head.over == "images":
            ignored = unknown.unflatten(2, (-1, head.stride)).unflatten(1, (-1, head.stride)).all(dim=4).all(dim=2)
        assert (gradient.abs().sum(dim=1)[ignored] == 0).all(), head.name
        assert gradient.abs().sum() > 0, head.name


def of_terms(batch: Batch, *terms: TermSettings, unknown: float | None = None) -> torch.Tensor:
    """Gradient of the distillation for the full-image logits."""
    student, teacher = random_output(batch, 0), random_output(batch, 1)
    loss = DistillationLoss({"full_image": 1.0}, terms)
    targets = head_targets(batch, student, teacher, StandIn(unknown))
    loss(student, teacher, targets, LossOutput(), temperature=2.0, alpha=1.0).total.backward()
    gradient = student.aux["full_image_logits"].grad
    assert gradient is not None
    return gradient[:, 0].abs()


def test_of_what_is_unknown_a_student_learns_what_the_teacher_says_and_no_truth(tmp_path: Path) -> None:
    batch = not_exhaustive(tmp_path)
    unknown = batch.person_masks == IGNORE
    output = random_output(batch, 0)
    assert (head_targets(batch, output, output)["full_image"].labels[unknown] == IGNORE).all()
    # DKD asks for the true class; plain KL needs none, and the teacher is the only one who has seen these people.
    assert (of_terms(batch, DkdConfig())[unknown] == 0).all()
    assert (of_terms(batch, KlConfig())[unknown] > 0).all()


@pytest.mark.parametrize(
    "term", [KlConfig(), DkdConfig(), DistConfig(), CwdConfig(), BpkdConfig()], ids=lambda t: t.kind
)
def test_where_nobody_knows_every_term_asks_a_teacher_who_is_sure_enough(term: TermSettings, tmp_path: Path) -> None:
    batch = not_exhaustive(tmp_path)
    unknown = batch.person_masks == IGNORE
    logit = random_output(batch, 1).aux["full_image_logits"][:, 0]
    sure = torch.maximum(logit, -logit).sigmoid() >= 0.7
    assert (unknown & sure).any() and (unknown & ~sure).any()
    gradient = of_terms(batch, term, unknown=0.7)
    assert (gradient[unknown & ~sure] == 0).all()
    assert (gradient[unknown & sure] > 0).float().mean() > 0.99
    assert (gradient[~unknown] > 0).float().mean() > 0.99
    assert (of_terms(batch, term, unknown=1.0)[unknown] == 0).all()


def test_the_teacher_fills_what_nobody_knows_and_changes_nothing_else(tmp_path: Path) -> None:
    batch = not_exhaustive(tmp_path)
    batch.roi_masks[:, :9] = IGNORE
    output = random_output(batch, 1)
    told = head_targets(batch, output, output, StandIn(0.7))
    known = batch.roi_masks != IGNORE
    plain = head_targets(batch, output, output)
    for name, target in told.items():
        before = plain[name]
        if name != "detector":
            at_rois = target.labels.shape == known.shape
            same = known if at_rois else batch.person_masks != IGNORE
            assert torch.equal(target.labels[same], before.labels[same]), name
            assert target.needed is not None and (target.needed == 0.7 * ~same).all(), name
    persons = output.aux["bg_fg_logits"].argmax(1) == 1
    asked = told["target_nontarget"].applicable
    assert asked is not None and torch.equal(asked[~known], persons[~known])


def test_the_person_map_is_not_scored_where_nobody_knows(tmp_path: Path) -> None:
    batch = not_exhaustive(tmp_path)
    everywhere = SegmentationOutput(torch.zeros(0, 3, 64, 48), {"full_image_logits": torch.ones(2, 1, HEIGHT, WIDTH)})
    metrics = SegmentationMetrics((64, 48))
    metrics.update(everywhere, batch)
    first, second = (score.confusion for score in metrics.image_scores)
    false_alarms = int((batch.person_masks[0] == 0).sum())
    assert first[1] == false_alarms < second[1] / 2
    assert sum(second) == HEIGHT * WIDTH and sum(first) == int((batch.person_masks[0] != IGNORE).sum())


def test_a_roi_that_reaches_beyond_the_known_boxes_is_ignored_there(tmp_path: Path) -> None:
    file, images = write_people(tmp_path, lambda data: data["images"][0].update(exhaustive=False))
    record = read_annotations(file, images).images[0]
    shown = PeopleInView(record, scaling(1 / WIDTH, 1 / HEIGHT))
    (mask,) = shown.roi_masks(np.array([[0.0, 0.0, 0.5, 1.0]]), np.array([0]), (HEIGHT, 80))
    x, y, width, height = BOXES[0]
    known = np.zeros((HEIGHT, 80), bool)
    known[int(y) : int(y + height), int(x) : int(x + width)] = True
    assert (mask[~known] == IGNORE).mean() > 0.99 and not (mask[known] == IGNORE).any()
    assert (mask[known] == 0).any() and (mask[known] == 1).any()


def test_data_where_something_is_unknown_have_a_fingerprint_of_their_own(tmp_path: Path) -> None:
    plain = read_annotations(*write_people(tmp_path / "plain"))
    assert plain.fingerprint == plain.sha256
    for number, kind in enumerate(["a good mask whose box is none", "a person with a box and no mask"]):
        people = read_annotations(*write_people(tmp_path / str(number), next(iter(KINDS[kind].values())).edit))
        assert people.fingerprint != people.sha256
    said = prepared(tmp_path, (plain.file, plain.images_dir), *SAID_OF_ALL)
    assert said.fingerprint != said.sha256 and len(said.images) == IMAGES


def test_statistics_count_images_that_are_not_exhaustive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepared(tmp_path, write_people(tmp_path, lambda data: data["images"][2].update(exhaustive=False)))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "not exhaustively labelled" in line]
    assert line.split()[-2] == "1"
    assert '"images_not_exhaustive": 1' in (tmp_path / "out" / "statistics.json").read_text()
