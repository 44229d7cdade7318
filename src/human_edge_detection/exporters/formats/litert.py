"""LiteRT, for phones and microcontrollers: converted by onnx2tf, a program in an environment of its own."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Final

from human_edge_detection.errors import ConfigError, ExportError
from human_edge_detection.exporters.exportable import ExportableStudent
from human_edge_detection.exporters.formats.converted import ConvertedFormat
from human_edge_detection.exporters.formats.format import Capabilities
from human_edge_detection.exporters.formats.names import FormatName
from human_edge_detection.exporters.formats.portable import write_portable
from human_edge_detection.exporters.parity import Inputs
from human_edge_prediction.models.own import CHANNELS_LAST, channels_last
from human_edge_prediction.runtimes import open_runtime

CONVERTER: Final = "onnx2tf"
INSTALL: Final = "uv tool install --python 3.12 onnx2tf==2.6.9"
"""What was tried; it wants exact versions of numpy and onnx, so it is no dependency."""
_TIMEOUT_SECONDS: Final = 900


class LiteRt(ConvertedFormat):
    """``best_model.tflite``, from the portable graph, in float32."""

    name: ClassVar[FormatName] = "litert"
    capabilities = Capabilities(any_images=False, any_rois=False, finds_persons=False, metadata_inside=False)
    suffix = ".tflite"

    def check_packages(self) -> None:
        """As of :class:`ConvertedFormat`."""
        if importlib.util.find_spec("ai_edge_litert") is None:
            raise ConfigError(
                "--format litert: ai-edge-litert is not installed, which runs the file; "
                "uv sync --inexact --extra litert, or pip install ai-edge-litert"
            )
        if shutil.which(CONVERTER) is None:
            raise ConfigError(
                f"--format litert: no program {CONVERTER} on PATH, which converts in an environment of its own; "
                f"run once: {INSTALL}"
            )

    def convert(
        self, student: ExportableStudent, cases: Sequence[Inputs], metadata: Mapping[str, str], target: Path
    ) -> Mapping[str, str]:
        """As of :class:`ConvertedFormat`."""
        graph = target.with_name("model.onnx")
        said = write_portable(student, cases, metadata, graph)
        made = _converted(graph)
        made.replace(target)
        last = channels_last(open_runtime(target, threads=1))
        texts = {name: f"{said[name]}; the channels are on the last axis" for name in last}
        return {**said, **texts, CHANNELS_LAST: json.dumps(last)}

    @property
    def runtime(self) -> str:
        """As of :class:`ConvertedFormat`."""
        return f"ai-edge-litert {version('ai-edge-litert')}"


def _converted(graph: Path) -> Path:
    """The float32 file that the converter makes of ``graph``, in a folder beside it."""
    folder = graph.with_suffix("")
    program = shutil.which(CONVERTER)
    assert program is not None
    command = [program, "-i", str(graph), "-o", str(folder), "-v", "error"]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExportError(f"--format litert: {CONVERTER} did not end ({error}); install it anew: {INSTALL}") from error
    made = folder / f"{graph.stem}_float32.tflite"
    if ended.returncode or not made.is_file():
        said = (ended.stderr + ended.stdout).strip().splitlines() or ["nothing"]
        raise ExportError(
            f"--format litert: {CONVERTER} failed with exit code {ended.returncode} ({said[-1].strip()}); "
            f"{INSTALL} is the version that was tried"
        )
    return made
