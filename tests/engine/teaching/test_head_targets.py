import torch

from human_edge_detection.engine.teaching.head_targets import head_targets
from human_edge_detection.structures import BACKGROUND, IGNORE, NON_TARGET, TARGET, Batch


def test_borders_are_those_between_classes_and_never_of_what_is_ignored() -> None:
    columns = torch.tensor([BACKGROUND, BACKGROUND, TARGET, TARGET, IGNORE, IGNORE, NON_TARGET, NON_TARGET])
    masks = columns.to(torch.uint8).expand(1, 4, 8)
    persons = torch.where(masks == NON_TARGET, TARGET, masks)
    batch = Batch(torch.zeros(1, 3, 4, 8), torch.zeros(1, 5), masks, persons, image_ids=(1,), annotation_ids=(1,))
    for name, target in head_targets(batch).items():
        assert target.border_band(1)[0, 0].nonzero().flatten().tolist() == [1, 2], name
