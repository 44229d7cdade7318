"""Milliseconds of the exported model in ONNX Runtime: the U-Net for an image, the head for each roi.

    uv run python benchmarks/inference.py --output inference.json

One image with 1 and with 11 rois, taking turns; the head's time for a roi is a tenth of the difference, and what
is left of the first is the U-Net's. Untrained weights: what they are makes no difference to the time.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from measuring import machine, take_turns

from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.model_cost import describe_model
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.exporters.onnx import ExportableStudent, to_onnx

_FEW, _MANY = 1, 11


def boxes(count: int) -> torch.Tensor:
    """Rois of all sizes on one image."""
    corners = torch.rand(count, 4, generator=torch.Generator().manual_seed(0))
    far = 0.6 + 0.4 * corners[:, 2:]
    return torch.cat([torch.zeros(count, 1), 0.5 * corners[:, :2], far], dim=1)


def session(config: ModelConfig) -> Callable[[int], object]:
    """Answers for one image with as many rois as it is called with."""
    images = torch.rand(2, 3, *config.image_size, generator=torch.Generator().manual_seed(0))
    student = ExportableStudent(build_model(config)).eval()
    content = to_onnx(student, {"images": images, "rois": boxes(2)}, {})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    running = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    image = images[:1].numpy()
    rois = {count: boxes(count).numpy().astype(np.float32) for count in (_FEW, _MANY)}
    return lambda count: running.run(None, {"images": image, "rois": rois[count]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image_size", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="the student alone, 10 rounds")
    parser.add_argument("--output", type=Path, default=Path("inference.json"))
    args = parser.parse_args()
    args.rounds = 10 if args.quick else args.rounds
    rows, ratios = [], {}
    for encoder in ("b0",) if args.quick else ("b0", "b3"):
        size = (args.image_size, args.image_size)
        config = ModelConfig.model_validate({"encoder": f"timm-efficientnet-{encoder}", "image_size": size})
        run = session(config)
        seconds = take_turns({"few": partial(run, _FEW), "many": partial(run, _MANY)}, args.rounds)
        pairs = zip(seconds["few"], seconds["many"], strict=True)
        head = statistics.median((many - few) / (_MANY - _FEW) for few, many in pairs)
        unet = statistics.median(seconds["few"]) - _FEW * head
        gflops = describe_model(config).gflops
        rows.append({"encoder": encoder, "unet_ms": 1e3 * unet, "head_ms_per_roi": 1e3 * head})
        ratios[f"{encoder}: head per roi / U-Net"] = head / unet
        operations = gflops.encoder + gflops.decoder
        print(
            f"{encoder}, {args.image_size} px: U-Net {1e3 * unet:6.1f} ms ({operations:.2f} GFLOP), "
            f"head {1e3 * head:5.2f} ms a roi ({gflops.head_per_roi:.3f} GFLOP)"
        )
    report = {"machine": machine(), "arguments": vars(args), "rows": rows, "ratios": ratios}
    args.output.write_text(json.dumps(report | {"lower_is_better": list(ratios)}, indent=1, default=str))


if __name__ == "__main__":
    main()
