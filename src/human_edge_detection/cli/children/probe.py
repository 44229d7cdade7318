"""A child that measures what some steps of a training take; ``runner/probe.py`` is the other side."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from human_edge_detection.errors import HumanEdgeDetectionError, explained
from human_edge_detection.files.write import write_json
from human_edge_detection.log import LOGGER_NAME
from human_edge_detection.runner.probe import REPORT, REQUEST
from human_edge_detection.runs.records import ProbeReport, ProbeRequest, read_section
from human_edge_detection.signals import end_at_once


def probe(arguments: Sequence[str]) -> int:
    """Measures what the request in the folder ``arguments[0]`` asks for, and returns 0; Ctrl-C ends it without a word.

    The report beside the request grows with each batch size, so that it holds what was found should the next one be
    too large for this machine. It says nothing itself: what it would warn of, the training itself does.
    """
    end_at_once()
    logging.getLogger(LOGGER_NAME).addHandler(logging.NullHandler())
    folder = Path(arguments[0])
    request = read_section(ProbeRequest, folder / REQUEST)
    assert request is not None  # who starts this child has written it
    report = ProbeReport()
    try:
        from human_edge_detection.engine.session.probe import probe_training

        with explained():
            for found in probe_training(request, folder):
                report = report.model_copy(update={"probes": (*report.probes, found)})
                write_json(folder / REPORT, report.model_dump(mode="json"))
    except HumanEdgeDetectionError as error:
        report = report.model_copy(update={"error": str(error)})
    write_json(folder / REPORT, report.model_dump(mode="json"))
    return 0
