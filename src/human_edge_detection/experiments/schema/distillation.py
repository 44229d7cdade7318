"""The distillation section: teachers, weights, and what is distilled as a list of terms, each told by its ``kind``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

from pydantic import Field, JsonValue, create_model

from human_edge_detection.experiments.schema.base import BY_CONTENT, Fraction, Section, Weight
from human_edge_detection.experiments.schema.external import description_problem, is_external
from human_edge_detection.experiments.schema.heads import BY_NAME, DISTILLED

_FEATURES: Final = ("features",)
_NAMES: Final = tuple(head.name for head in DISTILLED)
if TYPE_CHECKING:
    HeadName = str

    class _HeadWeights(Section):
        pass
else:  # names and default weights come from the table of heads
    HeadName = Literal[_NAMES]
    _HeadWeights = create_model(
        "_HeadWeights",
        __base__=Section,
        **{
            head.name: (
                Weight,
                Field(head.distillation_weight, description=f"In terms of logits, the weight of {head.meaning}."),
            )
            for head in DISTILLED
        },
    )


class TermSettings(Section):
    """One part of what is distilled."""

    kind: str
    weight: float = Field(1.0, gt=0.0, description="Of this term beside the others.")


class LogitTermSettings(TermSettings):
    """A term of the logits of each head."""

    heads: tuple[HeadName, ...] | None = None
    """The heads that it is for; null: all that have a weight in this section."""


class FeatureTermSettings(TermSettings):
    """A term of the decoder features; has no temperature."""


class KlConfig(LogitTermSettings):
    """KL divergence of the softened classes (Hinton et al., arXiv:1503.02531)."""

    kind: Literal["kl"] = "kl"


class DkdConfig(LogitTermSettings):
    """KL decoupled at the true class (DKD, arXiv:2203.08679)."""

    kind: Literal["dkd"] = "dkd"
    target_weight: Weight = 1.0
    """Of the true class against all others; the paper's alpha."""
    nontarget_weight: Weight = 8.0
    """Of the other classes among themselves; the paper's beta. Of no effect on heads with two classes."""


class DistConfig(LogitTermSettings):
    """Correlation between classes and between positions (DIST, arXiv:2205.10536)."""

    kind: Literal["dist"] = "dist"
    inter_weight: Weight = 1.0
    """Of the relation between classes; of no effect on heads with two classes."""
    intra_weight: Weight = 1.0
    """Of the relation between positions."""


class CwdConfig(LogitTermSettings):
    """Where a class is, relative to everywhere else (CWD, arXiv:2011.13256)."""

    kind: Literal["cwd"] = "cwd"


class StdConfig(LogitTermSettings):
    """KL of standardised logits (arXiv:2403.01427). Says nothing for two classes, so it is for the main head alone."""

    kind: Literal["std"] = "std"
    heads: tuple[Literal["main"]] = ("main",)


class BpkdConfig(LogitTermSettings):
    """KL with a mean of its own for borders (BPKD, arXiv:2306.08075)."""

    kind: Literal["bpkd"] = "bpkd"
    edge_weight: Weight = 0.5
    """Of the mean over the border band."""
    body_weight: Weight = 0.5
    """Of the mean over all other positions."""
    width: int = Field(2, ge=1, le=16, description="Half width of the border band, pixels of the mask.")


class FeatConfig(FeatureTermSettings):
    """Decoder features through a learned 1x1 adapter (FitNets, arXiv:1412.6550)."""

    kind: Literal["feat"] = "feat"


class AtConfig(FeatureTermSettings):
    """Attention maps of the decoder features (arXiv:1612.03928)."""

    kind: Literal["at"] = "at"


TermConfig = Annotated[
    KlConfig | DkdConfig | DistConfig | CwdConfig | StdConfig | BpkdConfig | FeatConfig | AtConfig,
    Field(discriminator="kind"),
]
TERM_CONFIGS: Final[dict[str, type[TermSettings]]] = {
    section.model_fields["kind"].default: section for section in get_args(get_args(TermConfig)[0])
}
"""Sections by kind."""


class _ScheduleConfig(Section):
    curve: Literal["constant", "linear", "cosine", "exponential"] = "linear"
    """``cosine``: slow, fast, slow; ``exponential``: by the same factor each epoch; ``constant``: no change."""


class TemperatureScheduleConfig(_ScheduleConfig):
    """From ``distillation.temperature`` in the first epoch to ``end`` in the last."""

    end: float = Field(1.0, gt=0.0, le=100.0)
    """The temperature of the last epoch."""


class AlphaScheduleConfig(_ScheduleConfig):
    """From ``distillation.alpha`` in the first epoch to ``end`` in the last."""

    end: Fraction = 0.3
    """Alpha in the last epoch; above 0 for ``exponential``."""


class AdaptiveAlphaConfig(Section):
    """Alpha follows the student: ``high`` while it is far from its teacher, ``low`` once it has its score.

    Both are measured after each epoch on images that are taken out of the training split for it.
    """

    low: Fraction = 0.1
    """Alpha once the student has its teacher's score."""
    high: Fraction = 0.9
    """Alpha while it is far from it; not below ``low``."""
    from_share: float = Field(0.8, ge=0.0, lt=1.0, description="Of the teacher's score, where alpha begins to fall.")
    tuning_share: float = Field(0.1, gt=0.0, le=0.5, description="Of the training images, taken out for this.")


class DistillationConfig(_HeadWeights):
    """``L = alpha * L_distill + (1 - alpha) * L_base`` (Hinton et al., arXiv:1503.02531)."""

    teacher_config: str | None = Field(None, json_schema_extra=BY_CONTENT)
    """Experiment that trains the teacher; used when ``teacher_checkpoint`` is not given."""
    teacher_checkpoint: str | None = Field(None, json_schema_extra=BY_CONTENT)
    more_teacher_checkpoints: tuple[str, ...] = Field((), json_schema_extra=BY_CONTENT)
    """Further teachers; the student is taught the mean of all their probabilities."""
    soft_labels: str | None = Field(None, json_schema_extra=BY_CONTENT)
    """Folder that ``hed soft-labels`` stored the soft labels in; the teacher is not run then. ``{seed}`` in it
    stands for ``training.seed``: the views, and so the soft labels, are others for each seed."""
    temperature: float = Field(4.0, gt=0.0, le=100.0)
    """What the logits of both models are divided by; the higher, the more the unlikely classes count."""
    alpha: Fraction = 0.7
    """Weight of the teacher's part of the loss; 0: ground truth alone, 1: teacher alone."""
    temperature_schedule: TemperatureScheduleConfig | None = None
    alpha_schedule: AlphaScheduleConfig | None = None
    adaptive_alpha: AdaptiveAlphaConfig | None = None
    confidence_threshold: float | None = Field(None, gt=0.0, lt=1.0)
    """Pixels where the teacher is less sure of its likeliest class do not count in terms of logits; null: all do. Above
    1/3: the likeliest of three classes has at least that."""
    terms: tuple[TermConfig, ...] = (KlConfig(),)
    """What is distilled; terms of logits are weighted by the heads' weights above too."""
    flip_averaging: bool | None = None
    """Checkpoints are asked about the mirror image of each view too, and the mean of both probabilities teaches; model
    files are not, as they are asked about each image once. Null: nobody is."""
    unknown_confidence: float | None = Field(None, gt=0.0, le=1.0)
    """Where annotations leave the truth unknown, the teacher's likeliest class stands in for it, in all terms of
    logits, from this probability on; 1: nowhere. Null: ``kl`` alone counts these pixels, whatever the probability."""
    external: dict[str, JsonValue] | None = None
    """What a teacher that is a model file (.onnx, .tflite, .xml) takes and gives: ``kind``, ``input``, ``output`` and
    ``prompt``, in the words of ``hed predict --adapter``; null: as ``<model>.adapter.json`` beside it says, or it
    itself."""

    @property
    def head_weights(self) -> dict[str, float]:
        """Weight of each head that has one, by name."""
        weights = {name: float(getattr(self, name)) for name in _NAMES}
        return {name: weight for name, weight in weights.items() if weight > 0.0}

    @property
    def teacher_paths(self) -> list[Path]:
        """All teachers that are named: checkpoints, then a model file."""
        first = () if self.teacher_checkpoint is None else (self.teacher_checkpoint,)
        return sorted((Path(path) for path in (*first, *self.more_teacher_checkpoints)), key=is_external)

    @property
    def own_teacher_paths(self) -> list[Path]:
        """Those of them that are checkpoints of this tool."""
        return [path for path in self.teacher_paths if not is_external(path)]

    @property
    def external_teacher(self) -> Path | None:
        """The one of them that is a model file, which is asked once an image and never in training."""
        return next(filter(is_external, self.teacher_paths), None)

    def teaches(self, heads: Collection[str]) -> bool:
        """Whether a student that has ``heads`` learns anything from its teacher."""
        return self._largest_alpha > 0.0 and any(self._compares(term, heads) for term in self.terms)

    def teaches_images(self, heads: Collection[str]) -> bool:
        """Whether a student that has ``heads`` is taught about whole images, without any roi."""
        of_images = {head.name for head in DISTILLED if head.over == "images"} & self.head_weights.keys() & {*heads}
        return any(_heads_of(term) == _FEATURES or of_images & {*_heads_of(term)} for term in self.terms)

    @property
    def _of_logits(self) -> bool:
        """Whether there is a term of logits."""
        return any(_heads_of(term) != _FEATURES for term in self.terms)

    @property
    def _largest_alpha(self) -> float:
        """Alpha of the epoch in which it is largest."""
        if self.adaptive_alpha is not None:
            return self.adaptive_alpha.high
        if self.alpha_schedule is not None and self.alpha_schedule.curve != "constant":
            return max(self.alpha, self.alpha_schedule.end)
        return self.alpha

    def _compares(self, term: TermSettings, heads: Collection[str]) -> bool:
        """Whether ``term`` compares the features or a head with a weight that is one of ``heads``."""
        compared = _heads_of(term)
        return compared == _FEATURES or any(head in heads and head in self.head_weights for head in compared)

    @property
    def unused(self) -> Iterator[str]:
        """Fields with another value than their default that take part in nothing, given the other fields.

        They are no disagreement: a preset that is varied, or a sweep, may well have them.
        """
        compared = {head for term in self.terms for head in _heads_of(term)}
        without = {name for name in _NAMES if name not in compared and getattr(self, name) > 0.0}
        if not self._of_logits:
            without.add("temperature")
        if self.adaptive_alpha is not None:
            without.add("alpha")
        if self.external_teacher is None:
            without.add("external")
        elif not self.own_teacher_paths:
            without.add("flip_averaging")
        fields = type(self).model_fields
        yield from (f for f in fields if f in without and getattr(self, f) != fields[f].default)

    def disagreements(self, student: Collection[str]) -> Iterator[str]:
        """Every rule that concerns more than one field, as ``path: problem``.

        Args:
            student: The heads that the student has.
        """
        if not (self.teacher_config or self.teacher_checkpoint or self.soft_labels):
            yield "distillation: no teacher; give distillation.teacher_checkpoint or distillation.teacher_config"
        for field, paths in (
            ("teacher_checkpoint", (self.teacher_checkpoint,)),
            ("more_teacher_checkpoints", self.more_teacher_checkpoints),
        ):
            if "imagenet" in paths:
                yield (
                    f"distillation.{field}: 'imagenet' is weights of an encoder; decoder and heads would be untrained "
                    "and teach noise; give the checkpoint of a trained experiment (for a student that starts from "
                    "ImageNet: model.encoder_weights)"
                )
        if self.soft_labels is not None and self.adaptive_alpha is not None:
            yield "distillation.adaptive_alpha: runs the teacher itself, which distillation.soft_labels saves; give one"
        yield from self._external_disagreements()
        yield from self._schedule_disagreements()
        yield from self._term_disagreements(student)

    def _external_disagreements(self) -> Iterator[str]:
        problem = None if self.external is None else description_problem(self.external)
        if problem is not None:
            yield f"distillation.external{problem}"
        external = self.external_teacher
        if external is None:
            return
        if sum(map(is_external, self.teacher_paths)) > 1:
            yield "distillation.more_teacher_checkpoints: one model file teaches at a time, beside checkpoints"
        if self.adaptive_alpha is not None:
            yield (
                "distillation.adaptive_alpha: follows the share of the teacher's mIoU that the student has, and "
                f"{external} is a model file, which is not asked about it; use null, or an alpha_schedule"
            )

    def _schedule_disagreements(self) -> Iterator[str]:
        if self.temperature_schedule is not None and self.terms and not self._of_logits:
            yield "distillation.temperature_schedule: features have no temperature; use null, or add a term of logits"
        curve, adaptive = self.alpha_schedule, self.adaptive_alpha
        if curve is not None and adaptive is not None:
            yield "distillation.adaptive_alpha: alpha_schedule sets alpha too; give one of them"
        if curve is not None and curve.curve == "exponential" and not (self.alpha and curve.end):
            yield "distillation.alpha_schedule: an exponential cannot begin or end at 0; use another curve"
        if adaptive is not None and adaptive.low > adaptive.high:
            yield f"distillation.adaptive_alpha.low: above high, {adaptive.low} and {adaptive.high}"

    def _term_disagreements(self, student: Collection[str]) -> Iterator[str]:
        if not self.terms:
            yield "distillation.terms: none; give one or more, such as [{kind: kl}], or turn distillation off with null"
        else:
            yield from self._threshold_disagreements()
        seen: set[tuple[str, str]] = set()
        for number, term in enumerate(self.terms):
            path = f"distillation.terms.{number}"
            heads = _heads_of(term)
            if not heads:
                yield f"{path}.heads: none; give one or more of {', '.join(_NAMES)}, or null for all"
                continue
            for head in heads:
                if (term.kind, head) in seen:
                    yield f"{path}: {term.kind!r} is there twice for {head}; give it once, with the sum of the weights"
                    break
            seen |= {(term.kind, head) for head in heads}
            if heads == _FEATURES:
                yield from (f"{path}: {term.kind!r} needs {problem}" for problem in self._feature_disagreements())
            elif self.terms != (KlConfig(),) and not any(head in self.head_weights for head in heads):
                yield f"{path}: distillation.{heads[0]} is 0, so {term.kind!r} would do nothing; give it a weight"
            elif not any(head in student for head in heads):
                yield f"{path}: the model has no {' nor '.join(heads)}, so {term.kind!r} would do nothing; leave it out"

    def _feature_disagreements(self) -> Iterator[str]:
        """What a term of features needs and does not get."""
        lacking = "distillation.soft_labels" if self.soft_labels is not None else self.external_teacher
        if lacking is not None:
            yield f"the teacher's features, which {lacking} lacks"
        if self.more_teacher_checkpoints:
            yield "one teacher; the features of several have no mean"
        if self.flip_averaging:
            yield "a teacher asked once; features have no mean with those of mirror images: flip_averaging false"

    def _threshold_disagreements(self) -> Iterator[str]:
        if not self._of_logits:
            for field in ("confidence_threshold", "unknown_confidence"):
                if getattr(self, field) is not None:
                    yield f"distillation.{field}: features have no confidence; use null, or add a term of logits"
            return
        threshold = self.confidence_threshold
        if threshold is None:
            return
        compared = {head for term in self.terms for head in _heads_of(term)} & self.head_weights.keys()
        classes = max((_classes(head) for head in compared), default=2)
        if threshold * classes <= 1.0:
            yield (
                f"distillation.confidence_threshold: {threshold:g} has no effect, as the likeliest of {classes} "
                f"classes always has a probability of at least 1/{classes}; give a value above {1 / classes:.3g}, such "
                "as 0.8, or null"
            )


def _classes(head: str) -> int:
    """Classes that the likeliest is one of; a single channel stands for person or not."""
    return max(BY_NAME[head].channels, 2)


def _heads_of(term: TermSettings) -> tuple[str, ...]:
    """What ``term`` compares: the heads it names, all of them, or the features."""
    if not isinstance(term, LogitTermSettings):
        return _FEATURES
    return _NAMES if term.heads is None else term.heads
