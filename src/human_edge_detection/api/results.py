"""What runs left: their records, models, metrics, exports and comparisons."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from human_edge_detection.api.request import OUTPUT_DIR, check_choice
from human_edge_detection.errors import ConfigError, explained
from human_edge_detection.experiments.schema.training import check_device

if TYPE_CHECKING:
    from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter
    from human_edge_detection.engine.evaluation.evaluate_checkpoint import Evaluation
    from human_edge_detection.exporters.formats.names import FormatName
    from human_edge_detection.exporters.onnx import Export
    from human_edge_detection.files.data_folder import SplitPaths
    from human_edge_detection.runner.comparison.paired import Comparison
    from human_edge_detection.runner.comparison.table import Record, Row
    from human_edge_detection.runner.report.page import Page

logger = logging.getLogger(__name__)

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "val", "test")
Data = str | Path | tuple[str | Path, str | Path]
"""A data folder, or the annotations of one split and the folder of its images."""


def load_run(run: str | Path, *, output_dir: str | Path = OUTPUT_DIR) -> tuple[Record, ...]:
    """What a run says of itself, one record a seed: state, config, result, parity; imports no torch.

    Args:
        run: Name of a run below ``output_dir``, or a run folder; of several seeds, all.
        output_dir: Folder of all runs.

    Raises:
        ConfigError: There is no such run; names the nearest.

    Example:
        for record in hed.load_run("quickstart_student_b0"):
            print(record.name, record.state, record.result and record.result.metrics["miou"])
    """
    from human_edge_detection.runner.comparison.table import read_record
    from human_edge_detection.runs.lookup.find import find_runs
    from human_edge_detection.runs.paths import output_dir_of

    runs = find_runs(run, Path(output_dir)).runs
    return tuple(read_record(paths, paths.root.relative_to(output_dir_of(paths)).as_posix()) for paths in runs)


def load_model(run: str | Path, *, seed: int | None = None, output_dir: str | Path = OUTPUT_DIR) -> RgbPersonSegmenter:
    """The trained network, on the CPU, in float32 and evaluation mode.

    ``model(images, rois)`` takes images ``(B, 3, height, width)``, RGB in [0, 1], at the config's ``image_size``, and
    rois ``(N, 5)``: index of the image, then x1, y1, x2, y2 as fractions of it. It returns logits ``(N, 3, h, w)`` for
    background, this person, other people.

    Args:
        run: Name of a run below ``output_dir``, a run folder, or a checkpoint (``.pth``).
        seed: Which run, where there are several.
        output_dir: Folder of all runs.

    Raises:
        ConfigError: There is no such run, or there are several seeds and none is chosen.
        CheckpointError: It has no checkpoint yet, or one that is damaged.

    Example:
        model = hed.load_model("quickstart_student_b0")
        print(sum(parameter.numel() for parameter in model.parameters()))
    """
    from human_edge_detection.runs.lookup.find import best_checkpoints

    checkpoints = best_checkpoints(run, Path(output_dir), seed)
    if len(checkpoints) > 1:
        raise ConfigError(f"{run}: {len(checkpoints)} runs of several seeds; say which with seed=N")

    from human_edge_detection.engine.checkpoints.load import load_trained

    return load_trained(checkpoints[0]).model


@explained()
def evaluate(
    run: str | Path,
    *,
    split: Split = "val",
    data: Data | None = None,
    batch_size: int = 4,
    num_workers: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    output_dir: str | Path = OUTPUT_DIR,
) -> tuple[Evaluation, ...]:
    """Every metric of the best weights, COCO mask AP included; one evaluation a seed.

    Args:
        run: Name of a run below ``output_dir``, a run folder, or a checkpoint (``.pth``).
        split: Which of its data. The best epoch was chosen on ``val``, so scores on it flatter. Those on ``test`` are
            kept in the folder of a run, for :func:`compare`.
        data: Other data: a folder as for ``data.root``, or the annotations and the folder of images; None: its own.
        batch_size: Images in a batch; no metric depends on it.
        num_workers: Processes that load images; nor on this. None: 1, more for a GPU.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto`` (the quickest, measured once), ``fp32``, ``bf16`` or ``fp16``.
        output_dir: Folder of all runs.

    Raises:
        ConfigError: There is no such run, or an argument is out of range.
        CheckpointError: It has no checkpoint yet, or one that is damaged.
        DataError: The data cannot be used.

    Example:
        for evaluation in hed.evaluate("quickstart_student_b0"):
            print(evaluation.checkpoint, evaluation.metrics["AP"])
    """
    _check_workers(num_workers)
    _check_batch(batch_size)
    check_choice("split", split, SPLITS)
    _check_device(device)
    check_choice("precision", precision, ("auto", "fp32", "bf16", "fp16"))
    from human_edge_detection.runs.lookup.find import best_checkpoints

    checkpoints = best_checkpoints(run, Path(output_dir))
    given = split_of(data, split)

    from human_edge_detection.engine.checkpoints.load import load_trained, read_annotations_for, read_held_out
    from human_edge_detection.engine.device import choose_device, choose_precision
    from human_edge_detection.engine.evaluation.evaluate_checkpoint import evaluate_checkpoint
    from human_edge_detection.engine.evaluation.on_test import evaluate_on_test

    chosen = choose_device(device)
    measure = partial(evaluate_checkpoint, batch_size=batch_size, device=chosen, num_workers=num_workers, split=split)
    evaluations = []
    for checkpoint in checkpoints:
        trained = load_trained(checkpoint)
        test = read_held_out(trained.checkpoint.config, checkpoint, given) if split == "test" else None
        people = read_annotations_for(trained, split, given) if test is None else test.people
        arithmetic = choose_precision(precision, chosen)  # measured the first time, so mistakes are found before
        own = partial(measure, trained, precision=arithmetic)
        evaluations.append(own(people) if test is None else evaluate_on_test(trained, test, own))
    _tell_cards(checkpoint for checkpoint, done in zip(checkpoints, evaluations, strict=True) if done.scores_file)
    return tuple(evaluations)


def _tell_cards(checkpoints: Iterable[Path]) -> None:
    """Writes the model cards of runs with new test scores again, where they are exported."""
    from human_edge_detection.runner.model_card.write import write_cards
    from human_edge_detection.runs.paths import run_paths_of_checkpoint

    interrupt = write_cards([run_paths_of_checkpoint(checkpoint) for checkpoint in checkpoints])
    if interrupt is not None:
        raise interrupt


@explained()
def evaluate_exported(
    model: str | Path,
    *,
    split: Split = "val",
    data: Data | None = None,
    num_workers: int | None = None,
) -> Evaluation:
    """Every metric of an exported file itself, by the code that scores its checkpoint.

    Args:
        model: A file that this tool exported. ``best_model.detect.onnx`` is scored in the boxes that it finds.
        split: Which of its run's data.
        data: Other data: a folder as for ``data.root``, or the annotations and the folder of images; None: those of the
            run in whose folder it lies.
        num_workers: Processes that load images; no metric depends on it. None: 1.

    Raises:
        ConfigError: It was not exported by this tool, its runtime is not installed, or an argument is out of range.
        CheckpointError: It is missing or damaged.
        DataError: The data cannot be used, or nothing says where they are.

    Example:
        evaluation = hed.evaluate_exported("experiments/quickstart_student_b0/checkpoints/best_model.onnx")
        print(evaluation.metrics["miou"], evaluation.metrics["AP"])
    """
    _check_workers(num_workers)
    check_choice("split", split, SPLITS)
    given = split_of(data, split)

    from human_edge_detection.engine.evaluation import evaluate_exported as exported
    from human_edge_detection.engine.exported import open_exported
    from human_edge_detection.limits import allowed_cores

    opened = open_exported(Path(model), threads=allowed_cores())
    people = exported.read_annotations_for_file(opened, split, given)
    return exported.evaluate_exported(opened, people, num_workers=num_workers, split=split)


def _check_batch(size: int) -> None:
    if size < 1:
        raise ConfigError(f"--batch_size: expected at least 1, got {size}")


def _check_workers(number: int | None) -> None:
    if number is not None and not 0 <= number <= 64:
        raise ConfigError(f"--num_workers: expected 0 to 64, got {number}")


def _check_device(name: str) -> None:
    try:
        check_device(name)
    except ValueError as error:
        raise ConfigError(f"--device {name}: {error}") from error


@explained()
def export(
    run: str | Path,
    *,
    format: FormatName = "onnx",
    output: str | Path | None = None,
    data: Data | None = None,
    min_score: float | None = None,
    max_persons: int | None = None,
    output_dir: str | Path = OUTPUT_DIR,
) -> tuple[Export, ...]:
    """Exports the best weights and compares the outputs with PyTorch's; one export a seed.

    ``onnx`` takes any number of images and rois, has a model card beside it and, of a model with a detector, a second
    file, ``best_model.detect.onnx``, that finds the persons. Others: ``docs/formats.md``.

    Args:
        run: Name of a run below ``output_dir``, a run folder, or a checkpoint (``.pth``).
        format: Of the file.
        output: The file; None: ``best_model`` beside the checkpoint, with the ending of the format.
        data: Validation data to compare on: a folder, or annotations and folder of images; None: its own.
        min_score: Of the second file: who is less likely is not found; None: the config's ``model.detector.min_score``.
        max_persons: Of the second file: found in an image; None: likewise.
        output_dir: Folder of all runs.

    Raises:
        ConfigError: There is no such run or format, a package for it is missing, ``output`` is no name for such files,
            ``min_score`` or ``max_persons`` is out of range, or given for what finds no persons.
        CheckpointError: It has no checkpoint yet, or one that is damaged.
        DataError: The data cannot be used.
        ExportError: Probabilities or classes differ by more than is allowed; the file is not written.

    Example:
        for exported in hed.export("quickstart_student_b0"):
            print(exported.destination.onnx, exported.report.max_probability_difference)
    """
    from human_edge_detection.exporters.formats.names import FORMAT_NAMES
    from human_edge_detection.runs.lookup.find import best_checkpoints

    check_choice("format", format, FORMAT_NAMES)
    _check_finding(min_score, max_persons)
    checkpoints = best_checkpoints(run, Path(output_dir))
    if output is not None and len(checkpoints) > 1:
        raise ConfigError(f"--output {output}: one file, and {run} has {len(checkpoints)} runs; name one, {run}/seed_N")
    given = split_of(data, "val")

    from human_edge_detection.api.exporting import export_with_card

    file = None if output is None else Path(output)
    return tuple(
        export_with_card(
            checkpoint,
            output=file,
            data=given,
            min_score=min_score,
            max_persons=max_persons,
            format=format,
            compared=True,
        )
        for checkpoint in checkpoints
    )


def _check_finding(min_score: float | None, max_persons: int | None) -> None:
    from human_edge_detection.experiments.schema.model import MOST_PERSONS

    if min_score is not None and not 0.0 <= min_score <= 1.0:
        raise ConfigError(f"--min_score: expected 0 to 1, got {min_score}")
    if max_persons is not None and not 1 <= max_persons <= MOST_PERSONS:
        raise ConfigError(f"--max_persons: expected 1 to {MOST_PERSONS}, got {max_persons}")


class PairedReport(NamedTuple):
    """A paired comparison and where it was written."""

    comparison: Comparison
    files: tuple[Path, ...]


def compare(
    runs: str | Path | Iterable[str | Path],
    *,
    against: str | Path | None = None,
    split: Literal["val", "test"] = "val",
    output_dir: str | Path = OUTPUT_DIR,
    output: str | Path | None = None,
) -> PairedReport:
    """Compares runs with a control, seeds and images in pairs: differences with 95 % intervals; writes a report.

    Args:
        runs: One or several: names of runs below ``output_dir``, or run folders; of several seeds, all.
        against: The control, named alike; None: scores and their spread only.
        split: On which images. The best epochs were chosen on ``val``, so scores on it flatter. A run that has no
            scores on its ``test`` split yet is evaluated there first, as by :func:`evaluate`.
        output_dir: Folder of all runs.
        output: Folder of the report; None: ``experiment_comparison`` beside the folder of runs.

    Raises:
        ConfigError: There is no such run, it is not finished, or the runs cannot be compared.
        DataError: A run has no test split, or one that cannot be used.
        StorageError: The report cannot be written.

    Example:
        report = hed.compare("quickstart_distilled_b0_from_b3", against="quickstart_student_b0")
        for line in report.comparison.lines:
            print(line.metric, line.slice, line.difference and line.difference.verdict)
    """
    check_choice("split", split, ("val", "test"))
    from human_edge_detection.runner.comparison.caveats import notes_on, notes_on_split
    from human_edge_detection.runner.comparison.paired import compare_methods
    from human_edge_detection.runner.comparison.paired_figures import draw_figures
    from human_edge_detection.runner.comparison.paired_report import write_report
    from human_edge_detection.runner.comparison.runs_by_seed import find_method, report_folder

    folder = Path(output_dir)
    named = [runs] if isinstance(runs, str | Path) else list(runs)
    if split == "test":
        for given in (*named, *([] if against is None else [against])):
            _evaluate_untested(given, folder)
    methods = list({method.name: method for method in (find_method(given, folder, split) for given in named)}.values())
    control = None if against is None else find_method(against, folder, split)
    notes = [*notes_on_split(methods, control), *notes_on(methods, control)]
    comparison = compare_methods(methods, control, notes)
    figures = draw_figures(comparison, methods, control)
    files = write_report(comparison, figures, report_folder(methods[0]) if output is None else Path(output))
    return PairedReport(comparison, tuple(files))


def _evaluate_untested(given: str | Path, output_dir: Path) -> None:
    """Scores the finished runs that ``given`` stands for on their test splits, where they have no such scores yet."""
    from human_edge_detection.runner.comparison.table import read_record
    from human_edge_detection.runs.lookup.find import find_runs
    from human_edge_detection.runs.model_facts.split_scores import why_untested

    for paths in find_runs(given, output_dir).runs:
        record = read_record(paths, str(paths.root))
        if record.state != "finished" or record.config is None:
            continue  # which is refused, by name
        reason = why_untested(paths, record.config.data)
        if reason is not None:
            logger.info("%s: %s: evaluating it there", paths.root, reason)
            evaluate(paths.best, split="test")


class ComparisonTable(NamedTuple):
    """The comparison of all runs and where it was written."""

    rows: tuple[Row, ...]
    files: tuple[Path, ...]


def comparison_table(output_dir: str | Path = OUTPUT_DIR) -> ComparisonTable:
    """Rebuilds the comparison of all runs below ``output_dir`` from their folders: one row a run, as CSV and JSON.

    Raises:
        ConfigError: There is no such folder, or no run in it.
        StorageError: The files cannot be written.

    Example:
        for row in hed.comparison_table().rows:
            print(row["run"], row["miou"], row["gain_over_control"])
    """
    from human_edge_detection.runner.comparison.table import write_comparison
    from human_edge_detection.runs.paths import list_runs

    folder = Path(output_dir)
    if not folder.is_dir():
        raise ConfigError(f"--output_dir: no such folder: {folder}")
    if not list_runs(folder):
        raise ConfigError(f"--output_dir {folder}: holds no runs; train some with run_experiments.py")
    rows, files = write_comparison(folder)
    return ComparisonTable(tuple(rows), tuple(files))


def report(
    output_dir: str | Path = OUTPUT_DIR,
    *,
    output: str | Path | None = None,
    images: bool = True,
    max_megabytes: float | None = None,
) -> Page:
    """Writes all runs below ``output_dir`` as one HTML page that opens offline, as each batch does when it ends.

    Args:
        output_dir: Folder of all runs.
        output: The file, ``.html``; None: ``report.html`` in ``output_dir``.
        images: Whether images of the data come into it.
        max_megabytes: That these may take; None: 12, with which a page of ten runs stays below 15 MB.

    Raises:
        ConfigError: There is no such folder, no run in it, or ``max_megabytes`` is out of range.
        StorageError: The page cannot be written.

    Example:
        page = hed.report(images=False)
        print(page.path, page.size_bytes)
    """
    if max_megabytes is not None and not 0.0 <= max_megabytes <= 1000.0:
        raise ConfigError(f"--max_megabytes: expected 0 to 1000, got {max_megabytes:g}")
    folder = Path(output_dir)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; give that of the runs")
    if output is not None and Path(output).suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--output {output}: is no name of a page, and a file there would be lost; end it in .html")
    from human_edge_detection.runner.report.page import MOST_MEGABYTES, write_page

    return write_page(
        folder,
        output=None if output is None else Path(output),
        images=images,
        max_megabytes=MOST_MEGABYTES if max_megabytes is None else max_megabytes,
    )


def split_of(data: Data | None, split: Split) -> SplitPaths | None:
    """Where the ``data`` of a call lie; None for none.

    Raises:
        DataError: The folder holds no such split.
    """
    from human_edge_detection.files.data_folder import SplitPaths, find_split

    if data is None:
        return None
    if isinstance(data, str | Path):
        return find_split(Path(data), split)
    annotations, images = data
    return SplitPaths(Path(annotations), Path(images))
