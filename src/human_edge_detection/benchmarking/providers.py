"""The parts of ONNX Runtime that can compute, and whether they compute anything of a model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import onnxruntime

from human_edge_detection.benchmarking.artefacts import Artefact
from human_edge_detection.benchmarking.latency import example_boxes, example_image
from human_edge_prediction import Model
from human_edge_prediction.models.chain import Chain
from human_edge_prediction.runtimes import CPU, REMOTE, Array

_SUFFIX: Final = "ExecutionProvider"


def other_providers() -> list[str]:
    """What of this machine this ONNX Runtime can use beside the CPU."""
    return [name for name in onnxruntime.get_available_providers() if name not in (CPU, REMOTE)]


def short(provider: str) -> str:
    """``"CUDA"`` for ``"CUDAExecutionProvider"``."""
    return provider.removesuffix(_SUFFIX)


def share_computed(artefact: Artefact, provider: str) -> float:
    """Share of the operators of a ``.onnx`` that ``provider`` computes, in [0, 1]; the CPU does the rest, silently.

    Raises:
        PredictionError: The provider does not start.
    """
    feeds = _last_feeds(artefact.open(provider=provider))
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        providers = list(dict.fromkeys([provider, CPU]))
        session = onnxruntime.InferenceSession(str(artefact.path), options, providers=providers)
        session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    computed = [event["args"]["provider"] for event in events if event.get("cat") == "Node" and _computes(event)]
    return computed.count(provider) / len(computed) if computed else 0.0


def _last_feeds(model: Model) -> dict[str, Array]:
    """What the last call of its runtime is given when ``model`` looks at one box."""
    feeds: dict[str, Array] = {}
    runtime = model.runtime.decoder if isinstance(model.runtime, Chain) else model.runtime
    compute = runtime.run

    def run(given: Mapping[str, Array]) -> list[Array]:
        feeds.update(given)
        return compute(given)

    runtime.run = run  # type: ignore[method-assign, assignment] # of this object, which is not used again
    model.prepared(example_image(model.input.size), example_boxes(1))()
    return feeds


def _computes(event: dict[str, dict[str, str]]) -> bool:
    return "provider" in event.get("args", {}) and "op_name" in event["args"]
