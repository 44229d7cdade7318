"""Training: one run, many runs, a teacher's soft labels, and whether a killed run resumes exactly."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from human_edge_detection.api.request import OUTPUT_DIR, check_count, request_for_many, request_for_one
from human_edge_detection.errors import explained

if TYPE_CHECKING:
    from human_edge_detection.engine.teaching.soft_label_dataset import SoftLabelDataset
    from human_edge_detection.engine.teaching.soft_labels import SoftLabels
    from human_edge_detection.experiments.named import Given
    from human_edge_detection.experiments.overrides import Overrides
    from human_edge_detection.runner.execution.plan import PlannedRun
    from human_edge_detection.runner.execution.request import BatchRequest
    from human_edge_detection.runner.execution.retry import Options
    from human_edge_detection.runner.run_experiments import BatchResult, Report
    from human_edge_detection.runner.sweep.sweep import SweepRequest
    from human_edge_detection.runs.paths import RunPaths
    from human_edge_detection.runs.records import RunResult
    from human_edge_detection.selfcheck.verify_resume import Verification

logger = logging.getLogger(__name__)


@explained()
def train(
    config: Given | None = None,
    *,
    changes: Mapping[str, Any] | Overrides | None = None,
    output_dir: str | Path = OUTPUT_DIR,
    run_name: str | None = None,
    resume: str | Path | None = None,
    export_onnx: bool = False,
) -> RunResult:
    """Trains one run in this process, or goes on where the same call stopped; a finished run is returned at once.

    In each of several processes that torchrun has started, they train it together: ``training.batch_size`` is that of
    all of them, the first one alone writes, and all return the same.

    The same settings and data find the same folder below ``output_dir``, whatever their paths are called; others get
    one of their own. What the run needs (a teacher) must be trained; :func:`run_experiments` trains it first. Ctrl-C
    and a scheduler's signal save the state and raise ``KeyboardInterrupt``. Call it below ``if __name__ ==
    "__main__"``, as data are loaded by processes that import the calling script.

    Args:
        config: Name of an experiment, path of a config file, or a config; None: that of ``resume``, or of a config
            file among ``changes``, else the default of the command line.
        changes: Dotted paths of fields to their values: ``{"training.epochs": 5, "data.root": "people"}``;
            ``training.batch_size`` may be ``"auto"``.
        output_dir: Folder of all runs.
        run_name: Folder of the run below it; None: the experiment's name, and what tells it from others if need be.
        resume: Run folder or checkpoint to go on from, which then decides everything but the number of epochs.
        export_onnx: Also export the best weights and check them, when they are not exported yet. If that fails, the
            run has finished all the same.

    Returns:
        What result.json holds, with the place of the best checkpoint as it is now.

    Raises:
        HumanEdgeDetectionError: As its subclasses say; :class:`BusyError` when another process trains the run.

    Example:
        result = hed.train("quickstart_student_b0", changes={"training.epochs": 2})
        print(result.metrics["miou"], result.best_checkpoint)
    """
    from human_edge_detection.limits import place_among_many
    from human_edge_detection.runs.checks import check_platform

    check_platform()
    place = place_among_many()
    if place is None:
        return _train_here(config, changes, output_dir, run_name, resume, export_onnx=export_onnx)
    if place.number:
        return _followed()
    folder: Path | None = None
    try:
        result = _train_here(config, changes, output_dir, run_name, resume, export_onnx=export_onnx)
        folder = Path(result.best_checkpoint).parents[1]
        return result
    finally:
        from human_edge_detection.engine.session.together import dismiss_others

        dismiss_others(folder)


def _followed() -> RunResult:
    """In a process that is not the first of its run."""
    from human_edge_detection.engine.session.execute import execute_following
    from human_edge_detection.runs.paths import RunPaths

    paths = RunPaths(execute_following())
    return _with_place(_result_of(paths), paths)


def _train_here(
    config: Given | None,
    changes: Mapping[str, Any] | Overrides | None,
    output_dir: str | Path,
    run_name: str | None,
    resume: str | Path | None,
    *,
    export_onnx: bool,
) -> RunResult:
    from human_edge_detection.files.held import held
    from human_edge_detection.runner.execution.dry_run import describe_additions
    from human_edge_detection.runner.execution.one_run import take_run
    from human_edge_detection.runs.checks import is_finished
    from human_edge_detection.runs.lookup.reservation import run_claim

    made_here = not Path(output_dir).exists()
    run = take_run(_with_batch_size(request_for_one(config, changes, output_dir, run_name, resume)))
    for line in describe_additions([run]):
        logger.info("%s", line)
    if run.finished and not export_onnx:
        return _with_place(_finished_earlier(run), run.paths)
    with run_claim(run.paths, advice="wait for it, or give another --run_name"), held(run.paths.root):
        # Another process may have finished it meanwhile.
        done = run.finished or (run.resume is None and is_finished(run.paths))
        result = _finished_earlier(run) if done else _train(run, reserved_here=resume is None, made_here=made_here)
        if export_onnx:
            _export(run.paths)
    return _with_place(result, run.paths)


def _with_batch_size(request: BatchRequest) -> BatchRequest:
    """``request`` for one run, with a number where it asks for ``--batch_size auto``."""
    from human_edge_detection.runner.batch_size import with_batch_size
    from human_edge_detection.runner.execution.one_run import find_run

    return with_batch_size(request, lambda asked: [find_run(asked)])


def _with_place(result: RunResult, paths: RunPaths) -> RunResult:
    return result.model_copy(update={"best_checkpoint": str(paths.best)})


def _finished_earlier(run: PlannedRun) -> RunResult:
    logger.info("finished earlier: %s", run.paths.root)
    return _result_of(run.paths)


def _result_of(paths: RunPaths) -> RunResult:
    from human_edge_detection.runs.records import RunResult, read_section

    result = read_section(RunResult, paths.result)
    assert result is not None  # it has finished
    return result


def _train(run: PlannedRun, *, reserved_here: bool, made_here: bool) -> RunResult:
    """Trains a run whose folder, or whose output folder too, has been made for it by this very call."""
    from human_edge_detection.errors import FolderMovedError
    from human_edge_detection.runs.lookup.reservation import leave_unused, release
    from human_edge_detection.runs.paths import sample_data_dir

    try:
        from human_edge_detection.engine.session.execute import execute_run

        config = run.full_config
        samples = sample_data_dir(run.output_dir, config.data)
        return execute_run(config, run.paths, resume=run.resume, command=sys.argv, sample_root=samples)
    except FolderMovedError:
        raise  # the folder that may be there now is not this run's
    except BaseException:
        # A run that never got to its first weights leaves nothing; only a batch reads what its status says.
        release(run.paths, with_status=reserved_here)
        if made_here:
            leave_unused(run.output_dir)
        raise


def _export(paths: RunPaths) -> None:
    """Exports the best weights of a run, unless they are exported already."""
    from human_edge_detection.runs.artifacts import is_exported

    if is_exported(paths):
        return
    from human_edge_detection.api.exporting import export_with_card

    destination, report = export_with_card(paths.best)
    logger.info("exported: %s; parity with PyTorch: %s", destination.onnx, report.in_words)
    if report.detector is not None:
        logger.info("exported: %s; parity with PyTorch: %s", destination.detector, report.detector.in_words)


class OptionArguments(TypedDict, total=False):
    """How a batch is run: the fields of :class:`~human_edge_detection.runner.execution.retry.Options`."""

    export_onnx: bool
    skip_training: bool
    fail_fast: bool
    retries: int
    hang_minutes: float
    join: bool
    jobs: int | None
    procs_per_run: int
    gpus_per_run: int


_NONE_BY_DEFAULT: Final = frozenset(("jobs", "cores_per_run"))
_COUNTS: Final = _NONE_BY_DEFAULT | {"retries", "procs_per_run", "gpus_per_run"}


class BatchArguments(OptionArguments, total=False):
    """What :func:`run_experiments` and :func:`preview_experiments` take beside the experiments."""

    changes: Mapping[str, Any] | Overrides | None
    seeds: Iterable[int] | None
    output_dir: str | Path
    run_name: str | None
    resume: str | Path | None
    restart: bool
    sweep: Mapping[str, Sequence[Any] | str] | Sequence[str]
    trials: int | None
    tuning_split: bool
    backend: str
    address: str | None
    slurm: Mapping[str, str | int] | None
    cores_per_run: int | None


def run_experiments(
    configs: Given | Iterable[Given] = (), *, report: Report | None = None, **arguments: Unpack[BatchArguments]
) -> BatchResult:
    """Trains experiments and all that they depend on, teachers first, one child process a run, and compares all runs.

    The same call again goes on where this one stopped. A run that fails does not end the batch: see ``good`` and
    ``outcomes`` of the result. What the children have to say goes to the standard error of this process.

    Args:
        configs: One or several: names of experiments or groups, paths of config files, or configs.
        report: Called with the result, also when the batch is interrupted and ``KeyboardInterrupt`` is raised.
        **arguments: ``changes`` ``output_dir`` ``run_name`` ``resume``: as for :func:`train`. ``seeds``: one run of
            each experiment for each. ``restart``: delete the named runs and train them anew. ``export_onnx``: export
            each finished run and check it. ``skip_training``: use what is finished. ``fail_fast``: stop after the
            first failure. ``retries``: how often a failed run is started again. ``hang_minutes``: stop a run without a
            sign of life for so long (60; 0: never). ``join``: work beside another batch. ``jobs``: so many runs at
            once, each with its share of the cores or a GPU of its own, as memory allows. ``procs_per_run``: so many
            processes train each run together; ``gpus_per_run``: the same, with a GPU each. ``sweep``: dotted field to
            the values that it takes; every combination is run or, with ``trials``, so many that Optuna chooses, also
            out of a range (``"1.0..8.0:log"``). ``tuning_split``: score a sweep on a part of the training images.
            ``backend``: where runs are trained, ``local``, ``ray`` (``address``: of its head) or ``slurm`` (``slurm``:
            settings of its jobs), with ``cores_per_run`` each.

    Raises:
        ConfigError: The request is wrong or contradictory; nothing has been written.
        BusyError: Another batch works in the output folder, and ``join`` is not set.
        StorageError: The batch does not fit on the disk, or a file cannot be written.
        BackendError: The cluster cannot be reached, or its nodes are not alike; nothing has been written.

    Example:
        batch = hed.run_experiments("quickstart", seeds=[0, 1], export_onnx=True)
        for row in batch.rows:
            print(row["run"], row["status"], row["miou"])
    """
    from human_edge_detection.runs.checks import check_platform

    check_platform()
    from human_edge_detection.runner import run_experiments as runner

    request, options, sweep = _batch(configs, **arguments)
    return runner.run_experiments(request, options, sweep=sweep, report=report or (lambda result: None))


def preview_experiments(configs: Given | Iterable[Given] = (), **arguments: Unpack[BatchArguments]) -> list[str]:
    """What :func:`run_experiments` would do with the same arguments, in lines of text; writes nothing.

    Raises:
        HumanEdgeDetectionError: What :func:`run_experiments` would raise before it trains.

    Example:
        for line in hed.preview_experiments("quickstart", changes={"training.epochs": 3}):
            print(line)
    """
    from human_edge_detection.runs.checks import check_platform

    check_platform()
    from human_edge_detection.runner import run_experiments as runner

    request, options, sweep = _batch(configs, **arguments)
    return runner.preview_experiments(request, options, sweep=sweep)


def _batch(
    configs: Given | Iterable[Given],
    *,
    changes: Mapping[str, Any] | Overrides | None = None,
    seeds: Iterable[int] | None = None,
    output_dir: str | Path = OUTPUT_DIR,
    run_name: str | None = None,
    resume: str | Path | None = None,
    restart: bool = False,
    sweep: Mapping[str, Sequence[Any] | str] | Sequence[str] = (),
    trials: int | None = None,
    tuning_split: bool = False,
    backend: str = "local",
    address: str | None = None,
    slurm: Mapping[str, str | int] | None = None,
    cores_per_run: int | None = None,
    **options: Unpack[OptionArguments],
) -> tuple[BatchRequest, Options, SweepRequest | None]:
    """The same as the runner takes it; the only place of the defaults."""
    from human_edge_detection.runner.backends.cluster import read_cluster
    from human_edge_detection.runner.execution.retry import Options
    from human_edge_detection.runner.sweep.sweep import SweepRequest

    given = {**options, "cores_per_run": cores_per_run}
    for name in _COUNTS & given.keys():
        check_count(name, given[name], may_be_none=name in _NONE_BY_DEFAULT)
    cluster = read_cluster(backend, address=address, slurm=slurm, cores_per_run=cores_per_run)
    how = Options(**options, cluster=cluster)
    request = request_for_many(configs, changes, output_dir, run_name, resume, skip_training=how.skip_training)
    request = replace(request, seeds=None if seeds is None else tuple(dict.fromkeys(seeds)), restart=restart)
    swept = SweepRequest(_sweep_texts(sweep), trials=trials, tuning_split=tuning_split)
    return request, how, swept if swept.fields or trials is not None or tuning_split else None


def _sweep_texts(sweep: Mapping[str, Sequence[Any] | str] | Sequence[str]) -> tuple[str, ...]:
    """As the command line writes them, ``section.field=a,b,c``."""
    if not isinstance(sweep, Mapping):
        return tuple(sweep)
    return tuple(
        f"{path}={values if isinstance(values, str) else ','.join(map(json.dumps, values))}"
        for path, values in sweep.items()
    )


@explained()
def soft_labels(
    config: Given | None = None,
    *,
    changes: Mapping[str, Any] | Overrides | None = None,
    output_dir: str | Path = OUTPUT_DIR,
    run_name: str | None = None,
    source: str | Path | None = None,
) -> SoftLabels:
    """Stores a teacher's soft labels to every view that a training will see; such trainings then need no teacher.

    Called again it goes on where it was ended, and verifies what is finished. The arguments are those of the training
    that will use them (:func:`train`), with the folder and the number of views among ``changes``.

    A teacher of another framework need not be here: ``source`` is what it said of the images, a file of COCO results
    or a folder of maps. It teaches alone where the experiment has no teacher (``distillation.teacher_config`` null), or
    as one with it.

    Raises:
        ConfigError: No folder, no teacher, no number of views, or the folder holds soft labels of something else.
        HumanEdgeDetectionError: As its other subclasses say.

    Example:
        changes = {"distillation.soft_labels": "labels_{seed}", "data.cache_views": 8}
        stored = hed.soft_labels("quickstart_distilled_b0_from_b3", changes=changes)
        hed.train("quickstart_distilled_b0_from_b3", changes=changes)
    """
    from human_edge_detection.runs.checks import check_platform

    check_platform()
    from human_edge_detection.runner.execution.one_run import find_run
    from human_edge_detection.runs.paths import sample_data_dir

    given = None if source is None else Path(source)
    run = find_run(_with_batch_size(request_for_one(config, changes, output_dir, run_name)), answers=given)
    from human_edge_detection.engine.teaching.soft_label_writer import write_soft_labels  # slow: mistakes come before

    full = run.full_config
    return write_soft_labels(full, sample_root=sample_data_dir(run.output_dir, full.data), source=given)


@explained()
def load_soft_labels(
    config: Given | None = None,
    *,
    changes: Mapping[str, Any] | Overrides | None = None,
    output_dir: str | Path = OUTPUT_DIR,
    run_name: str | None = None,
) -> SoftLabelDataset:
    """Stored soft labels, with the images and the truth that they are to, as a dataset of PyTorch.

    The arguments are those of :func:`soft_labels`, which stored them; other views, data or sizes are refused by name.

    Returns:
        View after view, and in each image after image. An item has ``image`` (3, height, width), uint8 RGB; ``boxes``
        (n, 4), x1, y1, x2, y2 as fractions of the image; the truth as ``roi_masks`` (n, h, w), 0 background, 1 this
        person, 2 other people, 255 unknown, and ``person_mask`` (height, width); and ``soft_labels``, float16 logits
        by head, (n, classes, h, w) or, of the whole image, (1, 1, height, width), NaN where the teacher says nothing.
        ``metadata.classes`` of the dataset names the channels. ``human_edge_detection.data.dataset.collate`` makes a
        batch of items: it is the ``collate_fn`` of a ``DataLoader``.

    Raises:
        ConfigError: No folder is named, it has no finished soft labels, or they are to something else.
        DataError: Data or soft labels are missing or damaged.

    Example:
        changes = {"distillation.soft_labels": "labels_{seed}", "data.cache_views": 8}
        for sample in hed.load_soft_labels("quickstart_distilled_b0_from_b3", changes=changes):
            sample.image, sample.roi_masks, sample.soft_labels["logits"]
    """
    from human_edge_detection.engine.teaching.soft_label_dataset import load_dataset
    from human_edge_detection.runner.execution.one_run import find_run
    from human_edge_detection.runs.paths import sample_data_dir

    run = find_run(_with_batch_size(request_for_one(config, changes, output_dir, run_name)))
    full = run.full_config
    return load_dataset(full, sample_root=sample_data_dir(run.output_dir, full.data))


def verify_resume(
    config: Given | None = None,
    *,
    changes: Mapping[str, Any] | Overrides | None = None,
    output_dir: str | Path = OUTPUT_DIR,
    run_name: str | None = None,
) -> Verification:
    """Whether a killed training of this experiment resumes to identical bits, on this machine and these data.

    Trains two epochs of about four steps on a few of the images, once straight and once killed and continued, in a
    folder below ``output_dir`` that is deleted unless the results differ. The arguments are those of :func:`train`.

    Raises:
        HumanEdgeDetectionError: What :func:`train` would raise, or a training failed.

    Example:
        found = hed.verify_resume("quickstart_student_b0")
        print("identical" if found.difference is None else found.difference)
    """
    from human_edge_detection.runs.checks import check_platform

    check_platform()
    from human_edge_detection.runner.execution.one_run import find_run

    full = find_run(_with_batch_size(request_for_one(config, changes, output_dir, run_name))).full_config
    from human_edge_detection.files.write import delete_folder
    from human_edge_detection.selfcheck.verify_resume import verify_resume

    folder = _new_folder(Path(output_dir))
    keep = False
    try:
        verification = verify_resume(full, folder)
        keep = verification.difference is not None
    finally:
        if not keep:
            delete_folder(folder)
    return verification


def _new_folder(output_dir: Path) -> Path:
    """Below the output folder, so that its disk is what is tried."""
    from human_edge_detection.errors import StorageError
    from human_edge_detection.files.write import make_folder

    make_folder(output_dir)
    try:
        return Path(tempfile.mkdtemp(prefix="verify_resume_", dir=output_dir))
    except OSError as error:
        raise StorageError(f"{output_dir} cannot be written ({error.strerror}); give another --output_dir") from error
