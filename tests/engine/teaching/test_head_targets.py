import torch

from human_edge_detection.engine.teaching.head_targets import head_targets
from human_edge_detection.structures import BACKGROUND, IGNORE, NON_TARGET, TARGET, Batch, SegmentationOutput


def test_borders_are_those_between_classes_and_never_of_what_is_ignored() -> None:
    columns = torch.tensor([BACKGROUND, BACKGROUND, TARGET, TARGET, IGNORE, IGNORE, NON_TARGET, NON_TARGET])
    masks = columns.to(torch.uint8).expand(1, 4, 8)
    persons = torch.where(masks == NON_TARGET, TARGET, masks)
    batch = Batch(torch.zeros(1, 3, 4, 8), torch.zeros(1, 5), masks, persons, image_ids=(1,), annotation_ids=(1,))
    of_rois = {"bg_fg_logits": torch.zeros(1, 2, 4, 8), "target_nontarget_logits": torch.zeros(1, 2, 4, 8)}
    student = SegmentationOutput(torch.zeros(1, 3, 4, 8), {**of_rois, "full_image_logits": torch.zeros(1, 1, 4, 8)})
    targets = head_targets(batch, student, student)
    assert targets.keys() == {"main", "bg_fg", "target_nontarget", "full_image"}
    for name, target in targets.items():
        assert target.border_band(1)[0, 0].nonzero().flatten().tolist() == [1, 2], name
