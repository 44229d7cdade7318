"""What models cost and what they score, ours beside others'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from human_edge_detection.api.request import OUTPUT_DIR
from human_edge_detection.errors import explained

if TYPE_CHECKING:
    from human_edge_detection.api.results import Data
    from human_edge_detection.benchmarking.records import Benchmark

OUTPUT = "experiment_benchmark"
"""Folder of the report, in the current one, unless another is given."""


class BenchmarkReport(NamedTuple):
    """A benchmark and where it was written."""

    benchmark: Benchmark
    files: tuple[Path, ...]


@explained()
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

    All are loaded and take turns. What is no file is exported first; an experiment has random weights, and no scores.

    Args:
        models: ``.onnx``, ``.tflite`` and ``.xml`` files, checkpoints, names or folders of runs, names of experiments.
        threads: Numbers of threads of the CPU.
        image_sizes: (height, width) of the images; None: each model's own. An exported file has its own in any case.
        rois: Numbers of boxes that models with a head for rois are asked about.
        data: Validation data for the scores: a folder, or annotations and folder of images; None: no scores.
        adapters: For each file that is not ours, by its path or name: its description, or the JSON file of it.
            ``NAME.adapter.json`` beside the model is found without.
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
    from human_edge_detection.api.results import split_of
    from human_edge_detection.benchmarking.records import Settings
    from human_edge_detection.benchmarking.sources import choose_reference, find_sources

    sizes = None if image_sizes is None else tuple(dict.fromkeys((height, width) for height, width in image_sizes))
    settings = Settings(tuple(dict.fromkeys(threads)), sizes, tuple(dict.fromkeys(rois)), rounds)
    names = [str(model) for model in ([models] if isinstance(models, str | Path) else models)]
    chosen = None if reference is None else str(reference)
    names = list(dict.fromkeys(names if chosen is None else [*names, chosen]))
    split = split_of(data, "val")
    sources = find_sources(names, adapters or {}, Path(output_dir))

    from human_edge_detection.benchmarking.benchmark import run_benchmark
    from human_edge_detection.benchmarking.pareto import draw_pareto
    from human_edge_detection.benchmarking.report import check_folder, write_report

    check_folder(Path(output))
    measured = run_benchmark(sources, choose_reference(sources, chosen, names), settings, split)
    return BenchmarkReport(measured, tuple(write_report(measured, draw_pareto(measured), Path(output))))
