"""What follows from the model section."""

import pytest

from human_edge_detection.experiments.schema.model import ModelConfig


@pytest.mark.parametrize(("head", "metric"), [("hierarchical", "miou"), ("plain", "miou"), ("none", "full_image_iou")])
def test_a_model_without_roi_head_is_chosen_by_its_image_mask(head: str, metric: str) -> None:
    assert ModelConfig.model_validate({"head": head}).monitored_metric == metric


@pytest.mark.parametrize("head", ["hierarchical", "plain"])
def test_a_detector_is_two_heads_that_one_section_turns_on(head: str) -> None:
    without = ModelConfig.model_validate({"head": head})
    found = ModelConfig.model_validate({"head": head, "detector": {"loss_weight": 0.2}})
    assert [one.name for one in found.heads if one not in without.heads] == ["detector", "detector_box"]
    assert {found.optional_heads[name].loss_weight for name in ("detector", "detector_box")} == {0.2}
    assert not [*found.disagreements()]


def test_a_detector_without_a_head_of_rois_is_refused() -> None:
    (problem,) = ModelConfig.model_validate({"head": "none", "detector": {}}).disagreements()
    assert problem.startswith("model.detector: ")
