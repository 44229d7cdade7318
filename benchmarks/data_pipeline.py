"""Milliseconds of a core for a training sample: ours, its parts, and the pipeline of the field.

    uv run python benchmarks/data_pipeline.py --data_root people --output data_pipeline.json

Without ``--data_root`` it draws people. All variants take turns, image by image, in one thread; times are of
the processor, so that what else runs on the machine counts little, and means over the images. What the loader
gives is measured by the clock. The same on a copy that ``hed prepare-data --max_side`` makes.
"""

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from measuring import machine
from plain_data import PlainData, changes, exact_sample

from human_edge_detection.data.annotations.coco import read_annotations, read_split
from human_edge_detection.data.dataset import PersonDataset
from human_edge_detection.data.drawn.data_set import write_drawn_data
from human_edge_detection.data.images.read import read_shrunk
from human_edge_detection.data.loader import training_batches
from human_edge_detection.data.prepare import Preparation, prepare
from human_edge_detection.data.views.augment import FILL_COLOR, draw_view
from human_edge_detection.data.views.view import PeopleInView, view_images
from human_edge_detection.data.views.warp import scaling, warp
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_detection.files.data_folder import SplitPaths, find_split

OURS = "ours"
PARTS = ("decode", "warp", "colours and blur", "people: boxes and masks")
Make = Callable[[int], Any]


def make_dataset(split: SplitPaths, args: argparse.Namespace) -> PersonDataset:
    """The training samples of the project."""
    return PersonDataset(
        read_annotations(*split),
        image_size=(args.image_size, args.image_size),
        mask_size=(160, 120),
        augmentation=AugmentationConfig(),
        max_rois=args.rois,
        seed=0,
    )


def variants(split: SplitPaths, dataset: PersonDataset, args: argparse.Namespace) -> dict[str, Make]:
    """Ways to make the sample at an index."""
    sizes = {"image_size": dataset.image_size, "mask_size": dataset.mask_size, "max_rois": args.rois}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells what it does
        plain, early = (PlainData(*split, **sizes, resize_first=first) for first in (False, True))
    compose = A.Compose(changes(AugmentationConfig()))
    ids = dataset.people.images.ids.tolist()
    return {
        "plain, masks at full size": lambda index: plain.sample(ids[index]),
        "plain, all shrunk first": lambda index: early.sample(ids[index]),
        "exact areas of full-size masks": lambda index: exact_sample(dataset.people, index, compose, **sizes),
        OURS: lambda index: dataset[(0, index)],
    }


def parts_of(dataset: PersonDataset, index: int) -> dict[str, float]:
    """Milliseconds of each part of our sample; the rest is bringing them together."""
    record = dataset.people.images[index]
    size = (record.height, record.width)
    view = draw_view(AugmentationConfig(), size, np.random.default_rng(index))
    path = dataset.people.images_dir / record.file_name
    matrix = scaling(*dataset.image_size[::-1]) @ view.matrix
    times = [time.thread_time()]
    image, _ = read_shrunk(path, size, 1)
    times.append(time.thread_time())
    warp(image, matrix, dataset.image_size, FILL_COLOR)
    times.append(time.thread_time())
    view_images(dataset.people, record, view, [dataset.image_size])
    times.append(time.thread_time())
    shown = PeopleInView(record, view.matrix)
    chosen = np.flatnonzero(shown.boxes[:, 2] > 0)[: dataset.max_rois]
    shown.roi_masks(shown.boxes[chosen], chosen, dataset.mask_size)
    shown.person_mask(dataset.image_size)
    times.append(time.thread_time())
    decode, warped, all_of_image, people = (1000 * value for value in np.diff(times).tolist())
    return dict(zip(PARTS, (decode, warped, all_of_image - decode - warped, people), strict=True))


def measure(split: SplitPaths, args: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a sample by variant, the ratios to ours, and parts of ours."""
    dataset = make_dataset(split, args)
    makes = variants(split, dataset, args)
    order = np.random.default_rng(0).permutation(len(dataset))[: args.images].tolist()
    seconds: dict[str, list[float]] = {name: [] for name in makes}
    parts: list[dict[str, float]] = []
    for number, index in enumerate([*order[:5], *order * args.rounds]):
        for name, make in makes.items():
            started = time.thread_time()
            make(index)
            if number >= 5:  # the first ones warm up
                seconds[name].append(time.thread_time() - started)
        parts.append(parts_of(dataset, index))
    means = {name: 1000 * statistics.fmean(values) for name, values in seconds.items()}
    return {
        "photographs": len(order),
        "milliseconds": means,
        "times_ours": {name: value / means[OURS] for name, value in means.items()},
        "parts_of_ours": {name: statistics.fmean(part[name] for part in parts[5:]) for name in PARTS},
        "loader_images_per_second": {str(workers): loader_rate(dataset, workers, args) for workers in args.workers},
    }


def loader_rate(dataset: PersonDataset, workers: int, args: argparse.Namespace) -> float:
    """Images a second of a loader that nobody keeps waiting, from its second batch on."""
    epochs = 1 + -(-args.loader_images // len(dataset))
    stream = training_batches(
        dataset, batch_size=8, seed=0, start_epoch=0, start_batch=0, epochs=epochs, num_workers=workers
    )
    next(stream)
    started, images = time.perf_counter(), 0
    for batch in stream:
        images += len(batch.images)
        if images >= args.loader_images:
            break
    rate = images / (time.perf_counter() - started)
    stream.close()
    return rate


def show(name: str, measured: dict[str, Any]) -> None:
    """Prints what was measured on one data set."""
    print(f"\n{name}, {measured['images']} images")
    for variant, value in measured["milliseconds"].items():
        print(f"{variant:32} {value:7.2f} ms {measured['times_ours'][variant]:6.2f} x ours")
    for part, value in measured["parts_of_ours"].items():
        print(f"  of ours: {part:23} {value:6.2f} ms")
    for workers, rate in measured["loader_images_per_second"].items():
        print(f"loader, {workers} workers {rate:20.0f} images/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_root", type=Path, help="default: drawn people, 480 x 640")
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--rois", type=int, default=2, help="most persons used of an image")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--loader_photographs", type=int, default=400)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--max_side", type=int, default=384, help="of the shrunk copy")
    parser.add_argument("--quick", action="store_true", help="20 images, once")
    parser.add_argument("--output", type=Path, default=Path("data_pipeline.json"))
    args = parser.parse_args()
    if args.quick:
        args.images, args.rounds, args.loader_images = 20, 1, 40
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    measured = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = args.data_root or write_drawn_data(
            folder / "drawn", train_images=max(args.images // 4, 20), val_images=2, image_size=(480, 640)
        )
        split = find_split(root, "train")
        measured["as they are"] = measure(split, args)
        show("images as they are", measured["as they are"])
        prepare({"train": read_split(*split)}, folder / "shrunk", Preparation(max_side=args.max_side))
        measured["shrunk"] = measure(find_split(folder / "shrunk", "train"), args)
        show(f"longest side {args.max_side}", measured["shrunk"])
    versions = {"cv2": cv2.__version__, "albumentations": A.__version__}
    ratios = {
        f"{name}: {variant} / ours": times
        for name, of_data in measured.items()
        for variant, times in of_data["times_ours"].items()
        if variant != OURS
    }
    report = {"machine": machine() | versions, "arguments": vars(args), "measured": measured, "ratios": ratios}
    args.output.write_text(json.dumps(report, indent=1, default=str))


if __name__ == "__main__":
    main()
