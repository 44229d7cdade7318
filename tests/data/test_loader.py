import multiprocessing

import numpy as np
import pytest
import torch
from pipelines import transform, write_pipeline

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.data.loader import (
    batches_per_epoch,
    epoch_order,
    training_batches,
    training_parts,
    validation_batches,
)
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_detection.files.data_folder import find_splits


@pytest.fixture
def dataset(sample_root):
    people = read_annotations(*find_splits(sample_root)[0])
    return PersonDataset(
        people, image_size=(64, 64), mask_size=(16, 12), augmentation=AugmentationConfig(), max_rois=2, seed=5
    )


def _stream(dataset, **changes):
    options = {"batch_size": 3, "seed": 5, "start_epoch": 0, "start_batch": 0, "epochs": 2, "num_workers": 0}
    return list(training_batches(dataset, **options | changes))


def _assert_equal(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.image_ids == b.image_ids and a.annotation_ids == b.annotation_ids
        assert all(torch.equal(x, y) for x, y in zip(a[:4], b[:4], strict=True))


def test_epoch_order_is_a_permutation_of_seed_and_epoch():
    assert sorted(epoch_order(50, 1, 2)) == list(range(50))
    np.testing.assert_array_equal(epoch_order(50, 1, 2), epoch_order(50, 1, 2))
    assert (epoch_order(50, 1, 2) != epoch_order(50, 1, 3)).any()
    assert (epoch_order(50, 1, 2) != epoch_order(50, 2, 2)).any()


def test_every_epoch_sees_every_image_once(dataset):
    batches = _stream(dataset)
    per_epoch = batches_per_epoch(len(dataset), 3)
    assert len(batches) == 2 * per_epoch == 6
    for epoch in (batches[:per_epoch], batches[per_epoch:]):
        assert sorted(number for batch in epoch for number in batch.image_ids) == list(range(1, 9))
    assert [len(batch.image_ids) for batch in batches] == [3, 3, 2] * 2


def test_stream_is_the_same_for_any_number_of_workers_and_from_any_start(dataset):
    whole = _stream(dataset)
    for workers in (1, 2):
        _assert_equal(_stream(dataset, num_workers=workers), whole)
    _assert_equal(_stream(dataset, start_batch=2), whole[2:])
    _assert_equal(_stream(dataset, start_epoch=1, start_batch=1, num_workers=2), whole[4:])
    assert _stream(dataset, start_epoch=2) == []


def test_a_pipeline_draws_the_same_for_any_number_of_workers(sample_root, tmp_path):
    noisy = [transform("HorizontalFlip", p=0.5), transform("Affine", rotate=[-9, 9]), transform("GaussNoise")]
    augmentation = AugmentationConfig(pipeline=str(write_pipeline(tmp_path / "pipeline.json", *noisy)))
    people = read_annotations(*find_splits(sample_root)[0])
    dataset = PersonDataset(
        people, image_size=(64, 64), mask_size=(16, 12), augmentation=augmentation, max_rois=3, seed=0
    )
    whole = _stream(dataset)
    assert len({image.numpy().tobytes() for batch in whole for image in batch.images}) == 16  # two epochs of eight
    _assert_equal(_stream(dataset, num_workers=2), whole)


def test_pasted_persons_are_drawn_beside_all_else(sample_root):
    people = read_annotations(*find_splits(sample_root)[0])

    def stream(*, num_workers=0, **changes):
        augmentation = AugmentationConfig(**changes)
        dataset = PersonDataset(
            people, image_size=(64, 64), mask_size=(16, 12), augmentation=augmentation, max_rois=3, seed=0
        )
        return _stream(dataset, num_workers=num_workers)

    plain, pasted = stream(), stream(copy_paste={"probability": 1.0})
    _assert_equal(stream(copy_paste={"probability": 0.0}), plain)
    assert all(not torch.equal(one.images, other.images) for one, other in zip(plain, pasted, strict=True))
    _assert_equal(stream(num_workers=2, copy_paste={"probability": 1.0}), pasted)


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_that_train_together_divide_each_batch(dataset, workers):
    options = {"batch_size": 3, "seed": 5, "start_epoch": 0, "start_batch": 1, "epochs": 2, "num_workers": workers}
    whole = list(training_batches(dataset, **options))
    parts = [list(training_parts(dataset, (number, 4), **options)) for number in range(4)]
    for number, mine in enumerate(parts):
        taken = [() if part is None else part.image_ids for part in mine]
        assert taken == [batch.image_ids[number::4] for batch in whole]
    assert all(part is None for part in parts[3])  # three images, four processes


def test_processes_divide_the_validation_by_whole_batches(sample_root):
    people = read_annotations(*find_splits(sample_root)[1])
    dataset = PersonDataset(people, image_size=(64, 64), mask_size=(16, 12), augmentation=None, max_rois=None, seed=0)
    loader = validation_batches(dataset, batch_size=1, num_workers=0)
    parts = [list(loader.part_of(number, 3)) for number in range(3)]
    whole = list(loader)
    for number, mine in enumerate(parts):
        _assert_equal(mine, whole[number::3])
    assert loader.part_of(0, 1) is loader


def test_stream_leaves_the_random_numbers_of_training_alone(dataset):
    torch.manual_seed(0)
    _stream(dataset)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))


def test_validation_is_in_order_and_repeatable(sample_root):
    people = read_annotations(*find_splits(sample_root)[1])
    dataset = PersonDataset(people, image_size=(64, 64), mask_size=(16, 12), augmentation=None, max_rois=None, seed=0)
    loader = validation_batches(dataset, batch_size=2, num_workers=0)
    assert len(loader) == 2
    first = list(loader)
    assert [batch.image_ids for batch in first] == [(1, 2), (3,)]
    _assert_equal(list(loader), first)


def test_kept_workers_make_the_same_batches_again_also_after_a_pass_that_was_left(sample_root):
    people = read_annotations(*find_splits(sample_root)[1])
    dataset = PersonDataset(people, image_size=(64, 64), mask_size=(16, 12), augmentation=None, max_rois=None, seed=0)
    expected = list(validation_batches(dataset, batch_size=1, num_workers=0))
    loader = validation_batches(dataset, batch_size=1, num_workers=1, keep_workers=True)
    _assert_equal(list(loader), expected)
    workers = [child.pid for child in multiprocessing.active_children()]
    assert len(workers) == 1, "the worker stays"
    left = iter(loader)
    next(left)
    left.close()
    _assert_equal(list(loader), expected)
    assert [child.pid for child in multiprocessing.active_children()] == workers
    del loader, left
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 1])
def test_error_out_of_a_worker_is_the_same_one_line(write_coco, workers):
    people = read_annotations(*write_coco())
    (people.images_dir / "b.png").write_bytes(b"<html>")
    dataset = PersonDataset(people, image_size=(32, 32), mask_size=(8, 8), augmentation=None, max_rois=None, seed=0)
    with pytest.raises(DataError) as error:
        list(validation_batches(dataset, batch_size=1, num_workers=workers))
    assert str(error.value).startswith(f"image {people.images_dir / 'b.png'} is not an image")
    assert "\n" not in str(error.value)
