"""An external teacher in a run: a model file that was asked about all images, or answers that somebody else got."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.engine.build import Splits
from human_edge_detection.engine.teaching.external.answers import Answers
from human_edge_detection.engine.teaching.external.answers_in_views import AnswersInViews
from human_edge_detection.engine.teaching.external.ask import adapter_digest, ask_teacher
from human_edge_detection.engine.teaching.external.read_answers import read_answers
from human_edge_detection.errors import CheckpointError, DataError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.model_files import model_sha256

logger = logging.getLogger(__name__)

_EXPORTED: Final = "exported"


@dataclass(frozen=True)
class ExternalTeacher:
    """A model file, or a file or folder of answers, and what it says of both splits.

    Attributes:
        path: Of the file or folder.
        sha256: Of the file; of answers, see :class:`~human_edge_detection.engine.teaching.external.answers.Answers`.
        adapter: Digest of what is said of a model file.
        kind: ``person_map``, ``instances`` or ``prompted``, or ``exported`` by this tool; of answers ``results`` or
            ``maps``.
        train: Its soft labels to the training images.
        val: Those to the validation images, which it is measured on; None: there are none, it cannot be measured.
    """

    path: Path
    sha256: str
    adapter: str | None
    kind: str
    train: AnswersInViews
    val: AnswersInViews | None


def ask_external_teacher(
    config: ExperimentConfig, splits: Splits, *, alive: Callable[[], None] = lambda: None
) -> ExternalTeacher | None:
    """The external teacher of ``config``, asked about every image of both splits that it was not asked about before.

    Returns:
        None where it has none.

    Raises:
        HumanEdgeDetectionError: As :func:`~human_edge_detection.engine.teaching.external.ask.ask_teacher`.
    """
    distillation = config.distillation
    if distillation is None or distillation.external_teacher is None:
        return None
    path, description = distillation.external_teacher, distillation.external
    sha256 = model_sha256(path)
    if sha256 is None:
        raise CheckpointError(f"teacher {path}: cannot be read; give another one")
    places = [ask_teacher(distillation, people, alive=alive) for people in splits]
    train, val = (
        AnswersInViews(read_answers(place, people), people) for place, people in zip(places, splits, strict=True)
    )
    kind = _EXPORTED if description is None else str(description["kind"])
    return ExternalTeacher(path, sha256, adapter_digest(path, description), kind, train, val)


def answers_as_teacher(source: Path, splits: Splits) -> ExternalTeacher:
    """The teacher whose answers lie at ``source``, which need not be here.

    It can be measured where the source has answers to all validation images, and no other images could be meant: ids
    of images are often the same in both splits, and names may be.

    Raises:
        DataError: As :func:`~human_edge_detection.engine.teaching.external.read_answers.read_answers`.
    """
    train = read_answers(source, splits.train)
    val = _answers_to_val(train, splits)
    if isinstance(val, str):
        logger.info("%s is not measured on %s: %s", source, splits.val.file, val)
    return ExternalTeacher(
        source,
        train.sha256,
        None,
        train.kind,
        AnswersInViews(train, splits.train),
        None if isinstance(val, str) else AnswersInViews(val, splits.val),
    )


def _answers_to_val(train: Answers, splits: Splits) -> Answers | str:
    """The answers to all validation images in the source of ``train``, or why there are none."""
    if not train.others:
        return "it has answers to training images alone"
    if train.by_id and {*_ids(splits.train)} & {*_ids(splits.val)}:
        return "training and validation images share ids, so its answers may be to either; give file names as image_id"
    if {*_stems(splits.train)} & {*_stems(splits.val)}:
        return "training and validation images share names, so its answers may be to either"
    try:
        val = read_answers(train.source, splits.val)
    except DataError as error:
        return f"it has no answers to its images that can be used ({error})"
    missing = sum(val.of(index) is None for index in range(len(splits.val.images)))
    return f"{missing} of {len(splits.val.images)} images have no answer" if missing else val


def _ids(people: AnnotationSet) -> list[int]:
    ids: list[int] = people.images.ids.tolist()
    return ids


def _stems(people: AnnotationSet) -> list[str]:
    return [str(PurePosixPath(name).with_suffix("")) for name in people.images.file_names]
