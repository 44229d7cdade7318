"""What follows from the model section."""

import pytest

from human_edge_detection.experiments.schema.model import ModelConfig


@pytest.mark.parametrize(("head", "metric"), [("hierarchical", "miou"), ("plain", "miou"), ("none", "full_image_iou")])
def test_a_model_without_roi_head_is_chosen_by_its_image_mask(head: str, metric: str) -> None:
    assert ModelConfig.model_validate({"head": head}).monitored_metric == metric
