"""The terms by kind: frozen settings around the pure functions, built from plain data and described by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Final, NamedTuple

from torch import Tensor

from human_edge_detection.advanced.distillation_terms.boundary import boundary_kl
from human_edge_detection.advanced.distillation_terms.channel_wise import channel_wise_divergence
from human_edge_detection.advanced.distillation_terms.decoupled import decoupled_kl
from human_edge_detection.advanced.distillation_terms.features import attention_distance, feature_distance
from human_edge_detection.advanced.distillation_terms.kl import kl_divergence, standardised_kl
from human_edge_detection.advanced.distillation_terms.relation import relation_loss
from human_edge_detection.structures import IGNORE

HEADS: Final = ("main", "bg_fg", "target_nontarget", "full_image")


class HeadTruth(NamedTuple):
    """What the annotations say about the positions of one head.

    Attributes:
        labels: ``(N, H, W)`` long, the true classes; 255 where they say nothing.
        band: Half width in pixels -> ``(N, H, W)`` in {0, 1}, the positions so near a change of label.
        asked: Boolean ``(N, H, W)``, the positions where the head's question makes sense. None: all.
    """

    labels: Tensor
    band: Callable[[int], Tensor]
    asked: Tensor | None = None

    @property
    def known(self) -> Tensor:
        """Boolean ``(N, H, W)``: neither ignored nor outside the question."""
        return self.labels != IGNORE

    def only(self, mask: Tensor) -> HeadTruth:
        """The same of fewer positions: those of ``mask``, boolean ``(N, H, W)``. Borders stay where they are."""
        asked = mask if self.asked is None else self.asked & mask
        return HeadTruth(self.labels.masked_fill(~mask, IGNORE), self.band, asked)


@dataclass(frozen=True)
class Term:
    """One part of what is distilled.

    Attributes:
        weight: Of this term beside the others.
    """

    kind: ClassVar[str]
    weight: float = 1.0

    def to_config(self) -> dict[str, Any]:
        """Plain data that :func:`build_term` makes an equal term of."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {"kind": self.kind, **plain}


@dataclass(frozen=True)
class LogitTerm(Term):
    """A term of every head of ``heads`` that both models have.

    Attributes:
        heads: Names of :data:`HEADS`; None for all that the loss gives a weight.
    """

    heads: tuple[str, ...] | None = None

    def __call__(self, student: Tensor, teacher: Tensor, truth: HeadTruth, temperature: float) -> Tensor:
        """Scalar for the logits ``(N, C, H, W)`` of one head."""
        raise NotImplementedError


@dataclass(frozen=True)
class KlTerm(LogitTerm):
    """:func:`~human_edge_detection.advanced.distillation_terms.kl.kl_divergence`.

    Alone among the terms it also counts positions that the annotations ignore: the teacher has an answer there.
    """

    kind = "kl"

    def __call__(self, student: Tensor, teacher: Tensor, truth: HeadTruth, temperature: float) -> Tensor:
        return kl_divergence(student, teacher, temperature, mask=truth.asked)


@dataclass(frozen=True)
class DkdTerm(LogitTerm):
    """:func:`~human_edge_detection.advanced.distillation_terms.decoupled.decoupled_kl`."""

    kind = "dkd"
    target_weight: float = 1.0
    nontarget_weight: float = 8.0

    def __call__(self, student: Tensor, teacher: Tensor, truth: HeadTruth, temperature: float) -> Tensor:
        return decoupled_kl(
            student,
            teacher,
            truth.labels,
            temperature,
            target_weight=self.target_weight,
            nontarget_weight=self.nontarget_weight,
        )


@dataclass(frozen=True)
class DistTerm(LogitTerm):
    """:func:`~human_edge_detection.advanced.distillation_terms.relation.relation_loss`."""

    kind = "dist"
    inter_weight: float = 1.0
    intra_weight: float = 1.0

    def __call__(self, student: Tensor, teacher: Tensor, truth: HeadTruth, temperature: float) -> Tensor:
        return relation_loss(
            student,
            teacher,
            temperature,
            inter_weight=self.inter_weight,
            intra_weight=self.intra_weight,
            mask=truth.known,
        )


@dataclass(frozen=True)
class CwdTerm(LogitTerm):
    """:func:`~human_edge_detection.advanced.distillation_terms.channel_wise.channel_wise_divergence`."""

    kind = "cwd"

    def __call__(self, student: Tensor, teacher: Tensor, truth: HeadTruth, temperature: float) -> Tensor:
        return channel_wise_divergence(student, teacher, temperature, mask=truth.known)


@dataclass(frozen=True)
class StdTerm(LogitTerm):
    """:func:`~human_edge_detection.advanced.distillation_terms.kl.standardised_kl`; of the three-class head."""

    kind = "std"
    heads: tuple[str, ...] | None = ("main",)

    def __call__(self, student: Tensor, teacher: Tensor, truth: HeadTruth, temperature: float) -> Tensor:
        return standardised_kl(student, teacher, temperature, mask=truth.known)


@dataclass(frozen=True)
class BpkdTerm(LogitTerm):
    """:func:`~human_edge_detection.advanced.distillation_terms.boundary.boundary_kl`."""

    kind = "bpkd"
    edge_weight: float = 0.5
    body_weight: float = 0.5
    width: int = 2

    def __call__(self, student: Tensor, teacher: Tensor, truth: HeadTruth, temperature: float) -> Tensor:
        return boundary_kl(
            student,
            teacher,
            truth.band(self.width),
            temperature,
            edge_weight=self.edge_weight,
            body_weight=self.body_weight,
            mask=truth.known,
        )


@dataclass(frozen=True)
class FeatureTerm(Term):
    """A term of the decoder features, ``(B, C, H, W)``; has no temperature.

    Attributes:
        adapts: The student's features go through the loss's adapter first.
    """

    adapts: ClassVar[bool] = False

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Scalar."""
        raise NotImplementedError


@dataclass(frozen=True)
class FeatTerm(FeatureTerm):
    """:func:`~human_edge_detection.advanced.distillation_terms.features.feature_distance` through the adapter."""

    kind = "feat"
    adapts = True

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        return feature_distance(student, teacher)


@dataclass(frozen=True)
class AtTerm(FeatureTerm):
    """:func:`~human_edge_detection.advanced.distillation_terms.features.attention_distance`."""

    kind = "at"

    def __call__(self, student: Tensor, teacher: Tensor) -> Tensor:
        return attention_distance(student, teacher)


TERMS: Final[Mapping[str, type[Term]]] = {
    term.kind: term for term in (KlTerm, DkdTerm, DistTerm, CwdTerm, StdTerm, BpkdTerm, FeatTerm, AtTerm)
}


def build_term(config: Mapping[str, Any]) -> Term:
    """The term that :meth:`Term.to_config` described: its ``kind``, and settings that differ from the defaults.

    Raises:
        ValueError: Unknown kind or setting; names those that there are.
    """
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in config.items()
    }
    kind = settings.pop("kind", None)
    if kind not in TERMS:
        raise ValueError(f"unknown kind of distillation term {kind!r}, expected one of {', '.join(TERMS)}")
    known = [field.name for field in fields(TERMS[kind])]
    unknown = sorted(settings.keys() - set(known))
    if unknown:
        raise ValueError(f"distillation term {kind!r} has no {unknown[0]!r}, expected some of {', '.join(known)}")
    return TERMS[kind](**settings)
