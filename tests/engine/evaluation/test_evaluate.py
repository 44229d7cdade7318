"""Evaluation keeps counts, not pictures."""

import weakref
from collections.abc import Iterator

import torch
from torch import Tensor

from human_edge_detection.engine.evaluation.evaluate import measure
from human_edge_detection.structures import Batch, SegmentationOutput

SIZE = (16, 12)


def batches(kept: list[weakref.ref[Tensor]]) -> Iterator[Batch]:
    for number in range(6):
        batch = Batch(
            images=torch.rand(2, 3, 32, 32),
            rois=torch.tensor([[0.0, 0.1, 0.1, 0.9, 0.9], [1.0, 0.1, 0.1, 0.9, 0.9]]),
            roi_masks=torch.randint(0, 3, (2, *SIZE)).to(torch.uint8),
            person_masks=torch.randint(0, 2, (2, 32, 32)).to(torch.uint8),
            image_ids=(2 * number, 2 * number + 1),
            annotation_ids=(2 * number, 2 * number + 1),
        )
        kept.extend(map(weakref.ref, (batch.images, batch.roi_masks, batch.person_masks)))
        yield batch
        del batch


def test_at_most_two_batches_and_answers_are_held() -> None:
    kept: list[weakref.ref[Tensor]] = []
    held = []

    def prediction(images: Tensor, rois: Tensor) -> SegmentationOutput:
        output = SegmentationOutput(torch.randn(len(rois), 3, *SIZE), {"full_image_logits": images[:, :1] - 0.5})
        kept.append(weakref.ref(output.logits))
        return output

    metrics = measure(
        prediction,
        batches(kept),
        device=torch.device("cpu"),
        precision="fp32",
        mask_size=SIZE,
        after_batch=lambda: held.append(sum(reference() is not None for reference in kept)),
    )
    assert len(metrics.roi_scores) == 12
    assert max(held) <= 2 * 4
    assert sum(reference() is not None for reference in kept) == 0
