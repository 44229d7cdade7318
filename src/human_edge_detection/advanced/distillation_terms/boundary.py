"""Boundary-privileged distillation (BPKD): borders and the rest have a mean of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from human_edge_detection.advanced.distillation_terms.kl import kl_per_position
from human_edge_detection.advanced.distillation_terms.positions import HeadTarget, mean_over, pair_of
from human_edge_detection.experiments.schema.distillation import BpkdConfig


def boundary_kl(
    student_logits: Tensor,
    teacher_logits: Tensor,
    edge: Tensor,
    temperature: float,
    *,
    edge_weight: float = 0.5,
    body_weight: float = 0.5,
    mask: Tensor | None = None,
) -> Tensor:
    """``edge_weight`` times the mean KL over the border band plus ``body_weight`` times that over all other positions.

    Source: Liu et al., "BPKD: Boundary Privileged Knowledge Distillation", arXiv:2306.08075. In one mean the few
    positions on a border, where a student errs, drown in the many where it does not. We differ: the paper has a softmax
    over positions for the body (that is the term ``cwd``) and a band for each class; here both parts are KL position by
    position, and the band is one for all classes, as there are two or three. With the default weights the value is that
    of plain KL where edge and body are equally hard.

    Size of the gradient for one logit: ``edge_weight * temperature * (p_student - p_teacher) / edge positions``, and so
    for the body: 1 / (2 * share of the edge) times that of plain KL on the border.

    Args:
        student_logits: ``(N, C)`` or ``(N, C, H, W)``.
        teacher_logits: The same shape; no gradient flows into it.
        edge: Boolean or {0, 1}, ``(N)`` or ``(N, H, W)``: the border band.
        temperature: Above 0.
        edge_weight: Of the band.
        body_weight: Of the rest.
        mask: As for :func:`~human_edge_detection.advanced.distillation_terms.kl.kl_divergence`.

    Raises:
        ValueError: Shapes differ.
    """
    divergence = kl_per_position(*pair_of(student_logits, teacher_logits), temperature)
    on_edge = edge.bool()
    counted = torch.ones_like(on_edge) if mask is None else mask
    edge_mean, body_mean = mean_over(divergence, on_edge & counted), mean_over(divergence, ~on_edge & counted)
    return (edge_weight * edge_mean + body_weight * body_mean) * temperature**2


def _bpkd(settings: BpkdConfig, student: Tensor, teacher: Tensor, target: HeadTarget, temperature: float) -> Tensor:
    return boundary_kl(
        student,
        teacher,
        target.border_band(settings.width),
        temperature,
        edge_weight=settings.edge_weight,
        body_weight=settings.body_weight,
        mask=target.known,
    )


LOGIT_TERMS = {BpkdConfig: _bpkd}
