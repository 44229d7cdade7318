"""Whether what a batch will write fits on the disk: an estimate from the sizes of its models."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from human_edge_detection.errors import StorageError
from human_edge_detection.experiments.schema.encoders import ENCODER_SIGNATURES, Encoder
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.files.write import existing_folder
from human_edge_detection.runner.execution.plan import PlannedRun

UNET_PARAMETERS: Final[dict[Encoder, int]] = {
    "timm-efficientnet-b0": 6_251_469,
    "timm-efficientnet-b1": 8_757_105,
    "timm-efficientnet-b2": 10_046_291,
    "timm-efficientnet-b3": 13_159_033,
    "timm-efficientnet-b4": 20_225_689,
    "timm-efficientnet-b5": 31_216_001,
    "timm-efficientnet-b6": 43_825_193,
    "timm-efficientnet-b7": 67_095_329,
    "mobilenet_v2": 6_628_945,
    "resnet18": 14_328_209,
    "resnet34": 24_436_369,
    "timm-tf_efficientnet_lite0": 5_614_929,
    "tu-mobilenetv3_large_100": 6_685_825,
    "tu-mobilenetv4_conv_small": 4_975_537,
}
"""As ``hed describe`` counts them; with the decoder of a U-Net."""
_STAGE_CHANNELS: Final = 4_000
"""Not less than all stages of an encoder have."""
HEAD_PARAMETERS: Final = (155, 586, 9)
"""Of the largest roi head with c channels: ``155 c^2 + 586 c + 9``."""
_BYTES_PER_PARAMETER: Final = 4.2
"""float32, and 5 % for the statistics of the normalisation layers and the file itself."""
_OPTIMIZER_COPIES: Final = 2
"""AdamW keeps two moments of each parameter."""
_DRAWN_EPOCHS: Final = 21
_PICTURE_BYTES: Final = 3_000_000
"""A picture as PNG (up to 1.4 MB on images) and once more in the TensorBoard log."""
_LOG_BYTES: Final = 10_000_000


def check_free_space(plan: Sequence[PlannedRun], output_dir: Path, *, export_onnx: bool) -> None:
    """Refuses a batch that does not fit on the disk.

    Raises:
        StorageError: Names need, free space, place and what to do.
    """
    need = batch_need(plan, export_onnx=export_onnx)
    place = existing_folder(output_dir.resolve())
    free = shutil.disk_usage(place).free
    if need > free:
        runs = sum(not run.finished for run in plan)
        raise StorageError(
            f"--output_dir {output_dir}: the {runs} runs of this batch need about {_gigabytes(need)}, and "
            f"{_gigabytes(free)} are free on the disk of {place}; free some, choose another --output_dir, name fewer "
            "experiments, lower training.keep_last, or raise training.keep_every"
        )


def batch_need(plan: Sequence[PlannedRun], *, export_onnx: bool) -> int:
    """Bytes that the runs of ``plan`` which are yet to be trained will add to what their folders hold now."""
    runs = [run for run in plan if not run.finished]
    kept = sum(max(0, kept_bytes(run.config, export_onnx=export_onnx) - _present_bytes(run)) for run in runs)
    return kept + max((passing_bytes(run.config) for run in runs), default=0)


def kept_bytes(config: ExperimentConfig, *, export_onnx: bool) -> int:
    """Size of the folder of a finished run: checkpoints, pictures, logs, and the ONNX file where there is one."""
    training, weights = config.training, _weight_bytes(config.model)
    epochs = min(training.keep_last + training.epochs // training.keep_every, training.epochs)
    checkpoints = epochs * _checkpoint_bytes(config) + 2 * weights  # untrained and best
    pictures = training.visualize_images * min(training.epochs, _DRAWN_EPOCHS) * _PICTURE_BYTES
    return checkpoints + pictures + _LOG_BYTES + (weights if export_onnx else 0)


def passing_bytes(config: ExperimentConfig) -> int:
    """What a run takes beside that while it trains: a checkpoint amid an epoch, and the file that is being written."""
    return 2 * _checkpoint_bytes(config)


def _checkpoint_bytes(config: ExperimentConfig) -> int:
    averaged = config.training.ema is not None
    return _weight_bytes(config.model) * (1 + _OPTIMIZER_COPIES + averaged)


def _weight_bytes(model: ModelConfig) -> int:
    return int(model_parameters(model) * _BYTES_PER_PARAMETER)


def model_parameters(model: ModelConfig) -> int:
    """Parameters of ``model``, hardly less than it has; more where stages of its encoder are left out."""
    unet = UNET_PARAMETERS[model.encoder]
    if model.decoder.kind == "fpn":
        channels = model.decoder.channels
        unet = ENCODER_SIGNATURES[model.encoder].values + 6 * channels**2 + _STAGE_CHANNELS * channels
    if model.head == "none":
        return unet
    square, linear, constant = HEAD_PARAMETERS
    return unet + square * model.head_channels**2 + linear * model.head_channels + constant


def _present_bytes(run: PlannedRun) -> int:
    """What is in the run's folder and will be replaced, or deleted for ``--restart``."""
    sizes = {}  # by file, as latest.pth is another name of an epoch's checkpoint
    for folder, below, files in os.walk(run.paths.root):
        below[:] = [name for name in below if not name.startswith("seed_")]  # other runs
        for name in files:
            with suppress(FileNotFoundError):  # another process trains this run
                file = Path(folder, name).lstat()
                sizes[file.st_dev, file.st_ino] = file.st_size
    return sum(sizes.values())


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
