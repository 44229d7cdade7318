"""All metrics of a checkpoint on a test split; those of a run's best weights are kept in its folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from human_edge_detection.engine.build import HeldOut
from human_edge_detection.engine.checkpoints.load import TrainedModel
from human_edge_detection.engine.evaluation.evaluate_checkpoint import Evaluation
from human_edge_detection.errors import FolderMovedError, StorageError
from human_edge_detection.runs.model_facts.split_scores import SplitScores, write_split_scores
from human_edge_detection.runs.paths import run_paths_of_checkpoint

logger = logging.getLogger(__name__)


def evaluate_on_test(trained: TrainedModel, test: HeldOut, measure: Callable[..., Evaluation]) -> Evaluation:
    """What ``measure`` says of ``trained`` on a test split.

    Scores of the best weights of a run are kept in its folder, in place of earlier ones, for ``hed compare``; where
    that fails, it is a warning.

    Args:
        trained: The model.
        test: The data.
        measure: ``evaluate_checkpoint`` of ``trained``, with all but the data.

    Raises:
        DataError: An image cannot be read.
    """
    evaluation = measure(test.people, with_counts=True)
    evaluation = replace(evaluation, also_in=test.also_in)
    run = run_paths_of_checkpoint(trained.path)
    if trained.path.resolve() != run.best or not run.config.is_file():
        return evaluation
    counts, images = evaluation.counts, test.people.images_fingerprint
    assert counts is not None
    assert images is not None  # they were read
    scores = SplitScores(
        checkpoint_sha256=trained.sha256,
        annotations=evaluation.annotations,
        images_dir=evaluation.images_dir,
        annotations_sha256=test.people.sha256,
        data_fingerprint=evaluation.data_fingerprint,
        images_fingerprint=images,
        images=evaluation.images,
        persons=evaluation.persons,
        also_in=test.also_in,
        metrics=evaluation.metrics,
        device=evaluation.device,
        precision=str(evaluation.precision),
    )
    try:
        write_split_scores(run, scores, counts)
    except (StorageError, FolderMovedError) as error:
        logger.warning("%s; hed compare --split test will have to measure again", error)
        return evaluation
    return replace(evaluation, scores_file=str(run.test_scores))
