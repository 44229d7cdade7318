import pytest
import torch
from torch.nn import functional

from human_edge_detection.morphology import dilate


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_dilation_is_max_pooling_of_a_boolean_mask(radius: int) -> None:
    mask = torch.rand(2, 11, 17, generator=torch.Generator().manual_seed(0)) > 0.95
    pooled = functional.max_pool2d(mask[:, None].float(), 2 * radius + 1, 1, radius)[:, 0]
    assert torch.equal(dilate(mask, radius), pooled.bool())
