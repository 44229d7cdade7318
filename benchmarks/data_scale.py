"""What annotations of COCO's size cost: reading, opening, memory of data workers, access to one image.

    uv run python benchmarks/data_scale.py --work_dir /tmp/data_scale --output data_scale.json

Draws COCO files of made-up persons (as many to an image, points to a polygon and crowds as COCO has; images
are empty files), and prints, each measured in a process of its own, in turn, median of ``--repeats``:

json.load
    The file read by Python's json, to compare with.
first reading
    ``read_annotations`` without an index: reads, checks, writes the index.
opening
    ``read_annotations`` with the index.
image
    One image with its persons, at random, from files of all ``--sizes``.
worker
    Private and proportional memory of a process that was given the annotations, at its start and after each of two
    passes over all images; forked and spawned, two at a time.
"""

import argparse
import gc
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measuring import in_a_process, processor_line

from human_edge_detection.data.annotations.coco import AnnotationSet, read_annotations

PERSONS_PER_IMAGE = 262_465 / 64_115
CROWDS = 5_212 / 262_465
SECOND_POLYGON = 0.12
LOG_POINTS = (3.15, 0.63)
"""Mean and deviation of the logarithm of a polygon's number of points: 28 in the mean, as in COCO's files."""


class Cost(NamedTuple):
    """Of one call in a fresh process: seconds of wall clock and of processor, MB of memory at its peak."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


class Data(NamedTuple):
    """One data set on the disk."""

    annotations: Path
    images: Path


def write_data(folder: Path, images: int) -> Data:
    """Draws annotations for so many images, and makes these as empty files, unless they are there."""
    data = Data(folder / f"{images}.json", folder / f"{images}")
    if data.annotations.is_file():
        return data
    rng = np.random.default_rng(0)
    data.images.mkdir(parents=True, exist_ok=True)
    persons = round(images * PERSONS_PER_IMAGE)
    counts = 1 + rng.multinomial(persons - images, rng.dirichlet(np.full(images, 0.8)))
    content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": []}
    for image_id, count in enumerate(counts.tolist(), start=1):
        height, width = (480, 640) if rng.random() < 0.75 else (640, 480)
        name = f"{image_id:012d}.jpg"
        (data.images / name).touch()
        url = f"http://images.cocodataset.org/train2017/{name}"
        image = {"id": image_id, "file_name": name, "height": height, "width": width, "coco_url": url, "license": 3}
        content["images"].append(image)
        content["annotations"] += [draw_person(rng, image_id, height, width) for _ in range(count)]
    order = rng.permutation(persons).tolist()  # as in COCO, persons of one image do not stand together
    content["annotations"] = [{"id": n, **content["annotations"][n]} for n in order]
    content["categories"] = [{"id": 1, "name": "person"}]
    partial = data.annotations.with_suffix(".part")
    partial.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
    partial.replace(data.annotations)
    return data


def draw_person(rng: np.random.Generator, image_id: int, height: int, width: int) -> dict[str, Any]:
    """An annotation without its id."""
    entry = {"image_id": image_id, "category_id": 1, "iscrowd": 0}
    if rng.random() < CROWDS:
        cuts = np.sort(rng.choice(height * width, 2 * int(rng.integers(35, 1000)), replace=False))
        counts = np.diff(np.concatenate([[0], cuts, [height * width]])).tolist()
        crowd = {"size": [height, width], "counts": counts}
        return entry | {"iscrowd": 1, "bbox": [0, 0, width, height], "segmentation": crowd}
    polygons = [draw_outline(rng, height, width) for _ in range(1 + (rng.random() < SECOND_POLYGON))]
    points = np.concatenate(polygons)
    low, high = points.min(axis=0), points.max(axis=0)
    bbox = np.concatenate([low, high - low]).round(2).tolist()
    area = float(np.prod(high - low) * 0.6)
    segmentation = [polygon.ravel().tolist() for polygon in polygons]
    return entry | {"bbox": bbox, "area": area, "segmentation": segmentation}


def draw_outline(rng: np.random.Generator, height: int, width: int) -> np.ndarray[Any, Any]:
    """``(points, 2)``: something uneven and upright, clipped to the image, with two decimals."""
    count = max(4, round(float(np.exp(rng.normal(*LOG_POINTS)))))
    tall = float(np.clip(np.exp(rng.normal(4.2, 0.9)), 8, 0.95 * height))
    angles = 2 * np.pi * np.sort(rng.random(count))
    radius = 1 + 0.27 * rng.normal() * np.sin(3 * angles + rng.uniform(0, 6)) + 0.3 * np.sin(5 * angles)
    radius = np.abs(radius + rng.normal(0, 0.07, count))
    x = rng.uniform(0, width) + tall * rng.uniform(0.12, 0.45) * radius * np.cos(angles)
    y = rng.uniform(0, height) + tall / 2 * radius * np.sin(angles)
    return np.stack([np.clip(x, 0, width), np.clip(y, 0, height)], axis=1).round(2)


def cost_of_loading(file: Path) -> Cost:
    def load() -> None:
        with file.open(encoding="utf-8") as opened:
            json.load(opened)

    return cost(load)


def cost_of_reading(data: Data) -> Cost:
    return cost(lambda: read_annotations(*data))


def cost(call: Callable[[], Any]) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu, memory("/proc/self/status", "VmHWM"))


def memory(file: str, *fields: str) -> float:
    """Sum of these fields of a file in ``/proc``, MB."""
    lines = (line.split() for line in Path(file).read_text(encoding="utf-8").splitlines())
    return sum(float(words[1]) / 1024 for words in lines if words[0].rstrip(":") in fields)


def microseconds_of_access(data: Data) -> float:
    records = read_annotations(*data).images
    order = random.Random(0).choices(range(len(records)), k=20_000)  # noqa: S311 (no secret)
    for index in order[:2000]:
        records[index]
    started = time.process_time()
    for index in order:
        records[index]
    return (time.process_time() - started) / len(order) * 1e6


def worker(people: AnnotationSet) -> list[dict[str, float]]:
    """Memory at the start and after each of two passes."""
    taken = []
    for _ in range(3):
        gc.collect()
        taken.append(
            {
                "private_mb": memory("/proc/self/smaps_rollup", "Private_Clean", "Private_Dirty"),
                "proportional_mb": memory("/proc/self/smaps_rollup", "Pss"),
                "blocks": sys.getallocatedblocks(),
            }
        )
        if len(taken) < 3:
            order = np.random.default_rng(len(taken)).permutation(len(people.images)).tolist()
            for index in order:
                people.images[index]
            del order
    return taken


def measure_workers(data: Data) -> dict[str, list[dict[str, float]]]:
    """Of the first of two workers, by how they were started."""
    people = read_annotations(*data)
    found = {}
    for method in ("fork", "spawn"):
        with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
            both = [pool.submit(worker, people) for _ in range(2)]
            found[method] = both[0].result()
    return found


def measure_reading(data: Data, cache: Path, repeats: int) -> dict[str, Cost]:
    """Medians; what is compared takes turns."""
    costs: dict[str, list[Cost]] = {"json.load": [], "first reading": [], "opening": []}
    for _ in range(repeats):
        shutil.rmtree(cache, ignore_errors=True)
        costs["json.load"].append(in_a_process(cost_of_loading, data.annotations))
        costs["first reading"].append(in_a_process(cost_of_reading, data))
        costs["opening"].append(in_a_process(cost_of_reading, data))
    return {name: Cost(*map(statistics.median, zip(*found, strict=True))) for name, found in costs.items()}


def ratios_of(reading: dict[str, Cost]) -> dict[str, Any]:
    """For ``run_all.py``: CPU seconds over those of ``json.load``."""
    base = reading["json.load"].cpu_seconds
    ratios = {f"{name} / json.load": reading[name].cpu_seconds / base for name in ("first reading", "opening")}
    return {"ratios": ratios, "lower_is_better": list(ratios)}


def show(result: dict[str, Any]) -> None:
    print(f"{result['processor']}, {result['cores']} cores, load {result['load']:.1f}, Python {result['python']}")
    print(f"{result['images']} images, {result['persons']} persons: {result['json_mb']:.0f} MB of JSON, ", end="")
    print(f"{result['index_mb']:.0f} MB of index")
    print(f"{'':16}{'seconds':>10}{'of CPU':>10}{'x json.load':>13}{'peak MB':>10}")
    base = result["reading"]["json.load"]["cpu_seconds"]
    for name, found in result["reading"].items():
        ratio = found["cpu_seconds"] / base
        print(f"{name:16}{found['seconds']:10.2f}{found['cpu_seconds']:10.2f}{ratio:13.2f}{found['peak_mb']:10.0f}")
    for images, taken in result["microseconds_of_access"].items():
        print(f"image of {images:>7}: {taken:6.1f} microseconds")
    for method, passes in result["workers"].items():
        for name in ("private_mb", "proportional_mb", "blocks"):
            print(f"worker, {method}: {name:16} {'  '.join(f'{taken[name]:10.1f}' for taken in passes)}")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All that is shown, as plain data."""
    cache = args.work_dir / "cache"
    os.environ["XDG_CACHE_HOME"] = str(cache)  # of the processes, too
    data = {images: write_data(args.work_dir, images) for images in args.sizes}
    largest = data[args.sizes[-1]]
    load = os.getloadavg()[0]
    reading = measure_reading(largest, cache, args.repeats)
    index_bytes = sum(path.stat().st_size for path in cache.rglob("*.index"))
    result = {
        "processor": processor_line("model name") or platform.processor(),
        "cores": os.cpu_count(),
        "load": load,
        "python": platform.python_version(),
        "images": args.sizes[-1],
        "persons": round(args.sizes[-1] * PERSONS_PER_IMAGE),
        "json_mb": largest.annotations.stat().st_size / 1e6,
        "index_mb": index_bytes / 1e6,
        "reading": {name: found._asdict() for name, found in reading.items()},
        "microseconds_of_access": {},
        "workers": {},
        **ratios_of(reading),
    }
    if not args.quick:
        result["microseconds_of_access"] = {n: in_a_process(microseconds_of_access, d) for n, d in data.items()}
        result["workers"] = in_a_process(measure_workers, largest)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work_dir", type=Path, help="folder for the data that are drawn; default: one for now")
    parser.add_argument("--output", type=Path, default=Path("data_scale.json"), help="JSON file to write")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 8000, 64_000], help="images; last: most")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a third of a minute: 8000 images, reading only")
    args = parser.parse_args()
    if args.quick:
        args.sizes, args.repeats = [8000], 5
    with tempfile.TemporaryDirectory() as temporary:
        args.work_dir = args.work_dir or Path(temporary)
        result = measure(args)
    args.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result)


if __name__ == "__main__":
    main()
