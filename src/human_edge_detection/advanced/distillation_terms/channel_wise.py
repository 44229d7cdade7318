"""Channel-wise distillation (CWD): where in the image a class is, relative to everywhere else."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from human_edge_detection.advanced.distillation_terms.positions import HeadTarget, pair_of
from human_edge_detection.experiments.schema.distillation import CwdConfig


def channel_wise_divergence(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float, *, mask: Tensor | None = None
) -> Tensor:
    """KL(teacher || student) of each channel's softmax over the *positions* of a mask, mean over channels and rois.

    Source: Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", arXiv:2011.13256, on logits. The
    softmax makes it one distribution a channel, so doubling H or W changes nothing, nor does a constant added to a
    channel. We differ in leaving out masked positions, and rois without any.

    Size of the gradient for one logit: ``temperature * (q_student - q_teacher) / (N * C)``, where q sums to 1 over the
    positions. It is large where the teacher's logit is, and next to nothing in a sure background.

    Args:
        student_logits: ``(N, C, H, W)``.
        teacher_logits: The same shape; no gradient flows into it.
        temperature: Above 0; the paper uses 4.
        mask: Boolean ``(N, H, W)``: the positions that count. None: all.

    Returns:
        Scalar >= 0, in nats, times ``temperature**2``; 0 when no position counts.

    Raises:
        ValueError: Shapes differ, or there are no positions to compare: ``(N, C)``.
    """
    student, teacher = (logits.flatten(2) for logits in pair_of(student_logits, _with_positions(teacher_logits)))
    counted = torch.ones_like(student[:, :1], dtype=torch.bool) if mask is None else mask.flatten(1)[:, None]
    log_student, log_teacher = (_over_positions(maps / temperature, counted) for maps in (student, teacher))
    divergence = functional.kl_div(log_student, log_teacher, reduction="none", log_target=True)
    per_roi = (divergence * counted).sum(dim=2).mean(dim=1)
    return per_roi.sum() / counted.any(dim=2).sum().clamp(min=1) * temperature**2


def _with_positions(logits: Tensor) -> Tensor:
    if logits.ndim < 3:
        raise ValueError(
            f"channel-wise distillation compares positions; got {tuple(logits.shape)}, expected (N, C, H, W)"
        )
    return logits


def _over_positions(maps: Tensor, counted: Tensor) -> Tensor:
    # Not minus infinity: in a roi where nothing counts, that would leave no number at all.
    return functional.log_softmax(maps.masked_fill(~counted, torch.finfo(maps.dtype).min / 2), dim=2)


def _cwd(settings: CwdConfig, student: Tensor, teacher: Tensor, target: HeadTarget, temperature: float) -> Tensor:
    return channel_wise_divergence(student, teacher, temperature, mask=target.known)


LOGIT_TERMS = {CwdConfig: _cwd}
