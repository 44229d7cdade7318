"""Quantises an exported file to 8-bit integers; it is written only if it is nearly as right and quicker."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import onnx

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.engine.evaluation.evaluate_exported import score
from human_edge_detection.engine.exported import open_exported, own_errors
from human_edge_detection.errors import ConfigError, DataError, ExportError
from human_edge_detection.exporters.quantization.images import draw, feeds_of
from human_edge_detection.exporters.quantization.layers import Block, blocks_of, has_gates, is_quantized
from human_edge_detection.exporters.quantization.qdq import QdqQuantizer
from human_edge_detection.exporters.quantization.report import QuantizationReport, Speed, loss_of
from human_edge_detection.exporters.quantization.sensitivity import Sensitivity, fewest_in_float, scan
from human_edge_detection.files.read import file_sha256
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.limits import allowed_cores
from human_edge_detection.runs.paths import quantized_path, run_paths_of_checkpoint
from human_edge_prediction.models.own import OwnModel

logger = logging.getLogger(__name__)

_SCANNED: Final = 8
"""Of the calibration images, those that blocks are tried on."""
_GATED: Final = (
    "the network has SiLU or squeeze-excitation, which quantise badly; encoders as Lite0 have neither, and exist for "
    "this: train an edge student (rgb_hierarchical_unet_v2_distillation_b0_edge_from_b3)"
)


class Settings(NamedTuple):
    """How to quantise.

    Attributes:
        calibration_images: To measure ranges of activations on.
        seed: Draws them.
        max_loss: Of mIoU (without a head for rois, IoU of the person map), in [0, 1].
        scan_seconds: For trying blocks alone, which happens only if all in integers lose too much.
    """

    calibration_images: int
    seed: int
    max_loss: float
    scan_seconds: float


class Quantization(NamedTuple):
    """A finished quantisation.

    Attributes:
        file: What was written.
        report_file: Where the report lies.
        report: What was measured.
    """

    file: Path
    report_file: Path
    report: QuantizationReport


class _Choice(NamedTuple):
    """A quantised model and how it was found."""

    model: onnx.ModelProto
    in_float: Sequence[Block]
    sensitivity: Sequence[Sensitivity]
    held_out_loss: float
    layers: int


def check_model(model: OwnModel) -> None:
    """Whether a file can be quantised.

    Raises:
        ConfigError: It cannot; the message says what to give instead.
    """
    if model.path.suffix != ".onnx":
        raise ConfigError(f"{model.path}: only .onnx files are quantised here; give the best_model.onnx of hed export")
    made_as = model.runtime.metadata.get("format")
    if made_as is not None:
        raise ConfigError(
            f"{model.path} is of --format {made_as}; only those of --format onnx are quantised: give the "
            "best_model.onnx of hed export"
        )
    if model.finds_persons:
        raise ConfigError(
            f"{model.path} finds the persons itself; give best_model.onnx beside it, and to hed predict this file as "
            "--detector"
        )
    graph = onnx.load(model.path).graph
    if is_quantized(graph):
        raise ConfigError(f"{model.path} is quantised already; give the float file that it was made of")
    if not blocks_of(graph):
        raise ConfigError(f"{model.path} has no convolution, so there is nothing to quantise")


def quantize(
    model: OwnModel,
    train: AnnotationSet,
    val: AnnotationSet,
    settings: Settings,
    race: Callable[[Path, Path], Speed],
) -> Quantization:
    """Writes ``best_model.int8.onnx`` beside ``best_model.onnx``, or refuses to.

    Ranges are measured, and the layers that stay in float are chosen, on training images; the validation images only
    decide whether the file is written.

    Args:
        model: The float file, which :func:`check_model` has looked at.
        train: Training images.
        val: Validation images.
        settings: See there.
        race: Times the float and the quantised file.

    Raises:
        DataError: Too few training images show persons, or an image cannot be read.
        ExportError: The file was refused. The report is written, and an older quantised file is left as it was.
        StorageError: The files cannot be written.
    """
    target = quantized_path(model.path)
    run = run_paths_of_checkpoint(model.path)
    of_run = run.config.is_file() and model.path.resolve() == run.onnx
    report_file = run.quantization if of_run else target.with_suffix(".quantization.json")
    with own_errors(), tempfile.TemporaryDirectory(prefix="hed_quantize_") as folder:
        made, content = _quantize(model, train, val, settings, race, Path(folder))
    if made.problem is None:
        write_atomically(target, content)
    write_json(report_file, made.to_json())
    if made.problem is not None:
        advice = f"; {_GATED}" if has_gates(onnx.load(model.path).graph) else ""
        raise ExportError(f"{target} was not written: {made.problem}{advice}; {report_file} has all figures")
    return Quantization(target, report_file, made)


def _quantize(
    model: OwnModel,
    train: AnnotationSet,
    val: AnnotationSet,
    settings: Settings,
    race: Callable[[Path, Path], Speed],
    folder: Path,
) -> tuple[QuantizationReport, bytes]:
    """The report, and the quantised file."""
    drawn = draw(train, settings.calibration_images, seed=settings.seed)
    metric = "miou" if model.takes_rois else "full_image_iou"
    choice = _choose(model, drawn.calibration, drawn.held_out, metric, settings, folder)
    file = folder / "int8.onnx"
    _save(choice.model, model, file)
    logger.info("scoring both files on the %d validation images", len(val.images))
    before, after = score(model, val), score(open_exported(file, threads=allowed_cores()), val)
    if before[metric] is None:
        raise DataError(f"{val.file}: nothing in it can be scored, so nobody can say what int8 loses; give other data")
    logger.info("timing both files")
    speed = race(model.path, file)
    report = QuantizationReport(
        model=model.path.name,
        model_sha256=file_sha256(model.path) or "",
        calibration_images=len(drawn.calibration.images),
        held_out_images=len(drawn.held_out.images),
        seed=settings.seed,
        metric=metric,
        held_out_loss=choice.held_out_loss,
        float_metrics=before,
        int8_metrics=after,
        max_loss=settings.max_loss,
        layers=choice.layers,
        float_layers=tuple(name for block in choice.in_float for name in block.convolutions),
        sensitivity={one.block.convolutions[0]: one.difference for one in choice.sensitivity},
        speed=speed,
        float_bytes=model.path.stat().st_size,
        int8_bytes=0,
        int8_sha256="",
        problem=None,
    )
    judged = replace(report, problem=_problem(report))
    content = _save(choice.model, model, file, judged)
    return replace(judged, int8_bytes=len(content), int8_sha256=hashlib.sha256(content).hexdigest()), content


def _choose(
    model: OwnModel,
    calibration: AnnotationSet,
    held_out: AnnotationSet,
    metric: str,
    settings: Settings,
    folder: Path,
) -> _Choice:
    """All blocks in integers where the held-out images bear it, else without those that hurt them most."""
    images = feeds_of(model, calibration)
    logger.info("measuring ranges of activations on %d training images", len(images))
    quantizer = QdqQuantizer(model.path, images, folder)
    expected = score(model, held_out)

    @cache
    def loss_without(in_float: tuple[Block, ...]) -> float:
        file = folder / "candidate.onnx"
        _save(quantizer.quantized([block for block in quantizer.blocks if block not in in_float]), model, file)
        loss = loss_of(metric, expected, score(open_exported(file, threads=allowed_cores()), held_out))
        logger.info(
            "%d of %d blocks in float: %s on held-out training images is %.4f lower",
            len(in_float),
            len(quantizer.blocks),
            metric,
            loss,
        )
        return loss

    in_float: list[Block] = []
    order: list[Sensitivity] = []
    if loss_without(()) > settings.max_loss:
        order = scan(quantizer, model.path.read_bytes(), images[:_SCANNED], seconds=settings.scan_seconds)
        found = fewest_in_float(order, quantizer.blocks, lambda left: loss_without(tuple(left)), settings.max_loss)
        in_float = [one.block for one in order][: len(quantizer.blocks) - 1] if found is None else found
    chosen = quantizer.quantized([block for block in quantizer.blocks if block not in in_float])
    layers = sum(len(block.convolutions) for block in quantizer.blocks)
    return _Choice(chosen, in_float, order, loss_without(tuple(in_float)), layers)


def _save(made: onnx.ModelProto, model: OwnModel, file: Path, report: QuantizationReport | None = None) -> bytes:
    """Writes ``made`` with the metadata of ``model``, and of the report, to ``file``; returns what was written."""
    said = dict(model.runtime.metadata)
    if report is not None:
        said |= report.metadata()
        if "metrics_of" in said:
            said["metrics_of"] += "; before quantisation, which has figures of its own under quantization"
    onnx.helper.set_model_props(made, said)
    content: bytes = made.SerializeToString()
    file.write_bytes(content)
    return content


def _problem(report: QuantizationReport) -> str | None:
    """Why the file is refused, with all reasons in one line; None: it is not."""
    problems = []
    before, after = (metrics[report.metric] or 0.0 for metrics in (report.float_metrics, report.int8_metrics))
    if before - after > report.max_loss:
        problems.append(
            f"{report.metric} on the validation images falls from {before:.4f} to {after:.4f}, by {before - after:.4f} "
            f"(--max_loss {report.max_loss:g})"
        )
    elif report.held_out_loss > report.max_loss:
        problems.append(
            f"{report.metric} on held-out training images falls by {report.held_out_loss:.4f} (--max_loss "
            f"{report.max_loss:g})"
        )
    speed = report.speed
    if speed.speedup <= 1.0:
        problems.append(
            f"it is not faster on this machine ({speed.processor}): {speed.int8_ms:.2f} ms instead of "
            f"{speed.float_ms:.2f} ms, {speed.speedup:.2f} times as fast"
        )
    return "; and ".join(problems) or None
