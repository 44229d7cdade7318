"""Batches that no image file is needed for."""

import torch

from human_edge_detection.structures import Batch


def synthetic_batch(counts: tuple[int, ...]) -> Batch:
    """As many images as counts, each with its number of persons; masks of large squares, nothing ignored."""
    generator = torch.Generator().manual_seed(0)
    owners = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).float()
    rois = len(owners)
    corners = torch.rand(rois, 4, generator=generator) * 0.4
    corners[:, 2:] += 0.5
    squares = torch.randint(0, 3, (rois, 4, 3), generator=generator, dtype=torch.uint8)
    return Batch(
        images=torch.rand(len(counts), 3, 64, 64, generator=generator),
        rois=torch.cat([owners[:, None], corners], 1),
        roi_masks=squares.repeat_interleave(8, 1).repeat_interleave(8, 2),
        person_masks=torch.randint(0, 2, (len(counts), 64, 64), generator=generator, dtype=torch.uint8),
        image_ids=tuple(range(len(counts))),
        annotation_ids=tuple(range(rois)),
    )
