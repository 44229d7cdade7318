"""Exports the student of a checkpoint to an ONNX file, which is written only if its outputs match those of PyTorch."""

from __future__ import annotations

import copy
import json
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import onnx
import onnxsim
import torch
from torch import Tensor, nn

from human_edge_detection import __version__
from human_edge_detection.advanced.deployed_head import deployed
from human_edge_detection.advanced.fast_layers.batch_norm_folding import fold_batch_norm
from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.advanced.hierarchical_segmentation_unet import PersonNetwork
from human_edge_detection.engine.build import build_validation_set
from human_edge_detection.engine.checkpoints.load import TrainedModel, load_trained, read_annotations_for
from human_edge_detection.errors import ConfigError, ExportError
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.exporters.graph import resize_by_factors
from human_edge_detection.exporters.parity import FLOAT32, Inputs, compare, parity_inputs, require_passed, summarise
from human_edge_detection.files.data_folder import SplitPaths
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.runs.paths import run_paths_of_checkpoint
from human_edge_detection.runs.records import ParityReport
from human_edge_detection.structures import CLASS_NAMES

logger = logging.getLogger(__name__)

OPSET = 18
"""Version of the ONNX operators."""
_SUFFIX = ".onnx"


class ExportableStudent(nn.Module):
    """The model with plain tensors as outputs: ``(masks, binary_masks)``, or ``(binary_masks,)`` without a roi head."""

    def __init__(self, model: RgbPersonSegmenter) -> None:
        super().__init__()
        self.model = model

    @property
    def has_rois(self) -> bool:
        """Whether the model has a roi head."""
        return self.model.head is not None

    def forward(self, images: Tensor, rois: Tensor | None = None) -> tuple[Tensor, ...]:
        """The outputs of the model.

        Args:
            images: ``(B, 3, IH, IW)`` float32 RGB in [0, 1].
            rois: ``(N, 5)``, see :class:`~human_edge_detection.structures.Batch`; None without roi head.

        Returns:
            ``masks (N, 3, H, W)`` logits and ``binary_masks (B, 1, IH, IW)`` person probabilities in [0, 1].
        """
        output = self.model(images, images.new_zeros(0, 5) if rois is None else rois)
        binary_masks = output.aux["full_image_logits"].sigmoid()
        return (binary_masks,) if rois is None else (output.logits, binary_masks)


class Destination(NamedTuple):
    """The files of an export: the model and the parity report."""

    onnx: Path
    parity: Path


class Export(NamedTuple):
    """A finished export and its parity report."""

    destination: Destination
    report: ParityReport


def export_checkpoint(checkpoint: Path, *, output: Path | None = None, data: SplitPaths | None = None) -> Export:
    """Exports the student of ``checkpoint`` and compares it with PyTorch on validation images.

    Args:
        checkpoint: A ``.pth`` of this tool.
        output: The file to write; see :func:`destination_of`.
        data: Validation data; None: that of the checkpoint's config.

    Raises:
        CheckpointError: The checkpoint cannot be used.
        DataError: The validation images cannot be used.
        ExportError: The outputs of the exported model differ, or it cannot be written. If they differ, the report is
            written (``passed`` is false), the model is not, and an older model is left as it was.
    """
    destination = destination_of(checkpoint, output)
    trained = load_trained(checkpoint)
    student = ExportableStudent(trained.model).eval()
    people = read_annotations_for(trained, "val", data)
    dataset = build_validation_set(trained.checkpoint.config.model, people)
    cases = parity_inputs(dataset, with_rois=student.has_rois)
    logger.info("exporting %s (%s)", trained.checkpoint.config.name, checkpoint)
    content = to_onnx(student, cases[-1], metadata_of(trained))
    logger.info("comparing with PyTorch on %s", people.images_dir)
    report = summarise(
        compare(content, student, cases, FLOAT32),
        FLOAT32,
        onnx=os.path.relpath(destination.onnx, destination.parity.parent),
        content=content,
        checkpoint_sha256=trained.sha256,
        opset=OPSET,
    )
    _write(destination, content, report)
    require_passed(report)
    return Export(destination, report)


def destination_of(checkpoint: Path, output: Path | None) -> Destination:
    """Where the export of ``checkpoint`` goes.

    A run's best checkpoint goes to ``best_model.onnx`` beside it and to the run's ``parity.json``; any other file goes
    beside itself with the suffix ``.onnx`` unless ``output`` says otherwise, its report to ``.parity.json``.

    Raises:
        ConfigError: ``output`` cannot be such a file.
    """
    run = run_paths_of_checkpoint(checkpoint)
    if output is not None and (output.suffix != _SUFFIX or output.is_dir()):
        raise ConfigError(f"--output {output}: expected a file name that ends in {_SUFFIX}")
    target = output or checkpoint.with_suffix(_SUFFIX)
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise ConfigError(f"--output {output}: {folder} is not a folder; give another path")
    is_best = checkpoint.resolve() == run.best and target.resolve() == run.onnx
    return Destination(target, run.parity if is_best else target.with_suffix(".parity.json"))


def metadata_of(trained: TrainedModel) -> dict[str, str]:
    """The metadata of the ONNX file: what it was made from, and :func:`usage_of`."""
    config = trained.checkpoint.config
    return {
        "experiment": config.name,
        "epoch": str(trained.checkpoint.epoch),
        "checkpoint_sha256": trained.sha256,
        **usage_of(config.model),
    }


def usage_of(config: ModelConfig) -> dict[str, str]:
    """Metadata with everything that is needed to use an export without this package."""
    metadata = {
        "written_by": f"human-edge-detection {__version__}",
        "image_size": json.dumps(config.image_size),
        "images": "(B, 3, height, width) float32, RGB in [0, 1], the whole image stretched to image_size",
        "binary_masks": "(B, 1, height, width) probability of any person, in [0, 1]",
    }
    if config.head != "none":
        metadata |= {
            "classes": json.dumps(CLASS_NAMES),
            "mask_size": json.dumps(config.mask_size),
            "rois": "(N, 5) float32: index of the image, x1, y1, x2, y2 of a person box as fractions of the image",
            "masks": "(N, 3, height, width) logits of the classes inside each box, at mask_size",
        }
    return metadata


def export_unchecked(model: RgbPersonSegmenter, config: ModelConfig) -> bytes:
    """``model`` as ONNX for ``config.image_size``, which need not be the size that it was trained at.

    Its outputs are not compared with PyTorch's, which takes images: for measurements.
    """
    student = ExportableStudent(model).eval()
    example = {"images": torch.rand(2, 3, *config.image_size)}
    if student.has_rois:
        example["rois"] = torch.tensor([[0, 0.1, 0.1, 0.6, 0.9], [1, 0.2, 0.1, 0.9, 0.8]])
    return to_onnx(student, example, usage_of(config))


def to_onnx(student: ExportableStudent, example: Inputs, metadata: Mapping[str, str]) -> bytes:
    """``student`` as an ONNX model with any number of images and rois, simplified and checked.

    Args:
        student: In evaluation mode, on the CPU.
        example: Inputs to trace with; at least two images and two rois, as tracing takes a number of 1 for fixed.
        metadata: Stored in the model.

    Raises:
        ExportError: The simplified model has other outputs than the one it was made from.
    """
    # 1. Trace, with the numbers of images and rois dynamic.
    counts = {"images": torch.export.Dim("image_count"), "rois": torch.export.Dim("roi_count")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _deployed(student),
            kwargs=dict(example),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(example),
            output_names=["masks", "binary_masks"] if student.has_rois else ["binary_masks"],
            dynamic_shapes={name: {0: counts[name]} for name in example},
            verbose=False,
        )
    assert program is not None
    # 2. Rewrite and simplify.
    traced = program.model_proto
    resize_by_factors(traced)
    model, agrees = onnxsim.simplify(traced)
    if not agrees:
        raise ExportError(f"onnxsim {onnxsim.__version__} changed the outputs of the model; install another version")
    # 3. Remove stack traces, which hold paths of this machine; add metadata; check.
    for node in model.graph.node:
        del node.metadata_props[:]
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _deployed(student: ExportableStudent) -> ExportableStudent:
    """``student`` with folded normalisation and its head rewritten for export.

    The exported model is compared with ``student`` itself.
    """
    model = student.model
    unet = fold_batch_norm(copy.deepcopy(model.unet))
    assert isinstance(unet, PersonNetwork)
    head = None if model.head is None else deployed(model.head)
    deployed_model = RgbPersonSegmenter(unet, head, roi_size=model.roi_size, mask_size=model.mask_size)
    return ExportableStudent(deployed_model).eval()


def _write(destination: Destination, content: bytes, report: ParityReport) -> None:
    """Writes the model if it passed, then the report in any case; last, so that it never describes an older model."""
    try:
        if report.passed:
            write_atomically(destination.onnx, content)
        write_json(destination.parity, report.model_dump(mode="json"))
    except OSError as error:
        raise ExportError(
            f"the export cannot be written to {destination.onnx.parent} ({error.strerror}); give another --output"
        ) from error
