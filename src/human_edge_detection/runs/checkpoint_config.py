"""The config inside a checkpoint file, read without torch and without the weights."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, build_config

_MAX_BYTES: Final = 1 << 28
"""Of all that a checkpoint holds beside its tensors: some megabytes for a long history."""
_TENSORS: Final = "torch"
"""Where the names come from that stand for tensors and their storages."""


def config_in_checkpoint(path: Path) -> ExperimentConfig:
    """The experiment whose model is stored at ``path``.

    Raises:
        CheckpointError: It cannot be read, or is no checkpoint of this tool. Whether it is whole is seen when it is
            loaded.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next(entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
            if entry.file_size > _MAX_BYTES:
                raise CheckpointError(f"checkpoint {path}: {entry.file_size} bytes beside its tensors, too many")
            payload = _WithoutTensors(io.BytesIO(archive.read(entry))).load()
        return build_config(payload["config"], source=f"checkpoint {path}")
    except OSError as error:
        raise CheckpointError(f"checkpoint {path}: {error.strerror}; give the path of a .pth file") from error
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    except _UNREADABLE as error:
        raise CheckpointError(
            f"checkpoint {path}: damaged, or not a checkpoint of this tool ({type(error).__name__})"
        ) from error


class _WithoutTensors(pickle.Unpickler):
    """Plain values, with None in place of each tensor; knows no function that does anything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module.partition(".")[0] == _TENSORS:
            return _nothing
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, _: Any) -> None:
        """A storage, which is a record of its own."""


def _nothing(*_: object) -> None:
    """In place of what would make a tensor."""


_UNREADABLE: Final = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    StopIteration,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    MemoryError,
    NotImplementedError,
)
"""What zipfile and pickle raise for damaged files."""
