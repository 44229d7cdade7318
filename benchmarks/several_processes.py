"""One flat sum of gradients, or DistributedDataParallel: which is quicker, for a student of this tool?

    uv run python benchmarks/several_processes.py

Two processes (gloo on the CPU, one thread each) make updates of the same student with random images, in turns by both
ways, and by none. ``docs/decisions/0020-gradients-are-summed-once.md`` has what came of it.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Final

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.ranks import Ranks
from human_edge_detection.experiments.registry import get_config

EXPERIMENT: Final = "rgb_hierarchical_unet_v2_student_b0"
WAYS: Final = ("alone", "flat sum", "DDP")
PROCESSES: Final = 2


def measure(number: int, folder: str, rounds: int, images: int, size: int) -> None:
    """Times the updates of one process; the first writes the seconds of each way."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "29517"}
    dist.init_process_group("gloo", rank=number, world_size=PROCESSES)
    config = get_config(EXPERIMENT)
    model = build_model(config.model.model_copy(update={"encoder_weights": "none"})).train()
    wrapped = DistributedDataParallel(model, find_unused_parameters=True)
    ranks = Ranks(number, PROCESSES)
    pixels = torch.rand(images, 3, size, size)
    boxes = torch.tensor([[image, 0.1, 0.1, 0.9, 0.9] for image in range(images)])
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(rounds * len(WAYS)):
        way = WAYS[turn % len(WAYS)]
        model.zero_grad(set_to_none=True)
        dist.barrier()
        started = time.perf_counter()
        _update(model, wrapped, ranks, way, pixels, boxes)
        seconds[way].append(time.perf_counter() - started)
    if number == 0:
        Path(folder, "seconds.json").write_text(json.dumps(seconds))
    dist.destroy_process_group()


def _update(
    model: nn.Module, wrapped: nn.Module, ranks: Ranks, way: str, pixels: torch.Tensor, boxes: torch.Tensor
) -> None:
    if way == "DDP":
        wrapped(pixels, boxes).logits.square().mean().backward()
        return
    model(pixels, boxes).logits.square().mean().backward()
    if way == "flat sum":
        ranks.sum_gradients(list(model.parameters()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="updates by each way")
    parser.add_argument("--images", type=int, default=4, help="in a process")
    parser.add_argument("--size", type=int, default=128, help="side of an image, pixels")
    parser.add_argument("--quick", action="store_true", help="few updates, to see that it works")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        rounds = 3 if args.quick else args.rounds
        spawn(measure, (folder, rounds, args.images, args.size), nprocs=PROCESSES)  # type: ignore[no-untyped-call]
        seconds = json.loads(Path(folder, "seconds.json").read_text())
    medians = {way: statistics.median(times[1:]) for way, times in seconds.items()}
    ratios = {"DDP, in flat sums": medians["DDP"] / medians["flat sum"]}
    for way, median in medians.items():
        print(f"{way:>10}: {median * 1000:.1f} ms an update")
    print(f"DDP takes {ratios['DDP, in flat sums']:.3f} of the time of one flat sum")
    if args.output:
        args.output.write_text(json.dumps({"seconds": medians, "ratios": ratios}, indent=2))


if __name__ == "__main__":
    main()
