"""An experiment: its sections together. It is data: frozen, checked whole, derived by difference."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.experiments.schema.data import DataConfig, UnlabelledConfig
from human_edge_detection.experiments.schema.decoders import DECODER_CONFIGS
from human_edge_detection.experiments.schema.distillation import TERM_CONFIGS, DistillationConfig
from human_edge_detection.experiments.schema.heads import HEADS
from human_edge_detection.experiments.schema.loss import LossConfig
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.experiments.schema.training import TrainingConfig

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SCHEMA_VERSION: Final = 1
_SIZE: Final = re.compile(r"(\d+)\s*[xX*,]\s*(\d+)")
"""A size as people write it, width first."""
_KINDS: Final[Mapping[tuple[str, ...], tuple[Mapping[str, type[Section]], int]]] = {
    ("distillation", "terms"): (TERM_CONFIGS, 3),
    ("model", "decoder"): (DECODER_CONFIGS, 2),
}
"""Field with sections of several kinds -> these by kind, and where pydantic names the kind in the path of a problem."""


class ExperimentConfig(Section):
    """One experiment, whole. Build one with :func:`build_config` or :func:`derive`, which name every problem."""

    name: str = Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")
    """Of the experiment, and of the folders of its runs: letters, digits, and ``_.+-`` behind the first."""
    description: str = ""
    """What it is, for lists."""
    schema_version: Literal[1] = SCHEMA_VERSION
    """Of the schema that it was written for."""
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    distillation: DistillationConfig | None = None
    training: TrainingConfig = TrainingConfig()

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weight of the loss on ground truth of each head that the model has, by name; 0: it is not learnt."""
        optional = {name: head.loss_weight for name, head in self.model.optional_heads.items()}
        weights = self.loss.head_weights | optional
        return {head.name: weights[head.name] for head in self.model.heads}

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        problems = list(_disagreements(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _disagreements(config: ExperimentConfig) -> Iterator[str]:
    """Every rule that concerns more than one field, as ``path: problem``."""
    yield from config.model.disagreements()
    yield from config.data.disagreements()
    yield from config.loss.disagreements()
    yield from _loss_disagreements(config)
    distillation = config.distillation
    if config.data.unlabelled is not None:
        yield from _unlabelled_disagreements(config, config.data.unlabelled)
    if distillation is None:
        return
    if config.model.head == "none":
        yield "distillation: model.head 'none' has no roi logits to distil; use null"
        return
    yield from distillation.disagreements(config.loss_weights)
    if distillation.soft_labels is not None and config.data.cache_views is None:
        yield "data.cache_views: soft labels need views that repeat; give a number, such as 8"
    external = distillation.external_teacher
    augmentation = config.data.augmentation
    if external is not None and augmentation is not None and augmentation.pipeline is not None:
        yield (
            f"data.augmentation.pipeline: its views are no affine maps of the images, and what {external} says of "
            "these cannot be moved along; use null"
        )
    if external is not None and config.data.unlabelled is not None:
        yield f"data.unlabelled: {external} is a model file and is asked about images with labels alone; use null"
    if distillation.teacher_config == config.name:
        yield f"distillation.teacher_config: {config.name!r} cannot be its own teacher"


def _unlabelled_disagreements(config: ExperimentConfig, unlabelled: UnlabelledConfig) -> Iterator[str]:
    """Whether anything is learnt from images without labels."""
    distillation = config.distillation
    if distillation is None:
        yield (
            "data.unlabelled: without a distillation nobody would teach on these images; give --teacher_checkpoint "
            "PATH, or use null"
        )
    elif unlabelled.boxes is None and not distillation.teaches_images(config.loss_weights):
        yield (
            "data.unlabelled.boxes: null leaves the heads of the whole image, and no term teaches one; give boxes, or "
            "distillation.full_image a weight"
        )


def _loss_disagreements(config: ExperimentConfig) -> Iterator[str]:
    """Whether anything is learnt, and whether the sections of the loss are of heads that learn from it."""
    weights, distillation = config.loss_weights, config.distillation
    if not any(weights.values()) and not (distillation is not None and distillation.teaches(weights)):
        teacher = "" if distillation is None else " and the distillation has no effect"
        names = ", ".join(weights)
        yield f"loss: the weights of all heads ({names}) are 0{teacher}, so nothing would be learnt; raise one"
    if config.loss.boundary is not None:
        for head in (head for head in HEADS if head.labels == "classes" and not weights.get(head.name)):
            lack = f"loss.{head.name} is 0" if head.name in weights else f"model.head is {config.model.head!r}"
            yield f"loss.boundary: is for the head {head.name!r}, and {lack}; use null"


def build_config(fields: Mapping[str, Any], *, source: str = "config") -> ExperimentConfig:
    """An experiment from plain nested fields (as JSON or YAML gives them).

    Args:
        fields: Nested mapping; absent fields take their defaults.
        source: What the fields came from, for the message.

    Raises:
        ConfigError: Naming every problem with its dotted path, and the nearest known name for an unknown field.
    """
    try:
        return ExperimentConfig.model_validate_json(json.dumps(fields))
    except (TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise ConfigError(f"{source}: not plain data ({error})") from error
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise ConfigError(f"{source}: {problems}") from error


def derive(parent: ExperimentConfig, *, name: str, description: str = "", **changes: Any) -> ExperimentConfig:
    """A new experiment that states only its difference from ``parent``.

    Mappings are merged into the parent's sections, ``None`` turns an optional section off, and a mapping given for a
    section that the parent has off turns it on with defaults for the rest.
    """
    fields = merge(parent.model_dump(mode="json"), {**changes, "name": name, "description": description})
    return build_config(fields, source=f"experiment {name!r}")


def merge(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with ``changes`` laid over, section by section."""
    merged = dict(fields)
    for key, value in changes.items():
        below = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def field_names(section: type[BaseModel], path: tuple[str, ...] = ()) -> list[str]:
    """The fields of the section that ``path`` leads to, of any kind; an empty list when it leads nowhere."""
    return list(dict.fromkeys(name for section in _sections_at(section, path) for name in section.model_fields))


def is_mapping(section: type[BaseModel], path: tuple[str, ...]) -> bool:
    """Whether ``path`` leads to a field that holds names which the schema does not know, with values."""
    above = _sections_at(section, path[:-1])
    return any(_is_mapping(one.model_fields[path[-1]].annotation) for one in above if path[-1] in one.model_fields)


def _sections_at(section: type[BaseModel], path: tuple[str, ...]) -> list[type[BaseModel]]:
    """The sections, of any kind, that ``path`` leads to."""
    sections = [section]
    for part in path:
        fields = [section.model_fields[part] for section in sections if part in section.model_fields]
        sections = [below for field in fields for below in _section_types(field.annotation)]
    return sections


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(map(_is_mapping, getattr(annotation, "__args__", ())))


def _section_types(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    if get_origin(annotation) is tuple:
        return  # a list of sections is one value: no path leads into it
    for argument in getattr(annotation, "__args__", ()):
        yield from _section_types(argument)


def _describe(problem: ErrorDetails) -> str:
    path = tuple(str(part) for part in problem["loc"])
    known: list[str] | None = None
    kinds, depth = _KINDS.get(path[:2], ({}, len(path)))
    if len(path) > depth:
        # pydantic names the kind of a section on the way to its fields; no user wrote it there.
        known = list(kinds[path[depth]].model_fields)
        path = (*path[:depth], *path[depth + 1 :])
    dotted = ".".join(path)
    if problem["type"] == "extra_forbidden":
        known = known or field_names(ExperimentConfig, path[:-1])
        return f"{dotted}: unknown field{did_you_mean(path[-1], known)}; known: {', '.join(known)}"
    if problem["type"] == "union_tag_invalid":
        kind = str(problem["ctx"]["tag"])
        return f"{dotted}: unknown kind {kind!r}{did_you_mean(kind, kinds)}; known: {', '.join(kinds)}"
    if problem["type"] == "union_tag_not_found":
        return f"{dotted}: no kind, got {problem['input']!r}; known: {', '.join(kinds)}"
    if kinds and len(path) == depth and problem["type"] == "dict_type":
        return f"{dotted}: expected {{kind: KIND}}, got {problem['input']!r}; known: {', '.join(kinds)}"
    message = problem["msg"].removeprefix("Value error, ")
    if not path:
        return message
    message = message[:1].lower() + message[1:]
    return f"{dotted}: {message}{_example(problem)}, got {problem['input']!r}"


def _example(problem: ErrorDetails) -> str:
    """How a list is written, where something else was given."""
    if problem["type"] not in ("tuple_type", "list_type"):
        return ""
    size = _SIZE.fullmatch(str(problem["input"]).strip())
    return "" if size is None else f", height and width: [{size[2]}, {size[1]}]"
