"""Reads ``torch.save`` archives of tensors and plain values from untrusted sources.

``torch.load(weights_only=True)`` runs no code of the file, but it trusts what the file says of itself: a storage that
claims more bytes than it has is read beyond its end, a sparse tensor with wrong indices ends the interpreter, and zip
checksums are not compared. So the archive is checked first, and torch gets a copy made of the checked parts only.
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
from io import BufferedReader
from pickle import UnpicklingError
from typing import Any, Final

import torch
from torch import Tensor, nn

from human_edge_detection.errors import CheckpointError

MAX_ARCHIVE_BYTES: Final = 4 << 30
"""Largest archive that is read: five times the checkpoint of the largest model of this package."""
_MAX_INSTRUCTIONS = 1_000_000
"""Most pickle instructions of an archive, unless it is large."""
_BYTES_PER_INSTRUCTION = 16
"""A large archive may have an instruction per so many bytes: enough for the smallest model and 50,000 epoch records."""
_MAX_SHARED_VALUES = 1000
"""Most values that containers may share, beyond one value for each instruction."""
_MAX_DEPTH = 30
"""Most containers inside each other."""
_ZIP_SIGNATURE = b"PK\x03\x04"
_OLD_SIGNATURE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""What files of ``torch.save`` began with before it wrote zip archives: a pickled number."""
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
"""Bytes of one element of each type of storage."""
_GLOBALS = {
    *_STORAGES,
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
}
"""All globals that the pickle of dense tensors and plain values refers to."""
_CONSTANTS = {
    "BINUNICODE": "text",
    "BININT": "number",
    "BININT1": "number",
    "BININT2": "number",
    "LONG1": "number",
    "GLOBAL": "global",
}
"""Kind of the constant that a pickle instruction loads."""
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
"""What zipfile and torch raise for damaged archives: torch tries to execute any byte as a pickle instruction."""

_PUT = "PUT"
"""Kind of an instruction that stores the last value in the memo."""
_Instruction = tuple[str, Any]


class _RefusedError(Exception):
    """The archive holds something that is not permitted; the message says what."""


def read_torch_archive(content: bytes, *, source: str) -> Any:
    """The value stored in ``content``, of dense CPU tensors, dicts, lists, tuples, numbers, strings and None.

    Args:
        content: All bytes of a file that ``torch.save`` wrote.
        source: What is read, for messages: ``checkpoint PATH``.

    Raises:
        CheckpointError: The content is no such archive, is damaged, or holds anything else.
    """
    _check_beginning(content[: len(_OLD_SIGNATURE)], source)
    try:
        archive, instructions = _checked_copy(content)
        # Bounds the number of values: each has an instruction of its own, except for the few that containers share.
        copier = _PlainCopier(instructions + _MAX_SHARED_VALUES)
        return copier.copy(torch.load(archive, map_location="cpu", weights_only=True))
    except _RefusedError as error:
        raise CheckpointError(
            f"{source}: refused, {error}; expected plain values and dense tensors, "
            "as torch.save(model.state_dict(), FILE) writes"
        ) from error
    except _UNREADABLE as error:
        raise CheckpointError(f"{source}: not a readable weights file, or damaged ({type(error).__name__})") from error


def check_archive_ends(file: BufferedReader, *, source: str) -> None:
    """Refuses a file that :func:`read_torch_archive` cannot read, by its first bytes and its last: quick for any size.

    Args:
        file: Open at its beginning, where it is again afterwards.
        source: What is read, for messages.

    Raises:
        CheckpointError: It is no zip archive.
    """
    _check_beginning(file.read(len(_OLD_SIGNATURE)), source)
    whole = zipfile.is_zipfile(file)
    file.seek(0)
    if not whole:
        raise CheckpointError(f"{source}: not a readable weights file, or damaged (cut off: no end of a zip archive)")


def _check_beginning(beginning: bytes, source: str) -> None:
    if beginning.startswith(_OLD_SIGNATURE):
        raise CheckpointError(
            f"{source}: not a readable weights file (in the format of torch.save before 1.6); save it again: "
            "torch.save(torch.load(FILE, weights_only=True), NEW_FILE)"
        )
    if not beginning.startswith(_ZIP_SIGNATURE):
        raise CheckpointError(
            f"{source}: not a readable weights file (not a zip archive as torch.save writes since 1.6)"
        )


def _checked_copy(content: bytes) -> tuple[io.BytesIO, int]:
    """A new archive of the checked records, and the number of its pickle instructions.

    It is a copy, since torch's reader of zip files and that of Python may find different records in one file.
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
            # zipfile compares the checksum of what it reads.
            checked.writestr(f"archive/{name}", given.read(record))
    copy.seek(0)
    return copy, instructions


def _records(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The records that torch reads, by their name without the archive's top folder; refuses ambiguous archives."""
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
    """Refuses globals other than :data:`_GLOBALS`, storages of another length than their record, too many instructions.

    Args:
        pickled: The pickle, which is not executed.
        sizes: Bytes of each record of the archive.
        limit: Most instructions.

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
    """The instructions of a pickle: constants as (kind, value), also those from the memo; others as (name, argument).

    The memo is followed, since a pickle may load the parts of a storage's description from it.
    """
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
    """Checks the description of a storage, which the instructions before it load, against the size of its record.

    It is the tuple ``("storage", type, key, location, number of elements)``.
    """
    kinds = [kind for kind, _ in recent]
    if kinds != ["MARK", "text", "global", "text", "text", "number", "TUPLE"]:
        raise _RefusedError("a storage that is not as torch.save writes it")
    _, storage, key, _, elements = (argument for _, argument in recent[1:6])
    record = sizes.get(f"data/{key}")
    if storage not in _STORAGES or record is None or record != elements * _STORAGES[storage]:
        raise _RefusedError(f"a storage of {elements} elements whose record has {record} bytes")


class _PlainCopier:
    """Copies a value to built-in containers, so that none is a subclass or has attributes, and checks its tensors."""

    def __init__(self, max_values: int) -> None:
        self._left = max_values

    def copy(self, value: Any, depth: int = 0) -> Any:
        """A copy of ``value``, which is inside ``depth`` containers."""
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0:
            raise _RefusedError("values nested too deep or shared too often")
        if isinstance(value, Tensor):
            return _checked_tensor(value)
        if isinstance(value, dict):
            # Not value.items(): an OrderedDict from a file may have an attribute of this name.
            return {_checked_key(key): self.copy(below, depth + 1) for key, below in dict.items(value)}
        if type(value) in (list, tuple):
            return type(value)(self.copy(below, depth + 1) for below in value)
        if value is None or type(value) in (bool, int, float, str):
            return value
        raise _RefusedError(f"a value of type {type(value).__name__}")


def _checked_key(key: Any) -> str | int:
    """A key of a dict, which must be a string or an integer."""
    if type(key) not in (str, int):
        raise _RefusedError(f"a key of type {type(key).__name__}")
    return key  # type: ignore[no-any-return]


def _checked_tensor(tensor: Tensor) -> Tensor:
    """A dense tensor whose storage holds all of its elements, detached."""
    if not is_dense(tensor):
        raise _RefusedError(f"a tensor of type {type(tensor).__name__}, {tensor.layout}, {tensor.device}")
    if math.prod(tensor.shape) * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise _RefusedError(f"a tensor of shape {tuple(tensor.shape)} with fewer values than that")
    return tensor.detach()


def is_dense(tensor: Tensor) -> bool:
    """Whether ``tensor`` is strided and has values in memory: not sparse, quantized, of device meta or a subclass."""
    plain = type(tensor) in (Tensor, nn.Parameter)
    return plain and tensor.layout is torch.strided and not tensor.is_meta and not tensor.is_quantized
