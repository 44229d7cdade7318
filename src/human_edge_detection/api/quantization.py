"""Exported models in 8-bit integers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from human_edge_detection.api.request import OUTPUT_DIR
from human_edge_detection.errors import CheckpointError, ConfigError, explained

if TYPE_CHECKING:
    from human_edge_detection.api.results import Data
    from human_edge_detection.exporters.quantization.quantize import Quantization
    from human_edge_detection.exporters.quantization.report import Speed

_THREADS: Final = 1
_ROIS: Final = 3
_ROUNDS: Final = 41
_SECONDS: Final = 30.0


@explained()
def quantize(
    model: str | Path,
    *,
    train_data: Data | None = None,
    val_data: Data | None = None,
    calibration_images: int = 64,
    seed: int = 0,
    max_loss: float = 0.005,
    scan_minutes: float = 5.0,
    output_dir: str | Path = OUTPUT_DIR,
) -> Quantization:
    """Quantises an exported model to 8-bit integers; writes ``best_model.int8.onnx`` beside ``best_model.onnx``.

    Static, in QDQ format, weights per channel, ranges of activations from training images. Layers that hurt stay in
    float.

    Args:
        model: An ``.onnx`` file of ``hed export``, or name or folder of a run that was exported.
        train_data: Training data: a folder, or annotations and folder of images; None: those of the run.
        val_data: Validation data, alike.
        calibration_images: Training images that ranges are measured on; at most half of those with persons.
        seed: Draws them.
        max_loss: What mIoU on the validation images may lose.
        scan_minutes: For trying which layers hurt, which happens only if all in integers lose too much.
        output_dir: Folder of all runs.

    Raises:
        ConfigError: There is no such run, the file is none to quantise, or an argument is out of range.
        CheckpointError: The run was not exported, or the file is damaged.
        DataError: The data cannot be used, nothing says where they are, or too few training images show persons.
        ExportError: It loses too much or is not faster on this machine; the file is not written, the report is.

    Example:
        made = hed.quantize("quickstart_edge_from_b3")
        print(made.file, made.report.quantized_share, made.report.speed)
    """
    for name, value, least, most in (
        ("calibration_images", calibration_images, 1, 100_000),
        ("seed", seed, 0, 2**32 - 1),
        ("max_loss", max_loss, 0, 1),
        ("scan_minutes", scan_minutes, 0, 10_000),
    ):
        if not least <= value <= most:
            raise ConfigError(f"--{name}: expected {least} to {most}, got {value}")
    from human_edge_detection.api.results import split_of

    given = {"train": split_of(train_data, "train"), "val": split_of(val_data, "val")}
    file = _file_of(model, Path(output_dir))

    from human_edge_detection.engine.evaluation.evaluate_exported import read_annotations_for_file
    from human_edge_detection.engine.exported import open_exported
    from human_edge_detection.exporters.quantization import quantize as quantization
    from human_edge_detection.limits import allowed_cores

    opened = open_exported(file, threads=allowed_cores())
    quantization.check_model(opened)
    train = read_annotations_for_file(opened, "train", given["train"])
    val = read_annotations_for_file(opened, "val", given["val"])
    settings = quantization.Settings(calibration_images, seed, max_loss, 60.0 * scan_minutes)
    return quantization.quantize(opened, train, val, settings, _race)


def _file_of(model: str | Path, output_dir: Path) -> Path:
    """The exported file that is named, or that of the run."""
    from human_edge_detection.runs.lookup.find import find_runs
    from human_edge_prediction.suffixes import MODEL_SUFFIXES

    if Path(model).suffix in MODEL_SUFFIXES:
        return Path(model)
    if Path(model).suffix == ".pth":
        raise ConfigError(f"{model} is a checkpoint, and exported files are quantised; give the .onnx of hed export")
    runs = find_runs(model, output_dir).runs
    if len(runs) > 1:
        raise ConfigError(f"{model}: {len(runs)} runs of several seeds; name one, {model}/seed_N")
    if not runs[0].onnx.is_file():
        raise CheckpointError(f"{runs[0].root} was not exported; give hed export {model} first")
    return runs[0].onnx


def _race(first: Path, second: Path) -> Speed:
    """Times two files with one thread and one image, by processor time, which other programs hardly change."""
    from human_edge_detection.benchmarking.latency import race
    from human_edge_detection.engine.exported import open_exported
    from human_edge_detection.exporters.quantization.report import Speed
    from human_edge_detection.runs.provenance import processor_name

    models = [open_exported(file, threads=_THREADS) for file in (first, second)]
    rois = _ROIS if models[0].takes_rois else None
    before, after = race(models[0], models[1], rois=rois, rounds=_ROUNDS, seconds=_SECONDS)
    return Speed(before.cpu, after.cpu, _THREADS, rois, processor_name())
