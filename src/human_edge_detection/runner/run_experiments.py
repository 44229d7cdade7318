"""A batch from its request to its report: plan, check, lock, draw sample data, train, compare.

It is the only module above ``execution``, ``sweep``, ``comparison`` and ``report``, so that no sub-package imports
another back.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import touched
from human_edge_detection.files.held import held
from human_edge_detection.limits import place_among_many
from human_edge_detection.runner.backends.backend import Backend
from human_edge_detection.runner.backends.cluster import Cluster, open_cluster
from human_edge_detection.runner.backends.local import LocalBackend
from human_edge_detection.runner.backends.standby import Standby
from human_edge_detection.runner.batch_size import with_batch_size
from human_edge_detection.runner.comparison.table import Row, write_comparison
from human_edge_detection.runner.execution.dry_run import describe_additions, describe_plan
from human_edge_detection.runner.execution.free_space import check_free_space
from human_edge_detection.runner.execution.outcome import Outcome
from human_edge_detection.runner.execution.ownership import batch_claim, give_up_folders, take_folders
from human_edge_detection.runner.execution.plan import PlannedRun, check_plan, plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.retry import DEFAULT_OPTIONS, Options
from human_edge_detection.runner.execution.sample_data import make_sample_data
from human_edge_detection.runner.execution.staleness import check_teachers
from human_edge_detection.runner.execution.supervise import BatchEnd, Hooks, supervise
from human_edge_detection.runner.latency import measure_latency, timed_together
from human_edge_detection.runner.model_card.write import write_cards
from human_edge_detection.runner.sharing.on_cluster import OnCluster
from human_edge_detection.runner.sharing.sharing import Shared
from human_edge_detection.runner.sweep.sweep import Entry, Sweep, SweepRequest, read_sweep
from human_edge_detection.runner.sweep.sweep_report import SweepReport, report_grid, report_search
from human_edge_detection.runner.watching.batch_view import BatchView
from human_edge_detection.runs.checks import check_run_name, check_shares
from human_edge_detection.runs.lookup.reservation import planning_claim

if TYPE_CHECKING:
    from human_edge_detection.runner.report.page import Page

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchResult:
    """What came of a batch.

    Attributes:
        good: Every run has finished, and was exported where that was asked for; a search came to its end with a score.
        outcomes: One for each run, in the order of the plan; none for a search.
        rows: The comparison of all runs below the output folder, earlier ones included.
        files: Where the comparison was written.
        sweep: How its combinations, or the trials of its search, compare; None without.
        page: All runs as one HTML page; None when it could not be written, or the batch was interrupted.
    """

    good: bool
    outcomes: tuple[Outcome, ...]
    rows: tuple[Row, ...]
    files: tuple[Path, ...]
    sweep: SweepReport | None = None
    page: Page | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """One for each combination of a sweep, or each trial of a search; none without."""
        return () if self.sweep is None else self.sweep.entries


Report = Callable[[BatchResult], object]
"""Is called with what came of a batch, before an interruption is raised."""


def run_experiments(
    request: BatchRequest,
    options: Options = DEFAULT_OPTIONS,
    *,
    sweep: SweepRequest | None = None,
    report: Report = lambda result: None,
) -> BatchResult:
    """Trains what ``request`` names and all that it depends on, one child process a run, and compares the runs.

    The same request again goes on where this one stopped.

    Args:
        request: Which experiments, with which changes, seeds and output folder.
        options: How they are run.
        sweep: Fields that take several values; None: every experiment is run as it is.
        report: Called with the result, also when the batch was interrupted.

    Raises:
        ConfigError: The request is wrong or contradictory; nothing has been written.
        BusyError: Another batch works in the output folder and ``options.join`` is not set.
        StorageError: The batch does not fit on the disk, or a file cannot be written.
        KeyboardInterrupt: Interrupted (``Terminated`` by a scheduler); what was trained is saved and compared.
    """
    request, planned = _checked(request, options, sweep)
    with (
        _opened(options.cluster, request.output_dir) as cluster,
        batch_claim(request.output_dir, join=options.join),
        held(request.output_dir),
    ):
        with planning_claim(request.output_dir):
            if planned is not None and planned.split is not None:
                planned.split.write()
            runs = _checked_plan(request if planned is None else planned.competing, options)
            additions = describe_additions(runs)
            if not options.skip_training and (planned is None or planned.trials is None):
                take_folders(runs)
        for line in additions:
            logger.info("%s", line)
        if planned is not None and planned.trials is not None:
            return _search(planned, options, report)
        return _train(runs, request, options, planned, report, cluster)


def preview_experiments(
    request: BatchRequest, options: Options = DEFAULT_OPTIONS, *, sweep: SweepRequest | None = None
) -> list[str]:
    """What :func:`run_experiments` would do with the same arguments, in lines of text; writes nothing.

    Raises:
        HumanEdgeDetectionError: As :func:`run_experiments` before it trains.
    """
    request, planned = _checked(request, options, sweep)
    if planned is None or planned.split is None:
        runs = plan(request if planned is None else planned.competing)
        return [*_describe_sweep(planned), *_describe_runs(runs, options)]
    with planned.split.written_elsewhere() as split:
        runs = plan(replace(planned, split=split).competing)
        lines = [*_describe_sweep(planned), *_describe_runs(runs, options)]
    there, here = (str(one.output_dir.parent) for one in (split, planned.split))
    return [line.replace(there, here) for line in lines]


def _checked(request: BatchRequest, options: Options, sweep: SweepRequest | None) -> tuple[BatchRequest, Sweep | None]:
    """The request with its batch size, and the sweep.

    Refuses whatever would be refused later, so that nothing is written before.
    """
    check_run_name(request.run_name)
    _check_options(request, options)
    if options.at_once > 1 and sweep is not None and sweep.trials is not None:
        asked = f"--jobs {options.jobs}" if options.cluster is None else f"--backend {options.cluster.name}"
        raise ConfigError(
            f"{asked}: the trials of a search follow from those before; for two at once give the same "
            "command a second time, with --join"
        )

    def checked(request: BatchRequest) -> tuple[PlannedRun, ...]:
        planned = None if sweep is None else read_sweep(sweep, request, options)
        return _checked_plan(request if planned is None else planned.request, options)

    request = with_batch_size(request, checked)
    planned = None if sweep is None else read_sweep(sweep, request, options)
    _checked_plan(request if planned is None else planned.request, options)
    return request, planned


def _check_options(request: BatchRequest, options: Options) -> None:
    if request.seeds is not None and any(one.source == "--seed" for one in touched(request.overrides, "training.seed")):
        raise ConfigError("--seed and --seeds both name seeds; give one")
    if request.restart and options.skip_training:
        raise ConfigError("--restart trains anew and --skip_training trains nothing; give one")
    if request.restart and options.join:
        raise ConfigError("--restart would delete what the batch has trained that --join works beside; give one")
    if options.jobs is not None and options.jobs < 1:
        raise ConfigError(f"--jobs {options.jobs}: expected 1 or more")
    _check_processes(options)
    if options.retries < 0:
        raise ConfigError(f"--retries {options.retries}: expected 0 or more")
    if not 0.0 <= options.hang_minutes < math.inf:
        raise ConfigError(f"--hang_minutes {options.hang_minutes:g}: expected minutes, or 0 for never")


def _check_processes(options: Options) -> None:
    if options.procs_per_run < 1:
        raise ConfigError(f"--procs_per_run {options.procs_per_run}: expected 1 or more")
    if options.gpus_per_run < 0:
        raise ConfigError(f"--gpus_per_run {options.gpus_per_run}: expected 1 or more, or 0 for what is there")
    if options.procs_per_run > 1 and options.gpus_per_run:
        raise ConfigError("--procs_per_run and --gpus_per_run both say how many processes train a run; give one")
    if place_among_many() is not None:
        raise ConfigError(
            "hed run was started in several processes (torchrun, srun), and each would be a batch; start it once, with "
            "--procs_per_run K or --gpus_per_run K"
        )


def _checked_plan(request: BatchRequest, options: Options) -> tuple[PlannedRun, ...]:
    runs = plan(request)
    if not request.as_it_is:
        check_plan(runs)
    check_teachers(runs)
    _sharing(runs, options)
    for run in runs:
        if not run.finished:
            check_shares(run.config, options.processes)
    if not options.skip_training:
        check_free_space(runs, request.output_dir, export_onnx=options.export_onnx)
    return runs


def _describe_runs(runs: Sequence[PlannedRun], options: Options) -> list[str]:
    sharing = _sharing(runs, options)
    lines = [*describe_additions(runs), *(sharing.describe() if sharing is not None else ())]
    lines += describe_plan(runs, jobs=options.at_once, processes=options.processes)
    return [*lines, *sharing.scripts()] if isinstance(sharing, OnCluster) else lines


def _sharing(runs: Sequence[PlannedRun], options: Options) -> Shared | OnCluster | None:
    """What each run has, where several may be under way; None: one has all of this machine."""
    if options.cluster is not None:
        return OnCluster(runs, options.cluster, options.processes, options.gpus_per_run)
    is_shared = options.at_once > 1 or options.processes > 1 or options.gpus_per_run
    return Shared(runs, options) if is_shared else None


@contextmanager
def _opened(cluster: Cluster | None, output_dir: Path) -> Iterator[Backend[Any] | None]:
    """What runs children on ``cluster``; None where they run on this machine."""
    if cluster is None:
        yield None
        return
    with closing(open_cluster(cluster, output_dir)) as backend:
        yield backend


def _describe_sweep(sweep: Sweep | None) -> list[str]:
    if sweep is None:
        return []
    lines = [f"sweep of {', '.join(map(str, sweep.axes))}; scores are from {sweep.scored_on}"]
    return lines if sweep.trials is None else [*lines, f"one of {sweep.trials} trials could be:"]


def _train(
    runs: Sequence[PlannedRun],
    request: BatchRequest,
    options: Options,
    sweep: Sweep | None,
    report: Report,
    cluster: Backend[Any] | None,
) -> BatchResult:
    outcomes, interrupt = _trained(runs, request.output_dir, options, cluster)
    if options.export_onnx and interrupt is None:
        exported = timed_together(runs)
        interrupt = measure_latency(exported) or write_cards(exported)
    if not options.skip_training:
        give_up_folders(runs)
    unknown = {outcome.name: (outcome.state, outcome.error) for outcome in outcomes if not outcome.good}
    rows, files = write_comparison(request.output_dir, extra=unknown)
    swept = None if sweep is None else report_grid(sweep, runs, rows)
    good = all(outcome.good for outcome in outcomes)
    page = None if interrupt is not None else _page(request.output_dir)
    result = BatchResult(good, outcomes, tuple(rows), tuple(files), swept, page)
    report(result)
    if interrupt is not None:
        if request.restart:
            logger.warning("to continue, leave out --restart: it would delete what was trained now")
        raise interrupt  # the report is out; the caller says how to continue
    return result


def _trained(runs: Sequence[PlannedRun], output_dir: Path, options: Options, cluster: Backend[Any] | None) -> BatchEnd:
    """How each run ended. A child stands by only where one run at a time has this machine."""
    sharing = _sharing(runs, options)
    for line in sharing.describe() if sharing is not None else ():
        logger.info("%s", line)
    with BatchView(runs) as view, ExitStack() as stack:
        backend, ahead = cluster, None
        if backend is None:
            standby = stack.enter_context(Standby(exports=options.export_onnx, output=view.children))
            local = LocalBackend(output=view.children, standby=standby, named=sharing is not None)
            backend = stack.enter_context(closing(local))
            ahead = standby.prepare if sharing is None else None
        if not options.skip_training:
            if ahead is not None and any(run.config.data.sample is not None and not run.finished for run in runs):
                ahead()  # the first child imports while the images are drawn
            make_sample_data(runs, output_dir)
        return supervise(runs, options, backend, sharing=sharing, hooks=Hooks(watcher=view, ahead=ahead))


def _page(output_dir: Path) -> Page | None:
    """All runs as one HTML page; whatever is wrong with it is a warning, as the runs are there without it."""
    from human_edge_detection.runner.report.page import write_page  # its templates take longer than all else here

    try:
        return write_page(output_dir)
    except Exception as error:
        logger.warning("no report: %s; hed report %s says more", " ".join(str(error).split()), output_dir)
        logger.debug("no report", exc_info=error)
        return None


def _search(sweep: Sweep, options: Options, report: Report) -> BatchResult:
    from human_edge_detection.runner.sweep.search import pruned_runs, search  # Optuna is an extra

    output_dir = sweep.request.output_dir
    with closing(LocalBackend()) as backend:
        entries, problem, interrupt = search(sweep, options, backend)
    pruned = dict.fromkeys(pruned_runs(entries, output_dir), ("pruned", None))
    rows, files = write_comparison(output_dir, extra=pruned)
    good = problem is None and any(entry.score is not None for entry in entries)
    page = None if interrupt is not None else _page(output_dir)
    result = BatchResult(good, (), tuple(rows), tuple(files), report_search(sweep, entries), page)
    report(result)
    if interrupt is not None:
        raise interrupt
    if problem is not None:
        logger.error("the search stopped: %s; the same command goes on with it", problem)
    return result
