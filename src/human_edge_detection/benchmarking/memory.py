"""The memory that a model takes: the growth of a process that opens it and runs it, and does nothing else."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, TextIO

from human_edge_detection.benchmarking.artefacts import Artefact
from human_edge_detection.benchmarking.latency import WARM_UP, example_call
from human_edge_detection.limits import forget_peak_memory, peak_memory, resident_memory
from human_edge_prediction import open_model

_RUNTIMES: Final = {".onnx": "onnxruntime", ".tflite": "ai_edge_litert.interpreter", ".xml": "openvino"}
"""By suffix, the library whose own memory is not the model's."""
_TIMEOUT_SECONDS: Final = 600


def measure_memory(artefact: Artefact, *, provider: str, threads: int, rois: int | None) -> float | None:
    """MiB by which the resident memory of a process of its own grows at most; None where that cannot be measured.

    Args:
        artefact: The model.
        provider: What computes.
        threads: As many compute one operator.
        rois: Boxes that it is asked about.
    """
    request = {
        "path": str(artefact.path),
        "adapter": artefact.adapter,
        "provider": provider,
        "threads": threads,
        "rois": rois,
    }
    try:
        ended = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None
    return float(ended.stdout) if ended.returncode == 0 and ended.stdout.strip() else None


def _serve(requests: TextIO, answers: TextIO) -> None:
    """The child's side: reads one request, writes MiB; nothing where the system does not say."""
    request: dict[str, Any] = json.load(requests)
    path = Path(request["path"])
    importlib.import_module(_RUNTIMES[path.suffix])
    forget_peak_memory()
    before = resident_memory()
    model = open_model(path, adapter=request["adapter"], provider=request["provider"], threads=request["threads"])
    call = example_call(model, request["rois"])
    for _ in range(WARM_UP):
        call()
    peak = peak_memory()
    if before is not None and peak is not None:
        answers.write(f"{max(0, peak - before) / 2**20}\n")


if __name__ == "__main__":
    _serve(sys.stdin, sys.stdout)
