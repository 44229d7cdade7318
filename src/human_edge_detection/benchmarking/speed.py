"""Latency and memory of every file in every setting."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from human_edge_detection.benchmarking.artefacts import Artefact
from human_edge_detection.benchmarking.latency import Latency, example_call, summarise, take_turns
from human_edge_detection.benchmarking.memory import measure_memory
from human_edge_detection.benchmarking.providers import other_providers, share_computed, short
from human_edge_detection.benchmarking.records import Row, Settings
from human_edge_prediction import Model, PredictionError
from human_edge_prediction.runtimes import CPU, files_of

logger = logging.getLogger(__name__)


class Case(NamedTuple):
    """One file and the number of rois that it is asked about; None: it takes none."""

    artefact: Artefact
    model: Model
    rois: int | None


class Speed(NamedTuple):
    """Rows without scores, each with its file, and what has to be said."""

    rows: list[tuple[Artefact, Row]]
    notes: list[str]


def measure_speed(artefacts: Sequence[Artefact], reference: str, settings: Settings) -> Speed:
    """Times all files together for each number of threads and each provider, then the memory of each case alone.

    Args:
        artefacts: The files.
        reference: The model that ratios are of.
        settings: What is varied.

    Raises:
        PredictionError: A file cannot be run on the CPU.
    """
    rows: list[tuple[Artefact, Row]] = []
    notes: list[str] = []
    for threads in settings.threads:
        opened = [(one, one.open(threads=threads)) for one in artefacts]
        rows += _measure_together(opened, reference, settings, threads)
    for provider in other_providers():
        opened, said = _open_on(provider, artefacts, settings.threads[0])
        notes += said
        rows += _measure_together(opened, reference, settings, settings.threads[0])
    return Speed(rows, notes)


def _open_on(
    provider: str, artefacts: Sequence[Artefact], threads: int
) -> tuple[list[tuple[Artefact, Model]], list[str]]:
    """The ONNX files of which ``provider`` computes something, and why others have no rows."""
    opened: list[tuple[Artefact, Model]] = []
    notes = []
    idle = []
    for artefact in artefacts:
        if artefact.path.suffix != ".onnx":
            continue
        try:
            share = share_computed(artefact, provider)
            if share > 0:
                opened.append((artefact, artefact.open(provider=provider, threads=threads)))
            if 0 < share < 1:
                notes.append(
                    f"{artefact.model}: {short(provider)} computes {share:.0%} of the operators, the CPU the rest"
                )
            if share == 0:
                idle.append(artefact.model)
        except PredictionError as error:
            notes.append(f"{artefact.model}: not measured on {short(provider)}: {error}")
    if idle:
        names = ", ".join(dict.fromkeys(idle))
        notes.append(f"{short(provider)} has no rows of {names}: it computes none of the operators, the CPU does")
    return opened, notes


def _measure_together(
    opened: Sequence[tuple[Artefact, Model]], reference: str, settings: Settings, threads: int
) -> list[tuple[Artefact, Row]]:
    """Rows of files that take turns."""
    cases = [
        Case(artefact, model, rois)
        for artefact, model in opened
        for rois in (settings.rois if model.takes_rois else (None,))
    ]
    if not cases:
        return []
    logger.info("timing %d cases, %d rounds, %d threads", len(cases), settings.rounds, threads)
    times = take_turns([example_call(case.model, case.rois) for case in cases], settings.rounds)
    logger.info("memory of %d cases", len(cases))
    rows = []
    for number, case in enumerate(cases):
        latency = summarise(times, number, _reference_of(case, cases, reference))
        rows.append((case.artefact, _row(case, latency, threads)))
    return rows


def _reference_of(case: Case, cases: Sequence[Case], reference: str) -> int | None:
    """The case of the reference that is nearest to ``case``: of the same image size, then of the same rois, else the
    first.
    """
    candidates = [number for number, one in enumerate(cases) if one.artefact.model == reference]
    return min(
        candidates,
        key=lambda number: (
            cases[number].artefact.image_size != case.artefact.image_size,
            cases[number].rois != case.rois,
        ),
        default=None,
    )


def _row(case: Case, latency: Latency, threads: int) -> Row:
    artefact, provider = case.artefact, case.model.runtime.provider
    height, width = artefact.image_size
    return Row(
        model=artefact.model,
        file=artefact.path.suffix.removeprefix("."),
        weights=artefact.weights,
        kind=artefact.kind,
        image_height=height,
        image_width=width,
        rois=case.rois,
        threads=threads,
        provider=short(provider),
        median_ms=latency.median,
        p95_ms=latency.p95,
        cpu_ms=latency.cpu,
        ratio=latency.ratio,
        memory_mib=measure_memory(artefact, provider=_named(provider), threads=threads, rois=case.rois),
        file_mib=sum(file.stat().st_size for file in files_of(artefact.path)) / 2**20,
    )


def _named(provider: str) -> str:
    """ONNX Runtime's name of what computes; others, which have none, are given the CPU's."""
    return provider if provider.endswith("Provider") else CPU
