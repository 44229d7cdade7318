"""Which file of a folder holds the weights of a network: told by its head alone, without torch."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from human_edge_detection.files.torch_archive_head import TensorShape, read_archive_head

Leaf = TypeVar("Leaf")

ENCODER_WEIGHTS_VARIABLE: Final = "HED_ENCODER_WEIGHTS"
"""A folder where encoder weights are looked for before they are downloaded."""
COUNTER: Final = "num_batches_tracked"
"""Last word of the name of a counter of BatchNorm, which no output depends on; older files lack it."""
_SAFETENSORS = ".safetensors"
_METADATA = "__metadata__"
_SUFFIXES = (_SAFETENSORS, ".pth", ".pt", ".bin", ".ckpt", ".tar")
_LENGTH_BYTES = 8
"""Of the number at the start of a safetensors file, which is the length of the description that follows."""
MAX_DESCRIPTION_BYTES = 100_000_000
"""Longest description that the format permits."""
_FLOAT_BYTES, _COUNTER_BYTES = 4, 8


class WeightsSignature(NamedTuple):
    """What tells the weights of a network in a file that may hold more, in other precision, under longer names.

    Attributes:
        parts: First words of the names of its tensors.
        values: Numbers in these tensors, counters of BatchNorm left out.
        counters: Counters of BatchNorm.
    """

    parts: frozenset[str]
    values: int
    counters: int

    @property
    def bytes(self) -> int:
        """Of a file that holds exactly these weights, in single precision."""
        return _FLOAT_BYTES * self.values + _COUNTER_BYTES * self.counters


def signature_of(sizes: Mapping[str, tuple[int, ...]]) -> WeightsSignature:
    """The signature of a network whose state dict has tensors of these sizes."""
    values = {name: math.prod(size) for name, size in sizes.items() if not is_counter(name)}
    return WeightsSignature(
        frozenset(name.partition(".")[0] for name in sizes), sum(values.values()), len(sizes) - len(values)
    )


def prefixes_of(sizes: Mapping[str, tuple[int, ...]], signature: WeightsSignature) -> list[str]:
    """The prefixes, with their last dot, behind which tensors of these sizes are those of ``signature``."""
    values: Counter[str] = Counter()
    for name, size in sizes.items():
        if not is_counter(name):
            for prefix, rest in prefixes(name):
                if rest.partition(".")[0] in signature.parts:
                    values[prefix] += math.prod(size)
    return [prefix for prefix, number in values.items() if number == signature.values]


def prefixes(name: str) -> Iterator[tuple[str, str]]:
    """The ways to cut a dotted name in two: ``("", "a.b")`` and ``("a.", "b")``."""
    words = name.split(".")
    for cut in range(len(words)):
        rest = ".".join(words[cut:])
        yield name[: len(name) - len(rest)], rest


def is_counter(name: str) -> bool:
    """Whether a tensor of this name is a counter of BatchNorm."""
    return name.rpartition(".")[2] == COUNTER


def flat_names(content: object, leaf: type[Leaf]) -> dict[str, Leaf]:
    """Every ``leaf`` in ``content``, a dict of dicts, by its keys joined with dots; a shared dict is looked at once."""
    found: dict[str, Leaf] = {}
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", content)]
    while waiting:
        prefix, value = waiting.pop(0)
        if not isinstance(value, dict) or id(value) in seen:
            continue
        seen.add(id(value))
        # Not value.items(): an OrderedDict from a file may have an attribute of this name.
        for key, below in dict.items(value):
            if isinstance(below, leaf):
                found[f"{prefix}{key}"] = below
            else:
                waiting.append((f"{prefix}{key}.", below))
    return found


def weight_files(folder: Path) -> list[Path]:
    """The weights files directly in ``folder``, sorted; none when it is no folder."""
    return sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES and path.is_file())


def weight_files_of(folder: Path, signature: WeightsSignature) -> list[Path]:
    """The weights files in ``folder`` that hold the weights of ``signature``, sorted.

    Where some hold nothing else, by the number of their bytes, those alone. Whether names and shapes fit too is seen
    when a file is loaded.
    """
    files = weight_files(folder)
    exact = [path for path in files if tensor_bytes(path) == signature.bytes]
    return exact or [path for path in files if prefixes_of(tensor_sizes(path), signature)]


def tensor_bytes(path: Path) -> int | None:
    """Bytes of all tensors in a file of safetensors or of ``torch.save``; None when it is neither."""
    try:
        return _safetensors_bytes(path) if path.suffix == _SAFETENSORS else _archive_bytes(path)
    except (OSError, ValueError, struct.error, zipfile.BadZipFile):
        return None


def tensor_sizes(path: Path) -> dict[str, tuple[int, ...]]:
    """The size of each tensor in a file of safetensors or of ``torch.save`` by its name; none when it is neither."""
    try:
        if path.suffix == _SAFETENSORS:
            return _safetensors_sizes(path)
        shapes = flat_names(read_archive_head(path), TensorShape)
        return {name: shape.size for name, shape in shapes.items()}
    except (OSError, ValueError, struct.error, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def safetensors_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself, texts by name; nothing when it is no such file, or says nothing."""
    try:
        said = _description(path).get(_METADATA)
        return {str(name): str(text) for name, text in said.items()} if isinstance(said, dict) else {}
    except (OSError, ValueError, struct.error, RecursionError):
        return {}


def _safetensors_bytes(path: Path) -> int:
    with path.open("rb") as file:
        (description,) = struct.unpack("<Q", file.read(_LENGTH_BYTES))
    return path.stat().st_size - _LENGTH_BYTES - int(description)


def _safetensors_sizes(path: Path) -> dict[str, tuple[int, ...]]:
    entries = _description(path).items()
    return {name: tuple(map(int, entry["shape"])) for name, entry in entries if name != _METADATA}


def _description(path: Path) -> dict[str, Any]:
    """The JSON object that a safetensors file begins with: of each tensor, and what the file says of itself."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(_LENGTH_BYTES))
        if length > MAX_DESCRIPTION_BYTES:
            raise ValueError("no safetensors file")
        description = json.loads(file.read(length))
    if not isinstance(description, dict):
        raise ValueError("no safetensors file")  # noqa: TRY004 - as all that is wrong with it
    return description


def _archive_bytes(path: Path) -> int:
    """Each tensor of a ``torch.save`` archive has a record ``<archive>/data/<number>``."""
    with zipfile.ZipFile(path) as archive:
        return sum(
            entry.file_size for entry in archive.infolist() if entry.filename.partition("/")[2].startswith("data/")
        )
