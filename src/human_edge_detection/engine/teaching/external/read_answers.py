"""The answers in what a user names: a file of COCO results, or a folder of maps."""

from __future__ import annotations

from pathlib import Path

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.engine.teaching.external.answers import Answers
from human_edge_detection.engine.teaching.external.maps import read_maps
from human_edge_detection.engine.teaching.external.results import read_results
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.external import is_external


def read_answers(source: Path, people: AnnotationSet) -> Answers:
    """The answers at ``source`` to the images of ``people``.

    Args:
        source: COCO results (JSON), a COCO annotation file, or a folder of maps. In it lie, as 8 or 16 bit grey PNG or
            as ``.npy``, ``<image>.png``, probabilities of any person, and ``<image>_<annotation id>.png``, of this
            person. ``<image>`` is the image's ``file_name``, sub-folders too, with its suffix (``a.jpg.png``) or, where
            that can be no other image's, without (``a.png``).
        people: The images.

    Raises:
        DataError: It is none of these, is malformed, or answers to none of these images.
    """
    check_source(source)
    return read_maps(source, people) if source.is_dir() else read_results(source, people)


def check_source(source: Path) -> None:
    """Finds a wrong name before anything is drawn, loaded or read.

    Raises:
        DataError: There is nothing at ``source``, or a model.
    """
    if is_external(source):
        raise DataError(f"{source}: a model file and no answers; give it as --teacher_checkpoint {source}")
    if not source.exists():
        raise DataError(f"{source}: no such file; give COCO results (JSON), or a folder of maps")
