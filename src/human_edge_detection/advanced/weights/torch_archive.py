"""Reading a ``torch.save`` archive of tensors and plain values that may come from anybody.

``torch.load(weights_only=True)`` runs no code of the file, but it believes what the file says of itself: a storage that
claims more bytes than it has is read beyond its end, a sparse tensor with wrong indices ends the interpreter, and zip
checksums are not looked at. So the archive is checked first, and torch gets a copy made of the checked parts alone.
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from pickle import UnpicklingError
from typing import Any, Final

import torch
from torch import Tensor, nn

from human_edge_detection.errors import CheckpointError

MAX_ARCHIVE_BYTES: Final = 4 << 30
"""Five times the checkpoint of the largest model here."""
_MAX_INSTRUCTIONS = 1_000_000
_BYTES_PER_INSTRUCTION = 16
"""A large file may have more of them: the record of 50,000 epochs, beside the weights of the smallest model."""
_SHARED_VALUES = 1000
_MAX_DEPTH = 30
_ZIP_MARK = b"PK\x03\x04"
_STORAGES = {
    "torch DoubleStorage": 8,
    "torch FloatStorage": 4,
    "torch HalfStorage": 2,
    "torch BFloat16Storage": 2,
    "torch LongStorage": 8,
    "torch IntStorage": 4,
    "torch ShortStorage": 2,
    "torch CharStorage": 1,
    "torch ByteStorage": 1,
    "torch BoolStorage": 1,
}
"""Bytes of one element."""
_GLOBALS = {
    *_STORAGES,
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
}
"""All that a file of dense tensors and plain values names."""
_CONSTANTS = {
    "BINUNICODE": "text",
    "BININT": "number",
    "BININT1": "number",
    "BININT2": "number",
    "LONG1": "number",
    "GLOBAL": "global",
}
_UNREADABLE = (
    OSError,
    UnpicklingError,
    RuntimeError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    NotImplementedError,
    OverflowError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What zipfile and torch raise for bytes that are no archive: torch takes any byte for an instruction."""

_PUT = "PUT"
_Instruction = tuple[str, Any]


class _RefusedError(Exception):
    """The archive holds what it should not; the message says what."""


def read_torch_archive(content: bytes, *, source: str) -> Any:
    """The value stored in ``content``: dense CPU tensors, dicts, lists, tuples, numbers, texts and None.

    Args:
        content: A whole file, as ``torch.save`` writes it.
        source: What is read, for messages: ``checkpoint PATH``.

    Raises:
        CheckpointError: Not such an archive, damaged, or with anything else in it.
    """
    if not content.startswith(_ZIP_MARK):
        raise CheckpointError(
            f"{source}: not a readable weights file (not a zip archive as torch.save writes since 1.6)"
        )
    try:
        archive, instructions = _checked_copy(content)
        # Each value has an instruction of its own, but for the few that containers share.
        plain = _Plain(instructions + _SHARED_VALUES)
        return plain.of(torch.load(archive, map_location="cpu", weights_only=True))
    except _RefusedError as error:
        raise CheckpointError(f"{source}: refused, {error}; expected plain values and dense tensors") from error
    except _UNREADABLE as error:
        raise CheckpointError(f"{source}: not a readable weights file, or damaged ({type(error).__name__})") from error


def _checked_copy(content: bytes) -> tuple[io.BytesIO, int]:
    """A new archive of what was checked, and the number of its instructions.

    A copy, as torch's reader of zip files and Python's may see different records in one file.
    """
    copy = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(copy, "w") as checked:
        records = _records(given, len(content))
        sizes = {name: record.file_size for name, record in records.items()}
        pickled = given.read(records.pop("data.pkl"))
        limit = max(_MAX_INSTRUCTIONS, len(content) // _BYTES_PER_INSTRUCTION)
        instructions = _check_pickle(pickled, sizes, limit)
        checked.writestr("archive/data.pkl", pickled)
        checked.writestr("archive/version", b"3\n")
        for name, record in records.items():
            # Reading compares the zip checksum.
            checked.writestr(f"archive/{name}", given.read(record))
    copy.seek(0)
    return copy, instructions


def _records(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The records that torch reads, by their name below the archive's folder."""
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _RefusedError("compressed records")
    if sum(entry.file_size for entry in entries) > size:
        raise _RefusedError("records that overlap")
    if len({entry.filename.casefold() for entry in entries}) != len(entries):
        raise _RefusedError("records with the same name")
    named = {entry.filename.partition("/")[2]: entry for entry in entries}
    if "data.pkl" not in named:
        raise _RefusedError("no data.pkl")
    return {name: entry for name, entry in named.items() if name in ("data.pkl", "byteorder") or name[:5] == "data/"}


def _check_pickle(pickled: bytes, sizes: Mapping[str, int], limit: int) -> int:
    """Refuses names other than :data:`_GLOBALS`, storages that are not as long as their record, too many instructions.

    Returns:
        The number of instructions.
    """
    recent: deque[_Instruction] = deque(maxlen=7)
    count = 0
    for count, (kind, argument) in enumerate(_instructions(pickled), start=1):
        if count > limit:
            raise _RefusedError(f"more than {limit} instructions")
        if kind == "global" and argument not in _GLOBALS:
            raise _RefusedError(f"it names {argument.replace(' ', '.')[:80]}")
        if kind == "BINPERSID":
            _check_storage(list(recent), sizes)
        if kind != _PUT:
            recent.append((kind, argument))
    return count


def _instructions(pickled: bytes) -> Iterator[_Instruction]:
    """The pickle's instructions: constants with their value, fetched from the memo or not; the others by name."""
    memo: dict[int, _Instruction] = {}
    last: _Instruction = ("", None)
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("BINPUT", "LONG_BINPUT"):
            memo[int(argument or 0)] = last
            yield _PUT, None
            continue
        if opcode.name in ("BINGET", "LONG_BINGET"):
            last = memo.get(int(argument or 0), ("", None))
            last = last if last[0] in _CONSTANTS.values() else (opcode.name, None)
        else:
            last = (_CONSTANTS.get(opcode.name, opcode.name), argument)
        yield last


def _check_storage(recent: list[_Instruction], sizes: Mapping[str, int]) -> None:
    """A storage is ``("storage", type, key, location, elements)``; it must have the bytes that its record has."""
    kinds = [kind for kind, _ in recent]
    if kinds != ["MARK", "text", "global", "text", "text", "number", "TUPLE"]:
        raise _RefusedError("a storage that is not as torch.save writes it")
    _, storage, key, _, elements = (argument for _, argument in recent[1:6])
    record = sizes.get(f"data/{key}")
    if storage not in _STORAGES or record is None or record != elements * _STORAGES[storage]:
        raise _RefusedError(f"a storage of {elements} elements whose record has {record} bytes")


class _Plain:
    """Copies containers, so that none is of a class of its own or changed by attributes, and checks tensors."""

    def __init__(self, most: int) -> None:
        self._left = most

    def of(self, value: Any, depth: int = 0) -> Any:
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0:
            raise _RefusedError("values nested too deep or shared too often")
        if isinstance(value, Tensor):
            return _dense(value)
        if isinstance(value, dict):
            # dict.items, as an OrderedDict of a file may have an attribute called items.
            return {_key(key): self.of(below, depth + 1) for key, below in dict.items(value)}
        if type(value) in (list, tuple):
            return type(value)(self.of(below, depth + 1) for below in value)
        if value is None or type(value) in (bool, int, float, str):
            return value
        raise _RefusedError(f"a value of type {type(value).__name__}")


def _key(key: Any) -> str | int:
    if type(key) not in (str, int):
        raise _RefusedError(f"a key of type {type(key).__name__}")
    return key  # type: ignore[no-any-return]


def _dense(tensor: Tensor) -> Tensor:
    if not is_dense(tensor):
        raise _RefusedError(f"a tensor of type {type(tensor).__name__}, {tensor.layout}, {tensor.device}")
    if math.prod(tensor.shape) * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise _RefusedError(f"a tensor of shape {tuple(tensor.shape)} with fewer values than that")
    return tensor.detach()


def is_dense(tensor: Tensor) -> bool:
    """Whether ``tensor`` has its values in memory, one after the other: not sparse, quantized, meta, or a subclass."""
    plain = type(tensor) in (Tensor, nn.Parameter)
    return plain and tensor.layout is torch.strided and not tensor.is_meta and not tensor.is_quantized
