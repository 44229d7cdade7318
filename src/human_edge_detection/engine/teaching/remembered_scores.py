"""What a teacher scored before on the same images with the same arithmetic: it is not measured at each start."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable

import torch

from human_edge_detection import __version__
from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.engine.evaluation.evaluate import Metrics
from human_edge_detection.engine.precision import Precision
from human_edge_detection.errors import StorageError
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.files.cache import cache_folder, read_cached
from human_edge_detection.files.write import make_folder, write_json
from human_edge_detection.runs.provenance import git_commit, processor_name

logger = logging.getLogger(__name__)


def remembered_metrics(
    teacher_sha256: str,
    people: AnnotationSet,
    sizes: ModelConfig,
    *,
    device: torch.device,
    precision: Precision,
    measure: Callable[[], Metrics],
) -> Metrics:
    """The metrics of a teacher, measured unless they are in the user's caches.

    Args:
        teacher_sha256: Of its checkpoint, or of all of several.
        people: The data; when nobody knows what their images are, the teacher is measured each time.
        sizes: Of its images and masks.
        device: Where it is measured.
        precision: Arithmetic of the forward passes.
        measure: Measures it.
    """
    folder = cache_folder()
    if people.images_fingerprint is None or folder is None:
        return measure()
    known = {
        "teacher": teacher_sha256,
        "annotations": people.fingerprint,
        "images": people.images_fingerprint,
        "sizes": [*sizes.image_size, *sizes.mask_size],
        # Whatever rounds differently.
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "versions": [__version__, git_commit(), torch.__version__],
    }
    key = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]
    file = folder / "teacher_scores" / f"{key}.json"
    metrics = read_cached(dict[str, float | None], file)
    if metrics is not None:
        logger.info("the teacher was measured on these images before; its scores are in %s", file.parent)
        return metrics
    metrics = measure()
    try:
        make_folder(file.parent)
        write_json(file, metrics)
    except StorageError as error:
        logger.info("measured again next time: %s", error)
    return metrics
