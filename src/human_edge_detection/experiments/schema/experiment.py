"""The typed sections of an experiment. An experiment is data: frozen, checked whole, derived by difference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.experiments.schema.base import Fraction as Fraction
from human_edge_detection.experiments.schema.base import Section as Section
from human_edge_detection.experiments.schema.base import Weight as Weight
from human_edge_detection.experiments.schema.distillation import TERM_CONFIGS
from human_edge_detection.experiments.schema.distillation import DistillationConfig as DistillationConfig

SCHEMA_VERSION: Final = 1

Encoder = Literal[
    "timm-efficientnet-b0",
    "timm-efficientnet-b1",
    "timm-efficientnet-b2",
    "timm-efficientnet-b3",
    "timm-efficientnet-b4",
    "timm-efficientnet-b5",
    "timm-efficientnet-b6",
    "timm-efficientnet-b7",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
]
Size = tuple[Annotated[int, Field(ge=8, le=4096)], Annotated[int, Field(ge=8, le=4096)]]
"""(height, width) in pixels."""
_TERM_DEPTH = 3
"""Parts of the path of a distillation term, its number included."""


class SampleDataConfig(Section):
    """The embedded sample data: pictures of people drawn by this package, the same for the same seed."""

    train_images: int = Field(96, ge=4, le=10_000)
    val_images: int = Field(32, ge=2, le=10_000)
    image_size: Size = (240, 320)
    seed: int = Field(0, ge=0)


class AugmentationConfig(Section):
    """Random changes of a training photograph; a function of (seed, epoch, sample index) and nothing else."""

    horizontal_flip: Fraction = 0.5
    scale: tuple[Annotated[float, Field(gt=0.1, le=4.0)], Annotated[float, Field(gt=0.1, le=4.0)]] = (0.8, 1.25)
    """Smallest and largest zoom of the whole photograph."""
    translate: Fraction = 0.1
    """Largest shift, as a fraction of the photograph."""
    rotate: float = Field(10.0, ge=0.0, le=180.0, description="Largest rotation, degrees.")
    color: Fraction = 0.2
    """Strength of brightness, contrast, saturation and (a fifth of it) hue changes."""
    blur: Fraction = 0.1
    """Probability of a light Gaussian blur."""
    box_jitter: float = Field(0.1, ge=0.0, le=0.5, description="Largest shift of a box side, fraction of the box.")


class DataConfig(Section):
    """Where the photographs and their annotations are. Give ``root`` or the four paths."""

    root: str | None = None
    """Folder with ``annotations/`` and ``images/`` (or COCO's own layout)."""
    train_ann: str | None = None
    val_ann: str | None = None
    train_images: str | None = None
    val_images: str | None = None
    sample: SampleDataConfig | None = None
    """Make the embedded sample data and train on it."""
    max_rois_per_image: int = Field(10, ge=1, le=100)
    """Persons used of one training photograph, drawn anew each epoch; validation uses all."""
    augmentation: AugmentationConfig | None = AugmentationConfig()
    cache_views: int | None = Field(None, ge=1, le=9999)
    """The training photographs look the same again after so many epochs; null: never. A teacher's answers can be stored
    only for views that repeat."""
    num_workers: int = Field(1, ge=0, le=64)
    on_bad_sample: Literal["error", "skip"] = "error"
    """What a photograph that cannot be used does: stop the run before its first step, or be left out and listed."""


class AuxiliaryHeadConfig(Section):
    """A further output of the hierarchical head, with the weight of its loss."""

    loss_weight: float = Field(0.5, gt=0.0)


class ModelConfig(Section):
    """The network: a U-Net over the whole photograph and a light head for each roi."""

    encoder: Encoder = "timm-efficientnet-b0"
    encoder_weights: str = "imagenet"
    """``imagenet`` (downloaded), ``none`` (random), a file, or a folder that holds one file that fits the encoder."""
    image_size: Size = (256, 256)
    roi_size: Size = (80, 60)
    mask_size: Size = (160, 120)
    head: Literal["hierarchical", "plain", "none"] = "hierarchical"
    """``plain`` is one three-class head; ``none`` is the U-Net alone (binary person segmentation)."""
    head_channels: int = Field(32, ge=8, le=128)
    contour: AuxiliaryHeadConfig | None = None
    """Contour detection of this person."""
    distance: AuxiliaryHeadConfig | None = None
    """Signed distance transform of this person."""
    pretrained_unet: str | None = None
    """Checkpoint whose U-Net this one starts from."""
    pretrained_unet_config: str | None = None
    """Experiment whose best checkpoint ``pretrained_unet`` stands for when no path is given."""
    freeze_unet_epochs: int = Field(0, ge=0)
    """First epochs in which only the head learns."""

    @property
    def monitored_metric(self) -> str:
        """The validation metric that picks the best epoch: mIoU, or the person IoU of a model without roi head."""
        return "full_image_iou" if self.head == "none" else "miou"


class BoundaryLossConfig(Section):
    """Boundary-aware cross-entropy: pixels near a mask border weigh more."""

    weight: float = Field(2.0, gt=0.0, description="Added to the weight 1 of a pixel on the border.")
    width: int = Field(2, ge=1, le=16, description="Half width of the border band, pixels of the mask.")


class LossConfig(Section):
    """The loss on ground truth: cross-entropy + Dice for each head."""

    class_weights: tuple[Weight, Weight, Weight] = (1.0, 1.0, 1.0)
    """Cross-entropy weights of background, target, non-target; ``hed prepare-data`` prints what your data suggests."""
    dice_weight: Weight = 1.0
    main: Weight = 1.0
    bg_fg: Weight = 0.3
    target_nontarget: Weight = 0.3
    full_image: Weight = 0.5
    boundary: BoundaryLossConfig | None = None


class EmaConfig(Section):
    """Exponential moving average of the weights; when on, it is what is validated, kept as best and exported."""

    decay: float = Field(0.999, gt=0.0, lt=1.0)


class EarlyStoppingConfig(Section):
    """Stop after ``patience`` epochs without a gain of more than ``min_delta`` in the monitored metric."""

    patience: int = Field(20, ge=1)
    min_delta: float = Field(0.0, ge=0.0)


class UnfreezingConfig(Section):
    """The encoder learns from its last stage on, one stage more every few epochs (ULMFiT, arXiv:1801.06146)."""

    epochs_per_stage: int = Field(2, ge=1)
    lr_scale: float = Field(0.5, gt=0.0, le=1.0, description="Learning rate of a stage, relative to the one after it.")


class TrainingConfig(Section):
    """The optimisation."""

    epochs: int = Field(100, ge=1, description="Passes over the training data in all, also when resuming.")
    batch_size: int = Field(2, ge=1, le=4096)
    accumulation_steps: int = Field(1, ge=1, le=4096)
    learning_rate: float = Field(3e-4, gt=0.0, le=10.0)
    encoder_lr_scale: float = Field(1.0, gt=0.0, le=10.0, description="Learning rate of the encoder, relative.")
    weight_decay: float = Field(1e-2, ge=0.0)
    warmup_fraction: Fraction = 0.05
    """Share of all steps in which the learning rate rises linearly; a cosine follows."""
    final_lr_fraction: Fraction = 0.01
    gradient_clip: float | None = Field(1.0, gt=0.0, description="Largest gradient norm; null: no clipping.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = Field(0, ge=0, lt=2**31)
    unfreezing: UnfreezingConfig | None = None
    ema: EmaConfig | None = None
    early_stopping: EarlyStoppingConfig | None = None
    deterministic: bool = False
    """Repeatable arithmetic on a GPU too, at a cost in speed; a CPU is always repeatable."""
    keep_last: int = Field(2, ge=1, description="Epoch checkpoints kept, beside the best.")
    checkpoint_minutes: float = Field(10.0, gt=0.0, description="Longest time between two checkpoints, minutes.")
    visualize_images: int = Field(4, ge=0, le=64)
    log_every_steps: int = Field(10, ge=1)


class ExperimentConfig(Section):
    """One experiment, whole. Build one with :func:`build_config` or :func:`derive`, which name every problem."""

    name: str = Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")
    description: str = ""
    schema_version: Literal[1] = SCHEMA_VERSION
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    distillation: DistillationConfig | None = None
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        problems = list(_disagreements(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _disagreements(config: ExperimentConfig) -> Iterator[str]:
    """Every rule that concerns more than one field, as ``path: problem``."""
    yield from _model_disagreements(config.model)
    yield from _data_disagreements(config.data)
    if sum(config.loss.class_weights) == 0.0:
        yield "loss.class_weights: at least one must be above 0"
    distillation = config.distillation
    if distillation is None:
        return
    if config.model.head == "none":
        yield "distillation: model.head 'none' has no roi logits to distil; use null"
    yield from distillation.disagreements()
    if distillation.soft_labels is not None and config.data.cache_views is None:
        yield "data.cache_views: stored answers need views that repeat; give a number, such as 8"
    if distillation.teacher_config == config.name:
        yield f"distillation.teacher_config: {config.name!r} cannot be its own teacher"


def _model_disagreements(model: ModelConfig) -> Iterator[str]:
    image, roi, mask = list(model.image_size), list(model.roi_size), list(model.mask_size)
    if any(side % 32 for side in image):
        yield f"model.image_size: sides must be multiples of 32, got {image}"
    if any(side % 4 for side in roi):
        yield f"model.roi_size: sides must be multiples of 4, got {roi}"
    if mask[0] < roi[0] or mask[1] < roi[1]:
        yield f"model.mask_size: must not be smaller than model.roi_size {roi}, got {mask}"
    for part in ("contour", "distance"):
        if getattr(model, part) is not None and model.head != "hierarchical":
            yield f"model.{part}: needs model.head 'hierarchical', got {model.head!r}"
    if model.freeze_unet_epochs and not (model.pretrained_unet or model.pretrained_unet_config):
        yield "model.freeze_unet_epochs: a U-Net that was not pre-trained would stay random; give model.pretrained_unet"


def _data_disagreements(data: DataConfig) -> Iterator[str]:
    paths = [data.train_ann, data.val_ann, data.train_images, data.val_images]
    if any(paths) and not all(paths):
        yield "data: give all of train_ann, val_ann, train_images, val_images, or root"
    if sum([bool(data.root), any(paths), data.sample is not None]) > 1:
        yield "data: give one of root, the four paths, or sample"
    if data.augmentation is not None and data.augmentation.scale[0] > data.augmentation.scale[1]:
        yield f"data.augmentation.scale: smallest above largest, got {list(data.augmentation.scale)}"


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
    """The fields of the section that ``path`` leads to, or an empty list when it leads nowhere."""
    for part in path:
        field = section.model_fields.get(part)
        below = [] if field is None else list(_section_types(field.annotation))
        if not below:
            return []
        section = below[0]
    return list(section.model_fields)


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
    if path[:2] == ("distillation", "terms") and len(path) > _TERM_DEPTH:
        # pydantic names the kind of a term on the way to its fields; no user wrote it there.
        known = list(TERM_CONFIGS[path[_TERM_DEPTH]].model_fields)
        path = (*path[:_TERM_DEPTH], *path[_TERM_DEPTH + 1 :])
    dotted = ".".join(path)
    if problem["type"] == "extra_forbidden":
        known = known or field_names(ExperimentConfig, path[:-1])
        return f"{dotted}: unknown field{did_you_mean(path[-1], known)}; known: {', '.join(known)}"
    if problem["type"] == "union_tag_invalid":
        kind = str(problem["ctx"]["tag"])
        return f"{dotted}: unknown kind {kind!r}{did_you_mean(kind, TERM_CONFIGS)}; known: {', '.join(TERM_CONFIGS)}"
    if problem["type"] == "union_tag_not_found":
        return f"{dotted}: no kind, got {problem['input']!r}; known: {', '.join(TERM_CONFIGS)}"
    message = problem["msg"].removeprefix("Value error, ")
    if not path:
        return message
    message = message[:1].lower() + message[1:]
    return f"{dotted}: {message}, got {problem['input']!r}"
