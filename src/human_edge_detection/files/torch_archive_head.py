"""What a ``torch.save`` archive holds beside its numbers: plain values, and the shape of each tensor. No torch."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final, NamedTuple

_MAX_BYTES: Final = 1 << 28
"""Of all that an archive holds beside its tensors: some megabytes for a long history."""
_TENSORS: Final = "torch"
"""Where the names come from that stand for tensors and their storages."""


class TensorShape(NamedTuple):
    """Stands for a tensor."""

    size: tuple[int, ...]


def read_archive_head(path: Path) -> Any:
    """The value stored at ``path``, with a :class:`TensorShape` in place of each tensor; runs no code of the file.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: It is no such archive, damaged, or holds something else than tensors and plain values.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next(entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
            if entry.file_size > _MAX_BYTES:
                raise ValueError(f"{entry.file_size} bytes beside its tensors, too many")
            return _ShapesForTensors(io.BytesIO(archive.read(entry))).load()
    except _UNREADABLE as error:
        raise ValueError(f"no archive of tensors and plain values ({type(error).__name__})") from error


class _ShapesForTensors(pickle.Unpickler):
    """Plain values, and shapes in place of tensors; knows no function that does anything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module.partition(".")[0] == _TENSORS:
            return {"_rebuild_tensor_v2": _shape, "_rebuild_parameter": _same}.get(name, _nothing)
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, _: Any) -> None:
        """A storage, which is a record of its own."""


def _shape(_storage: object, _offset: object, size: object, *_: object) -> TensorShape:
    """In place of what would make a tensor."""
    if not isinstance(size, tuple) or not all(type(side) is int for side in size):
        raise pickle.UnpicklingError("a tensor without a shape")
    return TensorShape(size)


def _same(tensor: object, *_: object) -> object:
    """In place of what would make a parameter of a tensor."""
    return tensor


def _nothing(*_: object) -> None:
    """In place of any other function of torch."""


_UNREADABLE: Final = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    StopIteration,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    MemoryError,
    NotImplementedError,
)
"""What zipfile and pickle raise for damaged files, beside ValueError."""
