"""Errors that are the user's to mend. The command line prints one line for them and exits with code 2, or with 1
when they ended a run that had begun.

A message says what is wrong, what was given, what was expected and what to do. Anything that is not one of these is a
bug of ours: it ends in a traceback and exit code 1.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

_OUT_OF_MEMORY: Final = (
    "out of memory",
    "can't allocate memory",
    "cublas_status_alloc_failed",
    "cublas_status_not_initialized",
    "cudnn_status_alloc_failed",
    "cudnn_status_internal_error",
)
_GPU_FAILED: Final = (
    "cuda error:",
    "cuda driver error",
    "cuda unknown error",
    "cudnn error:",
    "hip error:",
    "no cuda gpus are available",
    "found no nvidia driver",
)
"""How PyTorch begins to say that a GPU does not work, or does not work any more."""
_BUG_ON_GPU: Final = ("device-side assert", "invalid argument", "invalid configuration", "not_supported", "bad_param")
"""What it says then when the fault lies in the program."""


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


class BackendError(HumanEdgeDetectionError):
    """What is to run the children of a batch (this machine, a cluster) cannot start one."""


class ExportError(HumanEdgeDetectionError):
    """The outputs of an exported model are not those of the trained one, or a quantised one is no gain."""


@contextmanager
def explained() -> Iterator[None]:
    """Errors of PyTorch that are the user's to mend leave as one of this module.

    Raises:
        TrainingError: Too little memory, or a GPU that does not work.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        short = explanation(error)
        if short is None:
            raise
        raise short from error


def explanation(error: BaseException) -> TrainingError | None:
    """``error`` as one that the user can mend; None when it comes neither from too little memory nor from a bad GPU.

    PyTorch has classes for a few of the many; drivers and libraries of GPUs say it in their own words.
    """
    if not isinstance(error, MemoryError | RuntimeError):
        return None
    gpu = _line_with(_GPU_FAILED, error)
    if is_out_of_memory(error):
        memory = _line_with(_OUT_OF_MEMORY, error)
        return TrainingError(
            f"out of memory ({memory or error or type(error).__name__}); lower --batch_size, model.image_size or "
            "data.max_rois_per_image, and see whether another program uses the memory (nvidia-smi shows that of a "
            "GPU); the last checkpoint is kept"
        )
    if gpu is None or _line_with(_BUG_ON_GPU, error) is not None:
        return None
    return TrainingError(
        f"the GPU does not work, or not any more ({gpu}); see nvidia-smi and hed doctor, then give the same command "
        "again, or --device cpu; the last checkpoint is kept"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, of this process or of a GPU."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _line_with(_OUT_OF_MEMORY, error) is not None
    )


def _line_with(words: Sequence[str], error: BaseException) -> str | None:
    """The line of a message that has one of ``words``: around it stand tracebacks, and advice to debug kernels."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if any(word in line.lower() for word in words)), None)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """``" (did you mean 'b0'?)"`` for the nearest known name, or an empty string when none is near."""
    near = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
