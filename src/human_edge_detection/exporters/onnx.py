"""Exports the student of a checkpoint to an ONNX file, which is written only if its outputs match those of PyTorch."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import onnx
import onnxsim
import torch

from human_edge_detection import __version__
from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
from human_edge_detection.engine.build import build_validation_set
from human_edge_detection.engine.checkpoints.load import TrainedModel, load_trained, read_annotations_for
from human_edge_detection.errors import ConfigError, ExportError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.model import DetectorConfig, ModelConfig
from human_edge_detection.exporters.detector_parity import MIN_SCORE, compare_detector, summarise_detector
from human_edge_detection.exporters.exportable import Exportable, ExportableDetector, ExportableStudent
from human_edge_detection.exporters.graph import resize_by_factors, with_constant
from human_edge_detection.exporters.parity import FLOAT32, Inputs, compare, parity_inputs, require_passed, summarise
from human_edge_detection.files.data_folder import SplitPaths
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.runs.model_facts.usage import detector_outputs_of, inputs_of, outputs_of
from human_edge_detection.runs.paths import detector_path, run_paths_of_checkpoint
from human_edge_detection.runs.records import DetectorParity, ParityReport
from human_edge_detection.structures import CLASS_NAMES
from human_edge_prediction.models.own import DETECTOR

logger = logging.getLogger(__name__)

OPSET = 18
"""Version of the ONNX operators."""
_SUFFIX = ".onnx"


class Destination(NamedTuple):
    """The files of an export: the model and the parity report."""

    onnx: Path
    parity: Path

    @property
    def detector(self) -> Path:
        """The model that finds the persons itself; written if it has a detector."""
        return detector_path(self.onnx)

    def named(self, file: Path) -> str:
        """``file`` as the report names it, so that this holds when the folder is renamed."""
        return os.path.relpath(file, self.parity.parent)


class Export(NamedTuple):
    """A finished export and its parity report."""

    destination: Destination
    report: ParityReport


def export_checkpoint(
    checkpoint: Path,
    *,
    output: Path | None = None,
    data: SplitPaths | None = None,
    min_score: float | None = None,
    max_persons: int | None = None,
    about: Callable[[], Mapping[str, str]] = dict,
) -> Export:
    """Exports the student of ``checkpoint`` and compares it with PyTorch on validation images.

    A student with a detector gets a second file, which finds the persons itself; both are written, or neither.

    Args:
        checkpoint: A ``.pth`` of this tool.
        output: The file to write; see :func:`destination_of`.
        data: Validation data; None: that of the checkpoint's config.
        min_score: Who is less likely is not found; None: that of the checkpoint's config.
        max_persons: Found in an image; None: likewise.
        about: What else is known of the model, for the metadata of both files; asked once the checkpoint is loaded.

    Raises:
        CheckpointError: The checkpoint cannot be used.
        ConfigError: ``min_score`` or ``max_persons`` is given, and the model has no detector.
        DataError: The validation images cannot be used.
        ExportError: The outputs of the exported model differ, or it cannot be written. If they differ, the report is
            written (``passed`` is false), the models are not, and older ones are left as they were.
    """
    destination = destination_of(checkpoint, output)
    trained = load_trained(checkpoint)
    config = _detector_config(trained.checkpoint.config, min_score, max_persons)
    student = ExportableStudent(trained.model).eval()
    people = read_annotations_for(trained, "val", data)
    dataset = build_validation_set(trained.checkpoint.config.model, people)
    cases = parity_inputs(dataset, with_rois=student.has_rois)
    logger.info("exporting %s (%s)", trained.checkpoint.config.name, checkpoint)
    known = about()
    content = to_onnx(student, cases[-1], {**known, **metadata_of(trained)})
    logger.info("comparing with PyTorch on %s", people.images_dir)
    measured = compare(content, student, cases, FLOAT32)
    files = {destination.onnx: content}
    detector = None
    if config is not None:
        files[destination.detector], detector = _export_detector(
            trained, config, cases, destination.named(destination.detector), known
        )
    elif destination.detector.exists():
        logger.warning("%s is of another model: this one has no detector", destination.detector)
    report = summarise(
        measured,
        FLOAT32,
        onnx=destination.named(destination.onnx),
        content=content,
        checkpoint_sha256=trained.sha256,
        opset=OPSET,
        detector=detector,
    )
    _write(files, destination.parity, report)
    require_passed(report)
    return Export(destination, report)


def _detector_config(
    config: ExperimentConfig, min_score: float | None, max_persons: int | None
) -> DetectorConfig | None:
    """The detector's section with what is asked for; None without a detector, of which nothing may be asked."""
    asked = {
        name: value for name, value in (("min_score", min_score), ("max_persons", max_persons)) if value is not None
    }
    detector = config.model.detector
    if detector is None and asked:
        raise ConfigError(
            f"--{next(iter(asked))}: {config.name} has no detector and finds no persons; leave this out and give it "
            "boxes, or train a model with model.detector"
        )
    return None if detector is None else detector.model_copy(update=asked)


def _export_detector(
    trained: TrainedModel, config: DetectorConfig, cases: Sequence[Inputs], name: str, known: Mapping[str, str]
) -> tuple[bytes, DetectorParity]:
    """The model that finds the persons itself, called ``name`` in the report, and how it compares with PyTorch."""
    detector = ExportableDetector(trained.model, max_persons=config.max_persons).eval()
    example = {"images": cases[-1]["images"], MIN_SCORE: torch.tensor(config.min_score)}
    traced = to_onnx(detector, example, {**known, **detector_metadata_of(trained, config)})
    measured = compare_detector(traced, trained.model, config, cases, FLOAT32)
    content = with_constant(traced, MIN_SCORE, config.min_score)
    return content, summarise_detector(measured, FLOAT32, onnx=name, content=content)


def destination_of(checkpoint: Path, output: Path | None) -> Destination:
    """Where the export of ``checkpoint`` goes.

    A run's best checkpoint goes to ``best_model.onnx`` beside it and to the run's ``parity.json``; any other file goes
    beside itself with the suffix ``.onnx`` unless ``output`` says otherwise, its report to ``.parity.json``.

    Raises:
        ConfigError: ``output`` cannot be such a file.
    """
    run = run_paths_of_checkpoint(checkpoint)
    target = output or checkpoint.with_suffix(_SUFFIX)
    check_target(target, output, _SUFFIX)
    is_best = checkpoint.resolve() == run.best and target.resolve() == run.onnx
    return Destination(target, run.parity if is_best else target.with_suffix(".parity.json"))


def check_target(target: Path, output: Path | None, suffix: str) -> None:
    """Refuses a ``target``, which is ``output`` where that is given, that does not end in ``suffix`` or cannot be made.

    Raises:
        ConfigError: It is such a one.
    """
    if output is not None and (output.suffix != suffix or output.is_dir()):
        raise ConfigError(f"--output {output}: expected a file name that ends in {suffix}")
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise ConfigError(f"--output {output}: {folder} is not a folder; give another path")


def metadata_of(trained: TrainedModel) -> dict[str, str]:
    """The metadata of the ONNX file: what it was made from, and :func:`usage_of`."""
    config = trained.checkpoint.config
    metadata = {
        "experiment": config.name,
        "epoch": str(trained.checkpoint.epoch),
        "checkpoint_sha256": trained.sha256,
        **usage_of(config.model),
    }
    if config.model.detector is not None:
        metadata[DETECTOR] = "in a file of its own, *.detect.onnx, which finds the persons"
    return metadata


def usage_of(config: ModelConfig) -> dict[str, str]:
    """Metadata with everything that is needed to use an export without this package."""
    metadata = {
        "written_by": f"human-edge-detection {__version__}",
        "image_size": json.dumps(config.image_size),
        **inputs_of(config),
        **outputs_of(config),
    }
    if config.head != "none":
        metadata |= {"classes": json.dumps(CLASS_NAMES), "mask_size": json.dumps(config.mask_size)}
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


def detector_metadata_of(trained: TrainedModel, config: DetectorConfig) -> dict[str, str]:
    """The metadata of the ONNX file that finds the persons itself."""
    return {name: text for name, text in metadata_of(trained).items() if name not in ("rois", DETECTOR)} | {
        **detector_outputs_of(trained.checkpoint.config.model),
        "min_score": json.dumps(config.min_score),
        "max_persons": json.dumps(config.max_persons),
    }


def to_onnx(student: Exportable, example: Inputs, metadata: Mapping[str, str], *, static: bool = False) -> bytes:
    """``student`` as an ONNX model, simplified and checked.

    Args:
        student: In evaluation mode, on the CPU.
        example: Inputs to trace with; at least two images and two rois, as tracing takes a number of 1 for fixed.
        metadata: Stored in the model.
        static: For the numbers of images and rois of ``example``; else for any.

    Raises:
        ExportError: The simplified model has other outputs than the one it was made from.
    """
    # 1. Trace, with the numbers of images and rois dynamic unless they are fixed.
    counts = {"images": torch.export.Dim("image_count"), "rois": torch.export.Dim("roi_count")}
    shapes = {name: {0: counts[name]} if name in counts else {} for name in example}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            student.deployed(),
            kwargs=dict(example),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(example),
            output_names=list(student.outputs),
            dynamic_shapes=None if static else shapes,
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
    _name_found(model.graph)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _name_found(graph: onnx.GraphProto) -> None:
    """Names the number of persons that the model found, which has a made-up name as it depends on the data."""
    for value in (*graph.value_info, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param == "u0":
                size.dim_param = "person_count"


def _write(files: Mapping[Path, bytes], parity: Path, report: ParityReport) -> None:
    """Writes the models if they passed, then the report in any case; last, so that it describes no older model."""
    try:
        if report.passed:
            for path, content in files.items():
                write_atomically(path, content)
        write_json(parity, report.model_dump(mode="json"))
    except OSError as error:
        raise ExportError(
            f"the export cannot be written to {next(iter(files)).parent} ({error.strerror}); give another --output"
        ) from error
