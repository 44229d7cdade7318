"""Images without labels beside labelled ones."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from unlabelled_folders import BOX, write_images

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.data.loader import images_of_epoch, training_batches
from human_edge_detection.data.mixed import MixedDataset, drawn_in_epoch, with_unlabelled
from human_edge_detection.data.unlabelled import find_unlabelled, with_boxes
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_detection.files.data_folder import find_splits
from human_edge_detection.structures import IGNORE, Batch

LABELLED, OTHERS = 8, 5


@pytest.fixture
def labelled(tiny_coco: Path) -> PersonDataset:
    people = read_annotations(*find_splits(tiny_coco)[0])
    return PersonDataset(
        people, image_size=(32, 64), mask_size=(16, 12), augmentation=AugmentationConfig(), max_rois=2, seed=5
    )


@pytest.fixture
def mixed(labelled: PersonDataset, tmp_path: Path) -> MixedDataset:
    write_images(tmp_path, OTHERS)
    people = find_unlabelled(tmp_path, skip_bad=False)
    return with_unlabelled(labelled, with_boxes(people, [np.array([BOX], np.float32)] * OTHERS), ratio=0.25)


def stream(data: PersonDataset | MixedDataset, **changes: int) -> list[Batch]:
    options: dict[str, Any] = {
        "batch_size": 3,
        "seed": 5,
        "start_epoch": 0,
        "start_batch": 0,
        "epochs": 6,
        "num_workers": 0,
    }
    return list(training_batches(data, **options | changes))


def test_each_comes_before_one_comes_again(mixed: MixedDataset) -> None:
    assert len(mixed) == 10
    seen: Counter[int] = Counter()
    for epoch in range(10):
        indices = images_of_epoch(mixed, 5, epoch).tolist()
        assert len(set(indices)) == 10 and {*range(LABELLED)} < {*indices}
        assert indices != sorted(indices)
        seen.update(index for index in indices if index >= LABELLED)
        assert max(seen.values()) - min([seen[LABELLED + number] for number in range(OTHERS)]) <= 1
    assert sum(seen.values()) == 20


@pytest.mark.parametrize(
    ("labelled", "unlabelled", "ratio", "drawn"), [(10, 99, 0.5, 5), (3, 99, 0.1, 1), (9, 4, 2.0, 4)]
)
def test_how_many_there_are(labelled: int, unlabelled: int, ratio: float, drawn: int) -> None:
    assert drawn_in_epoch(labelled, unlabelled, ratio) == drawn


def test_labelled_samples_stay_as_they_are_and_the_others_have_no_truth(
    labelled: PersonDataset, mixed: MixedDataset
) -> None:
    for index in range(LABELLED):
        one, other = labelled[(1, index)], mixed[(1, index)]
        assert other.labelled
        for field in ("image", "boxes", "roi_masks", "person_mask", "image_id", "annotation_ids", "person_boxes"):
            assert np.array_equal(getattr(one, field), getattr(other, field)), field
    for index in range(LABELLED, LABELLED + OTHERS):
        sample = mixed[(1, index)]
        assert not sample.labelled and len(sample.boxes) == 1 and sample.person_boxes.shape == (0, 4)
        assert (sample.roi_masks == IGNORE).all() and (sample.person_mask == IGNORE).all()
        x1, y1, x2, y2 = sample.boxes[0]
        assert 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1


def test_a_batch_says_what_of_it_is_labelled(mixed: MixedDataset) -> None:
    some = 0
    for batch in stream(mixed):
        ignored = (batch.person_masks == IGNORE).flatten(1).all(dim=1)
        if batch.labelled is None:
            assert not ignored.any()
            continue
        some += 1
        assert batch.labelled.images.tolist() == (~ignored).nonzero().flatten().tolist()
        of_rois = ~ignored[batch.rois[:, 0].long()]
        assert batch.labelled.rois.tolist() == of_rois.nonzero().flatten().tolist()
    assert some


def test_a_stream_that_goes_on_is_the_same_and_workers_change_nothing(mixed: MixedDataset) -> None:
    whole = stream(mixed)
    later = stream(mixed, start_epoch=2, start_batch=1, epochs=3, num_workers=1)
    for one, other in zip(whole[9:12], later, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one[:4], other[:4], strict=True))
        assert (one.labelled is None) == (other.labelled is None)
