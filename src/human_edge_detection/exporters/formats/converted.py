"""Formats that are made from an ONNX graph, and compared with PyTorch as the package for prediction runs them."""

from __future__ import annotations

import logging
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from human_edge_detection.engine.build import build_validation_set
from human_edge_detection.engine.checkpoints.load import load_trained, read_annotations_for
from human_edge_detection.errors import ConfigError, ExportError
from human_edge_detection.exporters.exportable import ExportableStudent
from human_edge_detection.exporters.formats.format import Capabilities, Request
from human_edge_detection.exporters.formats.names import FormatName
from human_edge_detection.exporters.onnx import OPSET, Destination, Export, check_target, metadata_of
from human_edge_detection.exporters.parity import (
    FLOAT32,
    Inputs,
    compare_model,
    parity_inputs,
    require_passed,
    summarise,
)
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.runs.paths import run_paths_of_checkpoint
from human_edge_detection.runs.records import ParityReport, ParityTolerances
from human_edge_prediction import PredictionError, open_model
from human_edge_prediction.models.own import OwnModel
from human_edge_prediction.runtimes import SHA256, files_of, sha256_of, sidecar_path

logger = logging.getLogger(__name__)


class ConvertedFormat(ABC):
    """The flow of an export; a format says how its files are made."""

    name: ClassVar[FormatName]
    capabilities: ClassVar[Capabilities]
    suffix: ClassVar[str]
    """In place of the checkpoint's; ends in that of the file that is opened."""
    tolerances: ClassVar[ParityTolerances] = FLOAT32

    @abstractmethod
    def check_packages(self) -> None:
        """Refuses a format whose packages or programs are missing, before anything is loaded.

        Raises:
            ConfigError: One is; says how to install it.
        """

    @abstractmethod
    def convert(
        self, student: ExportableStudent, cases: Sequence[Inputs], metadata: Mapping[str, str], target: Path
    ) -> Mapping[str, str]:
        """Writes ``target`` and what belongs to it.

        Args:
            student: The trained model.
            cases: Inputs as of :func:`~human_edge_detection.exporters.parity.parity_inputs`, the largest last.
            metadata: What a file of any number of images and rois says of itself.
            target: In an empty folder.

        Returns:
            What this file says of itself.

        Raises:
            ExportError: It cannot be converted.
        """

    @property
    @abstractmethod
    def runtime(self) -> str:
        """What the outputs were computed by, with its version."""

    def export(self, request: Request) -> Export:
        """As of :class:`~human_edge_detection.exporters.formats.format.Format`."""
        for flag in ("min_score", "max_persons"):
            if getattr(request, flag) is not None:
                raise ConfigError(f"--{flag}: no file of --format {self.name} finds persons; take --format onnx")
        destination = self.destination_of(request.checkpoint, request.output)
        self.check_packages()
        trained = load_trained(request.checkpoint)
        config = trained.checkpoint.config
        student = ExportableStudent(trained.model).eval()
        people = read_annotations_for(trained, "val", request.data)
        cases = parity_inputs(build_validation_set(config.model, people), with_rois=student.has_rois)
        logger.info("exporting %s (%s) as %s", config.name, request.checkpoint, self.name)
        known = {**request.about(), **metadata_of(trained), "format": self.name}
        with tempfile.TemporaryDirectory(prefix="hed_export_") as folder:
            target = Path(folder) / destination.onnx.name
            metadata = self.convert(student, cases, known, target)
            if not self.capabilities.metadata_inside:
                write_json(sidecar_path(target), {**metadata, SHA256: sha256_of(files_of(target))})
            logger.info("comparing with PyTorch on %s", people.images_dir)
            try:
                model = open_model(target, threads=1)
                assert isinstance(model, OwnModel)
                measured = compare_model(model, student, cases, self.tolerances)
            except PredictionError as error:
                raise ExportError(f"--format {self.name}: {error}") from error
            report = summarise(
                measured,
                self.tolerances,
                onnx=destination.named(destination.onnx),
                content=b"".join(file.read_bytes() for file in files_of(target)),
                checkpoint_sha256=trained.sha256,
                opset=OPSET,
            ).model_copy(update={"format": self.name, "runtime": self.runtime})
            self._write(target, destination, report)
        require_passed(report)
        if config.model.detector is not None:
            logger.warning("the model's detector is not in %s: --format onnx writes a file for it", destination.onnx)
        return Export(destination, report)

    def destination_of(self, checkpoint: Path, output: Path | None) -> Destination:
        """Where the export of ``checkpoint`` goes; the report has the name of the file and ``.parity.json``.

        Raises:
            ConfigError: ``output`` cannot be such a file.
        """
        target = output or checkpoint.with_suffix(self.suffix)
        check_target(target, output, Path(f"any{self.suffix}").suffix)
        if target.resolve() == run_paths_of_checkpoint(checkpoint).onnx.resolve():
            raise ConfigError(f"--output {output}: is the place of the run's --format onnx; give another name")
        return Destination(target, target.with_name(f"{target.name}.parity.json"))

    def _write(self, target: Path, destination: Destination, report: ParityReport) -> None:
        """Copies the files if they passed, then the report in any case."""
        files = [*files_of(target), *([] if self.capabilities.metadata_inside else [sidecar_path(target)])]
        try:
            if report.passed:
                for file in files:
                    write_atomically(destination.onnx.with_name(file.name), file.read_bytes())
            write_json(destination.parity, report.model_dump(mode="json"))
        except OSError as error:
            raise ExportError(
                f"the export cannot be written to {destination.onnx.parent} ({error.strerror}); give another --output"
            ) from error
