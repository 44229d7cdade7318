"""How much longer a validation takes than the model's forward passes alone; with COCO AP, and with loading.

    uv run python benchmarks/validation.py --output validation.json

All variants take turns in one process, on the same batches of drawn people; a round is one pass of each over all
images, a ratio the median over the rounds. An untrained model answers noise, whose borders and masks cost more
than those of people: so the model is run, and what is scored is the truth with some of it shifted.

forward
    The model on batches that are in memory. 1 by definition.
validation
    ``evaluate`` on the same batches, as after each epoch.
with COCO AP
    The same with COCO AP, reading of the annotation file included.
loader / validation, loaded / with COCO AP, loaded
    The three with batches from the loader, as ``hed evaluate`` makes them; compared with ``loader``.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import machine, median_ratio, take_turns
from torch import Tensor
from torch.nn.functional import one_hot

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.data.loader import validation_batches
from human_edge_detection.engine.build import build_model, build_validation_set, read_splits
from human_edge_detection.engine.device import autocast, choose_device, choose_precision
from human_edge_detection.engine.evaluation.evaluate import Predictor, evaluate, predictor
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config
from human_edge_detection.metrics.coco_ap import CocoMaskAp
from human_edge_detection.structures import IGNORE, Batch, SegmentationOutput

_SHIFT = 3
"""Pixels by which the scored answers are wrong."""
# Variant -> what it is compared with.
BASES = {
    "forward": "forward",
    "validation": "forward",
    "with COCO AP": "forward",
    "loader": "loader",
    "validation, loaded": "loader",
    "with COCO AP, loaded": "loader",
}


def config_of(args: argparse.Namespace) -> ExperimentConfig:
    return build_config(
        {
            "name": "validation",
            "data": {"sample": {"train_images": 4, "val_images": args.images, "image_size": [480, 640]}},
            "model": {
                "encoder": args.encoder,
                "encoder_weights": "none",
                "image_size": [args.image_size, args.image_size],
                "roi_size": [80, 60],
                "mask_size": [160, 120],
            },
        }
    )


def plausible(batch: Batch) -> SegmentationOutput:
    """The truth, shifted, as logits."""
    classes = batch.roi_masks.roll(_SHIFT, dims=2).long()
    logits = one_hot(classes.masked_fill(classes == IGNORE, 0), 3).movedim(-1, 1).float() * 8 - 4
    people = (batch.person_masks.roll(_SHIFT, dims=1) == 1)[:, None].float() - 0.5
    return SegmentationOutput(logits, {"full_image_logits": people})


class Validation:
    """One model and one data set, to be gone through in several ways."""

    def __init__(self, config: ExperimentConfig, people: AnnotationSet, args: argparse.Namespace) -> None:
        self.device = choose_device("auto")
        self.precision = choose_precision(args.precision, self.device)
        self.mask_size = config.model.mask_size
        self.annotations = people.file
        model = build_model(config.model).to(self.device).to(memory_format=torch.channels_last)
        self.model = predictor(model)
        dataset = build_validation_set(config.model, people)
        self.loaded = validation_batches(dataset, batch_size=args.batch_size, num_workers=args.num_workers)
        self.in_memory = list(self.loaded)
        self.answers = [plausible(batch).to(self.device) for batch in self.in_memory]

    def variants(self) -> dict[str, Callable[[], Any]]:
        kept, loaded = self.in_memory, self.loaded
        return {
            "forward": partial(self.forward, kept),
            "validation": partial(self.validate, kept),
            "with COCO AP": partial(self.validate, kept, coco=True),
            "loader": partial(self.forward, loaded),
            "validation, loaded": partial(self.validate, loaded),
            "with COCO AP, loaded": partial(self.validate, loaded, coco=True),
        }

    @torch.no_grad()
    def forward(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            on_device = batch.to(self.device)
            with autocast(self.device, self.precision):
                self.model(on_device.images, on_device.rois)
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def validate(self, batches: Iterable[Batch], *, coco: bool = False) -> dict[str, float | None]:
        coco_ap = CocoMaskAp(self.annotations) if coco else None
        return evaluate(
            self.prediction(),
            batches,
            device=self.device,
            precision=self.precision,
            mask_size=self.mask_size,
            coco_ap=coco_ap,
        )

    def prediction(self) -> Predictor:
        """The model's time, and answers such as a trained one gives, in the order of the data set."""
        outputs = iter(self.answers)

        def prediction(images: Tensor, rois: Tensor) -> SegmentationOutput:
            self.model(images, rois)
            return next(outputs)

        return prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", default="timm-efficientnet-b0")
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--num_workers", type=int, default=1)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="half a minute: fewer images, nothing loaded")
    parser.add_argument("--output", type=Path, default=Path("validation.json"))
    args = parser.parse_args()
    if args.quick:
        args.images, args.rounds = 16, 4
    config = config_of(args)
    with tempfile.TemporaryDirectory() as folder:
        people = read_splits(config.data, Path(folder), seed=0).val
        validation = Validation(config, people, args)
        variants = validation.variants()
        if args.quick:
            variants = {name: call for name, call in variants.items() if BASES[name] == "forward"}
        seconds = take_turns(variants, args.rounds)
    ratios = {name: median_ratio(taken, seconds[BASES[name]]) for name, taken in seconds.items()}
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    persons = int(people.images.person_counts.sum())
    print(f"{args.images} images, {persons} persons, {validation.device}, {validation.precision}")
    for name, ratio in ratios.items():
        print(f"{name:22}{medians[name]:8.3f} s {ratio:7.3f} x {BASES[name]}")
    result = {
        "machine": machine(),
        "arguments": vars(args) | {"persons": persons},
        "seconds": medians,
        "ratios": {f"{name} / {BASES[name]}": ratio for name, ratio in ratios.items() if name != BASES[name]},
        "lower_is_better": [f"{name} / {BASES[name]}" for name in ratios if name != BASES[name]],
    }
    args.output.write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
