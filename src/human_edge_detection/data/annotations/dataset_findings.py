"""What is found about a data set as a whole: refused where it is certainly wrong, else said in one line each."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from human_edge_detection.errors import DataError

logger = logging.getLogger(__name__)


class Finding(NamedTuple):
    """Something that is suspicious or wrong in many annotations or images at once.

    Attributes:
        kind: What it is about, one word: ``boxes``, ``categories``, ``crowds``, ``outlines`` ...
        text: What was found, with figures; one line.
        certain: Whether it is certainly wrong, whatever the data are.
        mend: What to do, most often a flag of ``hed prepare-data``.
    """

    kind: str
    text: str
    certain: bool
    mend: str


def settle(source: Path, findings: Iterable[Finding]) -> None:
    """Logs a warning for each finding about ``source``, or refuses it.

    Raises:
        DataError: One of the findings is certain.
    """
    found = list(findings)
    certain = next((finding for finding in found if finding.certain), None)
    if certain is not None:
        raise DataError(f"{source}: {certain.text}; {certain.mend}")
    for finding in found:
        logger.warning("%s: %s; %s", source, finding.text, finding.mend)
