"""The dedicated flags and the config fields they set. The only such table; imports nothing, so ``--help`` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Flag(NamedTuple):
    """A command-line flag that sets one field.

    Attributes:
        name: As typed, ``--batch_size``.
        path: The field, dotted.
        kind: Type of its value; a ``bool`` flag takes none.
        help: One line; ``%%`` for a per cent sign.
        choices: Allowed values; empty: what the schema allows.
        aliases: Further spellings.
        value: What a ``bool`` flag sets.
        word: What may stand in place of a number, which is then chosen for this machine.
    """

    name: str
    path: str
    kind: type[int] | type[float] | type[str] | type[bool]
    help: str
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    value: bool | Mapping[str, object] = True
    word: str | None = None

    @property
    def destination(self) -> str:
        """The attribute of the parsed arguments."""
        return self.name.removeprefix("--")


BATCH_SIZE: Final = "training.batch_size"
AUTO: Final = "auto"
TRAINING_FLAGS: Final = (
    Flag(
        "--epochs",
        "training.epochs",
        int,
        "passes over the data in all, also when resuming (default: 100)",
        aliases=("--total_epochs",),
    ),
    Flag(
        "--batch_size",
        BATCH_SIZE,
        int,
        "images in a batch (default: 2); auto: the largest power of two that fits into memory here, and stays",
        word=AUTO,
    ),
    Flag("--learning_rate", "training.learning_rate", float, "peak learning rate"),
    Flag("--accumulation_steps", "training.accumulation_steps", int, "batches for one optimizer update"),
    Flag("--seed", "training.seed", int, "seed of weights, order and augmentation"),
    Flag(
        "--num_workers",
        "data.num_workers",
        int,
        "processes that load images (default: 1, on a GPU more); results do not depend on it",
    ),
    Flag("--cache_views", "data.cache_views", int, "epochs after which the same views come again (default: never)"),
    Flag("--device", "training.device", str, "where to train: auto (default), cpu, cuda or cuda:N"),
    Flag("--precision", "training.precision", str, "arithmetic", ("auto", "fp32", "bf16", "fp16")),
    Flag("--deterministic", "training.deterministic", bool, "repeatable on a GPU too, slower (a CPU always is)"),
    Flag(
        "--encoder_weights",
        "model.encoder_weights",
        str,
        "imagenet (of HED_ENCODER_WEIGHTS, cached or downloaded), none (random), or a path",
    ),
    Flag("--pretrained_unet", "model.pretrained_unet", str, "checkpoint whose U-Net the model starts from"),
    Flag("--init_from", "model.init_from", str, "checkpoint whose weights, all of them, a new run starts from"),
    Flag(
        "--tracker",
        "training.tracker",
        str,
        "where curves and figures go beside TensorBoard; trackio and wandb are installed apart",
        ("tensorboard", "trackio", "wandb"),
    ),
    Flag("--keep_every", "training.keep_every", int, "keep the checkpoint of every N epochs (default: 25)"),
)
DISTILLATION_FLAGS: Final = (
    Flag(
        "--teacher_checkpoint",
        "distillation.teacher_checkpoint",
        str,
        "checkpoint of the teacher, or a model file (.onnx, .tflite, .xml); turns distillation on for any experiment",
    ),
    Flag(
        "--soft_labels",
        "distillation.soft_labels",
        str,
        "folder with the teacher's soft labels, from hed soft-labels; {seed} in it stands for the seed",
    ),
    Flag(
        "--confidence_threshold",
        "distillation.confidence_threshold",
        float,
        "probability under which a teacher's logits do not count, above 1/3 (default: all count)",
    ),
    Flag("--distillation_temperature", "distillation.temperature", float, "temperature (default: 4.0)"),
    Flag("--distillation_alpha", "distillation.alpha", float, "weight of the distillation term (default: 0.7)"),
)
DATA_FLAGS: Final = (
    Flag("--data_root", "data.root", str, "folder with annotations/ and images/, or COCO's own layout"),
    Flag("--train_ann", "data.train_ann", str, "COCO annotations to train on"),
    Flag("--val_ann", "data.val_ann", str, "COCO annotations to validate on"),
    Flag("--train_images", "data.train_images", str, "folder of the training images"),
    Flag("--val_images", "data.val_images", str, "folder of the validation images"),
    Flag("--test_ann", "data.test_ann", str, "COCO annotations to test on (hed evaluate --split test); not trained on"),
    Flag("--test_images", "data.test_images", str, "folder of the test images"),
    Flag("--drawn_data", "data.sample", bool, "train on drawn images of people, to try things out", value={}),
)
FLAGS: Final = (*TRAINING_FLAGS, *DISTILLATION_FLAGS, *DATA_FLAGS)
FLAG_OF_PATH: Final = {flag.path: flag.name for flag in FLAGS}
TEACHER_CHECKPOINT: Final = "distillation.teacher_checkpoint"
