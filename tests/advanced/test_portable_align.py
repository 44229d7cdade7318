import pytest
import torch

from human_edge_detection.advanced.portable_align import align_rois_portable
from human_edge_detection.advanced.roi_align import align_rois
from human_edge_detection.exporters.parity import ODD_BOXES


@pytest.mark.parametrize(("height", "width"), [(16, 16), (7, 33), (1, 5)])
def test_it_is_roi_align_for_boxes_inside_of_the_image(height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(1, channels, height, width, generator=generator) for channels in (3, 1)]
    corners = torch.rand(30, 2, 2, generator=generator).sort(dim=1).values.reshape(30, 4)
    boxes = torch.cat([corners, torch.tensor(ODD_BOXES)])
    rois = torch.cat([torch.zeros(len(boxes), 1), boxes], dim=1)
    aligned = align_rois_portable(maps, rois, (12, 8))
    assert aligned.shape == (len(boxes), 4, 12, 8)
    torch.testing.assert_close(aligned, align_rois(maps, rois, (12, 8)), atol=1e-5, rtol=0)
