"""The training section: the optimisation, its schedule, and what is saved and drawn meanwhile."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from human_edge_detection.experiments.schema.base import GROWTH, NO_EFFECT, Fraction, Section


def check_device(name: str) -> str:
    """``name`` when it is one that this tool trains and evaluates on.

    Raises:
        ValueError: It is not.
    """
    if name.startswith("mps"):
        raise ValueError("mps (Apple GPUs) is not supported, as nobody has run this tool on one yet; use cpu or auto")
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", name):
        raise ValueError("expected auto, cpu, cuda or cuda:N")
    return name


MOST_IMAGES_IN_BATCH: Final = 4096
Device = Annotated[str, AfterValidator(check_device)]


class EmaConfig(Section):
    """Exponential moving average of the weights; when on, it is what is validated, kept as best and exported."""

    decay: float = Field(0.999, gt=0.0, lt=1.0)
    """Of the average, for each update: near 1 it follows slowly."""


class EarlyStoppingConfig(Section):
    """Stop after ``patience`` epochs without a gain of more than ``min_delta`` in the monitored metric."""

    patience: int = Field(20, ge=1)
    """Epochs without a gain."""
    min_delta: float = Field(0.0, ge=0.0)
    """What counts as a gain."""


class UnfreezingConfig(Section):
    """The encoder learns from its last stage on, one stage more every few epochs (ULMFiT, arXiv:1801.06146)."""

    epochs_per_stage: int = Field(2, ge=1)
    """Epochs until one stage more learns."""
    lr_scale: float = Field(0.5, gt=0.0, le=1.0, description="Learning rate of a stage, relative to the one after it.")


class TrainingConfig(Section):
    """The optimisation."""

    epochs: int = Field(
        100, ge=1, description="Passes over the training data in all, also when resuming.", json_schema_extra=GROWTH
    )
    segments: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(None, json_schema_extra=GROWTH)
    """Written, not set, when a run grows: the epochs that were done whenever ``epochs`` was raised, and ``epochs``."""
    batch_size: int = Field(2, ge=1, le=MOST_IMAGES_IN_BATCH)
    auto_batch_size: bool = Field(False, json_schema_extra=NO_EFFECT)
    """Whether ``--batch_size auto`` chose it: then the same command takes this number again."""
    accumulation_steps: int = Field(1, ge=1, le=4096)
    learning_rate: float = Field(3e-4, gt=0.0, le=10.0)
    encoder_lr_scale: float = Field(1.0, gt=0.0, le=10.0, description="Learning rate of the encoder, relative.")
    weight_decay: float = Field(1e-2, ge=0.0)
    """Of AdamW."""
    warmup_fraction: Fraction = 0.05
    """Share of all steps in which the learning rate rises linearly; a cosine follows."""
    final_lr_fraction: Fraction = 0.01
    """The learning rate in the end, relative to ``learning_rate``."""
    gradient_clip: float | None = Field(1.0, gt=0.0, description="Largest gradient norm; null: no clipping.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: Device = Field("auto", json_schema_extra=NO_EFFECT)
    seed: int = Field(0, ge=0, lt=2**31)
    unfreezing: UnfreezingConfig | None = None
    ema: EmaConfig | None = None
    early_stopping: EarlyStoppingConfig | None = None
    deterministic: bool = False
    """Repeatable arithmetic on a GPU too, at a cost in speed; a CPU is always repeatable."""
    keep_last: int = Field(2, ge=1, description="Epoch checkpoints kept, beside the best.", json_schema_extra=NO_EFFECT)
    keep_every: int = Field(
        25, ge=1, description="The checkpoint of every so many epochs is kept too.", json_schema_extra=NO_EFFECT
    )
    checkpoint_minutes: float = Field(
        10.0, gt=0.0, description="Longest time between two checkpoints, minutes.", json_schema_extra=NO_EFFECT
    )
    visualize_images: int = Field(4, ge=0, le=64, json_schema_extra=NO_EFFECT)
    """Validation images that are drawn after an epoch."""
    log_every_steps: int = Field(10, ge=1, json_schema_extra=NO_EFFECT)
    """Updates between two points of the curves in TensorBoard."""
    tracker: Literal["tensorboard", "trackio", "wandb"] = Field("tensorboard", json_schema_extra=NO_EFFECT)
    """What gets the curves beside TensorBoard, which always does."""
