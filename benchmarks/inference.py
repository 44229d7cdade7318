"""Milliseconds of the exported model in ONNX Runtime: encoder, decoder, head for each roi, of teacher and students.

    uv run python benchmarks/inference.py --output inference.json

One image with 1 and with 11 rois, and the encoder alone, taking turns, each with one thread and in processor time,
which other programs hardly change. The head's time for a roi is a tenth of the difference, and ``rois`` is three times
that; the decoder's time is what is left of the first without head and encoder. What finding persons costs is what a
model takes longer that finds one itself than the model that is given one. Shares are of the B3. Random weights: what
they are makes no difference to the time.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from measuring import machine
from torch import Tensor, nn

from human_edge_detection.advanced.fast_layers.batch_norm_folding import fold_batch_norm
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.model_cost import describe_model
from human_edge_detection.experiments.config_manager import get_config
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.exporters.detector_parity import MIN_SCORE
from human_edge_detection.exporters.exportable import ExportableDetector, ExportableStudent
from human_edge_detection.exporters.graph import with_constant
from human_edge_detection.exporters.onnx import OPSET, to_onnx

_FEW, _MANY, _USUAL = 1, 11, 3
# Name -> experiment; heads at the preset's sizes.
MODELS = {
    "b3": "rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r80x60m160x120_disttrans_contdet_baware",
    "b0": "rgb_hierarchical_unet_v2_student_b0",
    "edge": "rgb_hierarchical_unet_v2_student_b0_edge",
    "tiny": "rgb_hierarchical_unet_v2_student_edge_tiny",
}


class _Encoder(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.encoder(images)[1:])


def boxes(count: int) -> Tensor:
    """Rois of all sizes on one image."""
    corners = torch.rand(count, 4, generator=torch.Generator().manual_seed(0))
    far = 0.6 + 0.4 * corners[:, 2:]
    return torch.cat([torch.zeros(count, 1), 0.5 * corners[:, :2], far], dim=1)


def calls_of(config: ModelConfig) -> dict[str, Callable[[], object]]:
    """The exported model with few and many rois, its encoder alone, and, with a detector, as it finds few itself."""
    images = torch.rand(2, 3, *config.image_size, generator=torch.Generator().manual_seed(0))
    model = build_model(config).eval()
    whole = _session(to_onnx(ExportableStudent(model).eval(), {"images": images, "rois": boxes(2)}, {}))
    encoder = _Encoder(fold_batch_norm(model.unet.unet.encoder)).eval()
    program = torch.onnx.export(
        encoder, (images[:1],), dynamo=True, opset_version=OPSET, input_names=["images"], verbose=False
    )
    assert program is not None
    alone, image = _session(program.model_proto.SerializeToString()), images[:1].numpy()
    rois = {count: boxes(count).numpy().astype(np.float32) for count in (_FEW, _MANY)}
    finds = {}
    if model.detector is not None:
        example = {"images": images, MIN_SCORE: torch.tensor(0.0)}
        content = to_onnx(ExportableDetector(model, max_persons=_FEW).eval(), example, {})
        finds["finds"] = partial(_session(with_constant(content, MIN_SCORE, 0.0)).run, None, {"images": image})
    return {
        **finds,
        "encoder": partial(alone.run, None, {"images": image}),
        **{
            name: partial(whole.run, None, {"images": image, "rois": rois[count]})
            for name, count in (("few", _FEW), ("many", _MANY))
        },
    }


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def processor_seconds(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median of each call, ``rounds`` of each in turns; a first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = time.thread_time()
            call()
            if number:
                seconds[name].append(time.thread_time() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image_size", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="students alone, 10 rounds")
    parser.add_argument("--output", type=Path, default=Path("inference.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = list(MODELS)[1:] if args.quick else list(MODELS)
    size = {"image_size": (args.image_size, args.image_size)}
    configs = {name: get_config(MODELS[name]).model.model_copy(update=size) for name in names}
    calls = {f"{name}: {part}": call for name in names for part, call in calls_of(configs[name]).items()}
    seconds = processor_seconds(calls, 10 if args.quick else args.rounds)
    parts, ratios = {}, {}
    for name in names:
        encoder, few, many = (seconds[f"{name}: {part}"] for part in ("encoder", "few", "many"))
        roi = (many - few) / (_MANY - _FEW)
        parts[name] = {"encoder": 1e3 * encoder, "decoder": 1e3 * (few - roi - encoder), "rois": 1e3 * _USUAL * roi}
        ratios[f"{name}: head per roi / U-Net"] = roi / (few - roi)
    finding: dict[str, float] = {}
    whole = sum(parts[names[0]].values())
    for name, of_model in parts.items():
        total = sum(of_model.values())
        shares = ", ".join(f"{part} {value:6.1f} ms ({value / whole:5.1%})" for part, value in of_model.items())
        gflops = describe_model(configs[name]).gflops
        more = ""
        if f"{name}: finds" in seconds:
            finding[name] = 1e3 * (seconds[f"{name}: finds"] - seconds[f"{name}: few"])
            more = f"; finding persons {finding[name]:.1f} ms ({finding[name] / whole:.1%}) more"
        print(
            f"{name:5s} {args.image_size} px: {shares}, in all {total:6.1f} ms: {whole / total:4.1f} x {names[0]}; "
            f"{gflops.encoder + gflops.decoder:.2f} GFLOP, {gflops.head_per_roi:.3f} a roi{more}"
        )
    figures = {"milliseconds": parts, "finding": finding, "ratios": ratios}
    report = {"machine": machine(), "arguments": vars(args), **figures}
    args.output.write_text(json.dumps(report | {"lower_is_better": list(ratios)}, indent=1, default=str))


if __name__ == "__main__":
    main()
