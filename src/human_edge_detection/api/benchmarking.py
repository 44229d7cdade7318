"""What models cost and what they score, ours beside others'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from human_edge_detection.api.request import OUTPUT_DIR
from human_edge_detection.errors import ConfigError

if TYPE_CHECKING:
    from human_edge_detection.api.results import Data
    from human_edge_detection.benchmarking.records import Benchmark

OUTPUT = "experiment_benchmark"
"""Folder of the report, in the current one, unless another is given."""
_MAX_THREADS = 1024
_MAX_ROIS = 1000
_MAX_ROUNDS = 100_000


class BenchmarkReport(NamedTuple):
    """A benchmark and where it was written."""

    benchmark: Benchmark
    files: tuple[Path, ...]


def benchmark(
    models: str | Path | Iterable[str | Path],
    *,
    threads: Sequence[int] = (1,),
    image_sizes: Sequence[tuple[int, int]] | None = None,
    rois: Sequence[int] = (1, 3, 10),
    data: Data | None = None,
    adapters: Mapping[str, str | Path | Mapping[str, Any]] | None = None,
    reference: str | Path | None = None,
    rounds: int = 50,
    output_dir: str | Path = OUTPUT_DIR,
    output: str | Path = OUTPUT,
) -> BenchmarkReport:
    """Latency, memory, size and, on data, accuracy of exported models, in one table; writes a report with a figure.

    All models are loaded and take turns. What is no file is exported first: a run or a checkpoint at each image size,
    an experiment with random weights (its scores stay empty).

    Args:
        models: ``.onnx`` and ``.tflite`` files, checkpoints, names or folders of runs, names of experiments.
        threads: Numbers of threads of the CPU.
        image_sizes: (height, width) of the images; None: each model's own. An exported file has its own in any case.
        rois: Numbers of boxes that models with a head for rois are asked about.
        data: Validation data for the scores: a folder, or annotations and folder of images; None: no scores.
        adapters: For each file that is not ours, by its path or name: its description, or the JSON file that has it.
            A file ``NAME.adapter.json`` beside the model is found without.
        reference: The model whose time the others' is divided by; None: the teacher of another one, else the first.
        rounds: Measurements of each case.
        output_dir: Folder of all runs.
        output: Folder of the report; files of an earlier one are replaced.

    Raises:
        ConfigError: A model, an adapter or an argument is wrong, or LiteRT is missing.
        CheckpointError: A checkpoint or a model file is damaged.
        DataError: The data cannot be used.
        StorageError: The report cannot be written.

    Example:
        report = hed.benchmark(["quickstart_teacher_b3", "quickstart_distilled_b0_from_b3"], threads=(1, 2))
        for row in report.benchmark.rows:
            print(row.model, row.rois, row.median_ms, row.ratio)
    """
    given = [models] if isinstance(models, str | Path) else list(models)
    names = list(dict.fromkeys(map(str, given)))
    if not names:
        raise ConfigError("no model: give at least one MODEL")
    if reference is not None and str(reference) not in names:
        names.append(str(reference))
    _check("threads", threads, _MAX_THREADS)
    _check("rois", rois, _MAX_ROIS)
    _check("rounds", [rounds], _MAX_ROUNDS)
    for size in image_sizes or ():
        check_image_size(size)
    from human_edge_detection.api.results import split_of
    from human_edge_detection.benchmarking.sources import choose_reference, find_sources

    split = split_of(data, "val")
    sources = find_sources(names, adapters or {}, Path(output_dir))

    from human_edge_detection.benchmarking.benchmark import run_benchmark
    from human_edge_detection.benchmarking.pareto import draw_pareto
    from human_edge_detection.benchmarking.records import Settings
    from human_edge_detection.benchmarking.report import write_report

    settings = Settings(
        threads=tuple(dict.fromkeys(threads)),
        image_sizes=None if image_sizes is None else tuple(dict.fromkeys(map(tuple, image_sizes))),  # type: ignore[arg-type]
        rois=tuple(dict.fromkeys(rois)),
        rounds=rounds,
    )
    chosen = choose_reference(sources, None if reference is None else str(reference), names)
    measured = run_benchmark(sources, chosen, settings, split)
    return BenchmarkReport(measured, tuple(write_report(measured, draw_pareto(measured), Path(output))))


def check_image_size(size: tuple[int, int]) -> None:
    """Refuses a (height, width) that no network takes.

    Raises:
        ConfigError: A side is no multiple of 32, or too large.
    """
    if any(side % 32 or not 32 <= side <= 4096 for side in size):
        raise ConfigError(f"--image_sizes: sides must be multiples of 32, from 32 to 4096, got {size[0]}x{size[1]}")


def _check(name: str, values: Sequence[int], most: int) -> None:
    if not values or any(not 1 <= value <= most for value in values):
        raise ConfigError(f"--{name}: expected 1 to {most}, got {', '.join(map(str, values)) or 'none'}")
