import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from human_edge_detection.metrics import segmentation
from human_edge_detection.metrics.confusion import confusion_matrices
from human_edge_detection.metrics.scores import IMAGE_METRICS, METRICS
from human_edge_detection.metrics.segmentation import SegmentationMetrics, target_iou
from human_edge_detection.structures import Batch, SegmentationOutput

SIZE = (24, 16)


def make_batch(images: int, rois: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    roi_masks = torch.randint(0, 3, (rois, *SIZE), generator=generator).to(torch.uint8)
    roi_masks[:, 0] = 255
    boxes = torch.tensor([[0.1, 0.1, 0.9, 0.9]]).expand(rois, 4)
    index = torch.arange(rois)[:, None] % max(images, 1)
    return Batch(
        images=torch.rand(images, 3, 32, 32, generator=generator),
        rois=torch.cat([index, boxes], dim=1).float(),
        roi_masks=roi_masks,
        person_masks=torch.randint(0, 2, (images, 32, 32), generator=generator).to(torch.uint8),
        image_ids=tuple(range(100 * seed, 100 * seed + images)),
        annotation_ids=tuple(range(1000 * seed, 1000 * seed + rois)),
    )


def make_output(batch: Batch, seed: int) -> SegmentationOutput:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(batch.rois), 3, *SIZE, generator=generator)
    full_image = torch.randn(len(batch.images), 1, 32, 32, generator=generator)
    return SegmentationOutput(logits, {"full_image_logits": full_image})


def perfect(batch: Batch) -> SegmentationOutput:
    classes = batch.roi_masks.long().clamp(max=2)
    logits = torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2).float()
    return SegmentationOutput(logits, {"full_image_logits": batch.person_masks[:, None].float() - 0.5})


def measure(pairs: list[tuple[SegmentationOutput, Batch]]) -> SegmentationMetrics:
    metrics = SegmentationMetrics(SIZE)
    for output, batch in pairs:
        metrics.update(output, batch)
    return metrics


def test_a_perfect_answer_scores_one_everywhere() -> None:
    batch = make_batch(2, 5, seed=1)
    assert measure([(perfect(batch), batch)]).compute() == dict.fromkeys(METRICS, 1.0)


def test_counts_add_up_over_splits_and_order() -> None:
    batches = [make_batch(2, rois, seed) for seed, rois in enumerate([30, 0, 51, 1, 73])]
    pairs = [(make_output(batch, seed=9), batch) for batch in batches]
    whole = measure(pairs)
    part, other = measure(pairs[3:]), measure(pairs[:3])
    part.merge(other)
    assert part.compute() == whole.compute()
    assert sorted(map(str, part.roi_scores)) == sorted(map(str, whole.roi_scores))
    assert sorted(part.image_scores) == sorted(whole.image_scores)
    assert (len(whole.roi_scores), len(whole.image_scores)) == (155, 10)


def test_the_size_of_a_batch_does_not_matter() -> None:
    batch = make_batch(1, 6, seed=2)
    output = make_output(batch, seed=3)
    pairs = []
    for part in (slice(0, 1), slice(1, 6)):
        rois = Batch(
            batch.images,
            batch.rois[part],
            batch.roi_masks[part],
            batch.person_masks,
            (200,),
            batch.annotation_ids[part],
        )
        pairs.append((SegmentationOutput(output.logits[part], output.aux), rois))
    assert measure(pairs).compute() == measure([(output, batch)]).compute()


def test_what_a_model_does_not_answer_is_none() -> None:
    batch = make_batch(2, 4, seed=1)
    output = make_output(batch, seed=1)
    without_rois = measure([(SegmentationOutput(torch.zeros(0, 3, *SIZE), output.aux), batch)]).compute()
    assert {name for name, value in without_rois.items() if value is not None} == set(IMAGE_METRICS)
    without_image = measure([(SegmentationOutput(output.logits, {}), batch)]).compute()
    assert {name for name, value in without_image.items() if value is None} == set(IMAGE_METRICS)
    assert SegmentationMetrics(SIZE).compute() == dict.fromkeys(METRICS, None)


def one_roi(target: Tensor) -> Batch:
    batch = make_batch(1, 1, seed=4)
    return batch._replace(roi_masks=target[None].to(torch.uint8))


def test_an_empty_true_mask_counts_in_the_matrix_but_not_per_roi() -> None:
    full, empty = torch.zeros(SIZE), torch.zeros(SIZE)
    full[4:12, 4:12] = 1
    first, second = one_roi(full), one_roi(empty)
    prediction = perfect(first)
    metrics = measure([(prediction, first), (prediction, second)])
    values = metrics.compute()
    assert values["target_iou_per_roi"] == 1.0
    assert values["boundary_f1"] == 1.0
    assert values["iou_target"] == 0.5
    assert values["dice_target"] == pytest.approx(2 / 3)
    assert [score[:2] for score in metrics.roi_scores] == [(400, 4000), (400, 4000)]
    assert metrics.roi_scores[0].target_iou == 1.0
    assert math.isnan(metrics.roi_scores[1].target_iou)


def test_target_iou_leaves_ignored_pixels_out() -> None:
    truth = torch.tensor([[[1, 1, 0, 255], [1, 2, 255, 255]]])
    prediction = torch.tensor([[[1, 0, 1, 1], [1, 1, 1, 0]]])
    assert target_iou(confusion_matrices(prediction, truth, 3)).tolist() == [2 / 5]


def test_target_iou_is_that_of_the_masks_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 4, (90, *SIZE), generator=generator).to(torch.uint8)
    truth[truth == 3] = 255
    truth[7][truth[7] == 1] = 2
    prediction = torch.randint(0, 3, truth.shape, generator=generator)
    predicted, true = (prediction == 1) & (truth != 255), truth == 1
    plain = (predicted & true).sum((1, 2)).double() / (predicted | true).sum((1, 2)).double()
    plain[~true.any(2).any(1)] = torch.nan
    iou = target_iou(confusion_matrices(prediction, truth, 3))
    assert iou.isnan().nonzero().flatten().tolist() == [7]
    assert torch.equal(iou.nan_to_num(-1.0), plain.nan_to_num(-1.0))


def test_records_name_the_image_of_the_roi() -> None:
    batch = make_batch(3, 5, seed=1)
    metrics = measure([(perfect(batch), batch)])
    assert [score.image_id for score in metrics.image_scores] == [100, 101, 102]
    ids = [score[:2] for score in metrics.roi_scores]
    assert ids == [(100, 1000), (101, 1001), (102, 1002), (100, 1003), (101, 1004)]


def test_counts_are_those_of_each_roi_and_each_image() -> None:
    batch = make_batch(2, 5, seed=1)
    output = make_output(batch, seed=1)
    metrics = measure([(output, batch)])
    for number, score in enumerate(metrics.roi_scores):
        prediction, truth = output.logits[number].argmax(0), batch.roi_masks[number]
        counts = [int(((truth == row) & (prediction == column)).sum()) for row in range(3) for column in range(3)]
        assert list(score.confusion) == counts
    for number, image in enumerate(metrics.image_scores):
        predicted = output.aux["full_image_logits"][number, 0] > 0
        people = batch.person_masks[number] == 1
        assert image.confusion[1:] == tuple(
            int(pixels.sum()) for pixels in (~people & predicted, people & ~predicted, people & predicted)
        )


def test_an_answer_of_another_shape_is_an_error() -> None:
    batch = make_batch(2, 4, seed=1)
    output = make_output(batch, seed=1)
    with pytest.raises(ValueError, match="expected"):
        SegmentationMetrics(SIZE).update(SegmentationOutput(output.logits[:3], {}), batch)
    with pytest.raises(ValueError, match="expected"):
        SegmentationMetrics((48, 32)).update(output, batch)
    with pytest.raises(ValueError, match="one shape"):
        SegmentationMetrics(SIZE).update(
            SegmentationOutput(output.logits, {"full_image_logits": torch.zeros(2, 1, 16, 16)}), batch
        )
    with pytest.raises(ValueError, match="mask size"):
        SegmentationMetrics(SIZE).merge(SegmentationMetrics((48, 32)))


@pytest.mark.parametrize("rois", [0, 5])
def test_a_batch_is_read_from_the_device_once(rois: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors on ``meta`` have no values: to read one anywhere else fails."""
    read: list[Tensor] = []

    def once(tables: list[Tensor]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
        read.extend(tables)
        return [np.zeros(table.shape) for table in tables]

    monkeypatch.setattr(segmentation, "read_once", once)
    meta, metrics = torch.device("meta"), SegmentationMetrics(SIZE)
    batch = make_batch(2, rois, seed=1)
    metrics.update(make_output(batch, seed=1).to(meta), batch.to(meta))
    assert [tuple(table.shape) for table in read] == ([(5, 13)] if rois else []) + [(2, 5)]
    assert (len(metrics.roi_scores), len(metrics.image_scores)) == (rois, 2)


def test_an_unknown_class_is_an_error_in_rois_and_in_images() -> None:
    batch = make_batch(2, 5, seed=1)
    for name, masks, known in (("roi_masks", batch.roi_masks, 2), ("person_masks", batch.person_masks, 1)):
        change: dict[str, Any] = {name: masks.clone().index_fill_(0, torch.tensor([1]), 7)}
        wrong = batch._replace(**change)
        with pytest.raises(ValueError, match=f"class 7, expected 0 to {known}"):
            measure([(make_output(batch, seed=1), wrong)])
