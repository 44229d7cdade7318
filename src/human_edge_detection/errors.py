"""Errors that are the user's to mend. The command line prints one line for them and exits with code 2, or with 1
when they ended a run that had begun.

A message says what is wrong, what was given, what was expected and what to do. Anything that is not one of these is a
bug of ours: it ends in a traceback and exit code 1.
"""

import difflib
from collections.abc import Iterable
from typing import Final

_OUT_OF_MEMORY: Final = (
    "out of memory",
    "can't allocate memory",
    "cublas_status_alloc_failed",
    "cublas_status_not_initialized",
    "cudnn_status_alloc_failed",
    "cudnn_status_internal_error",
)


class HumanEdgeDetectionError(Exception):
    """Base of every error that the user can mend.

    Attributes:
        run_failed: It ended a run that had begun to train, so what failed is the run: exit code 1 instead of 2.
    """

    run_failed: bool = False


class ConfigError(HumanEdgeDetectionError):
    """An experiment, a field or a flag is wrong."""


class DataError(HumanEdgeDetectionError):
    """An image, an annotation or a data folder is wrong."""


class CheckpointError(HumanEdgeDetectionError):
    """A checkpoint or a weights file is missing, damaged or of another model."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint file that is cut off or was changed after it was written."""


class ForeignCheckpointError(CheckpointError):
    """A file of weights that is no checkpoint of this tool: there is no config that says of which network they are."""


class TrainingError(HumanEdgeDetectionError):
    """Training cannot go on (a loss that is not finite, a teacher worse than its record)."""


class StorageError(HumanEdgeDetectionError):
    """A file cannot be written: the disk is full, over quota, read-only or failing."""


class FolderMovedError(HumanEdgeDetectionError):
    """A folder was renamed, deleted or replaced while it was written to: nothing more is written."""


class BusyError(HumanEdgeDetectionError):
    """Another process works on the same run or batch."""


class ExportError(HumanEdgeDetectionError):
    """The outputs of an exported model are not those of the trained one."""


def out_of_memory(error: BaseException) -> TrainingError | None:
    """``error`` as one that the user can mend; None when it does not come from too little memory.

    PyTorch has a class for one of the many; drivers and libraries of GPUs say it in their own words.
    """
    text = " ".join(str(error).split())
    if not isinstance(error, MemoryError) and not any(words in text.lower() for words in _OUT_OF_MEMORY):
        return None
    return TrainingError(
        f"out of memory ({text or type(error).__name__}); lower --batch_size, model.image_size or "
        "data.max_rois_per_image, and see whether another program uses the memory (nvidia-smi shows that of a GPU); "
        "the last checkpoint is kept"
    )


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """``" (did you mean 'b0'?)"`` for the nearest known name, or an empty string when none is near."""
    near = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
