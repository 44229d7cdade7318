"""Teachers of this tool and an external one as one: the mean of their probabilities, where it speaks."""

from __future__ import annotations

import torch
from torch import Tensor

from human_edge_detection.advanced.knowledge_distillation import mean_logits
from human_edge_detection.experiments.schema.heads import BY_KEY
from human_edge_detection.structures import SegmentationOutput


def mean_with(own: SegmentationOutput, external: SegmentationOutput, *, teachers: int = 1) -> SegmentationOutput:
    """The soft labels of own teachers and of an external one, all with the same weight.

    Args:
        own: The logits of the own ones, already as one.
        external: Those of the external one to the same batch; NaN where it says nothing, and it may lack heads.
        teachers: Number of the own ones.

    Returns:
        What both say, each head that either has: ``own`` where the external one says nothing.
    """
    outputs = {"logits": own.logits, **own.aux}
    for key, said in {"logits": external.logits, **external.aux}.items():
        mine = outputs.get(key)
        outputs[key] = said if mine is None or len(mine) != len(said) else _mean(key, mine, said, teachers)
    if len(external.logits) != len(own.logits):  # it has no main head
        outputs["logits"] = own.logits
    return SegmentationOutput(outputs.pop("logits"), outputs)


def _mean(key: str, mine: Tensor, said: Tensor, teachers: int) -> Tensor:
    is_silent = said.isnan().any(dim=1, keepdim=True)
    mean = mean_logits(BY_KEY[key], [*[mine] * teachers, torch.where(is_silent, mine, said)])
    return torch.where(is_silent, mine, mean)
