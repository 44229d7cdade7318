"""Finding photographs that cannot be used before the first epoch does."""

import json
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from human_edge_detection.data.annotations.annotation_set import BadSample, PeopleAnnotations
from human_edge_detection.data.images.read import photograph_problem
from human_edge_detection.errors import StorageError
from human_edge_detection.files.read import read_regular_file
from human_edge_detection.files.write import write_json

logger = logging.getLogger(__name__)

_VERSION = 1
"""To be raised when photographs are judged otherwise, so that older verdicts do not count."""
_MAX_CACHE_BYTES = 2**30
_THREADS = min(16, 4 * (os.cpu_count() or 1))
"""More than processors: on a network disk most of the time is waiting."""


class _Look(NamedTuple):
    file_name: str
    stamp: str | None
    problem: str | None


def bad_samples(people: PeopleAnnotations, *, cache: Path | None = None) -> tuple[BadSample, ...]:
    """The photographs that :func:`~human_edge_detection.data.images.read.read_photograph` would refuse.

    Each is read whole and decoded at an eighth of its size: 1 to 2 ms for one of 640 x 480 pixels.

    Args:
        people: The annotations.
        cache: JSON file that remembers which photographs were found good. Such a one is not read again while the
            annotation file, the folder, and the photograph's size and time of change are the same. A cache that is
            damaged, of other data or not to be written only costs time.
    """
    key = {"version": _VERSION, "annotations": people.sha256, "images_dir": str(people.images_dir.resolve())}
    known = {} if cache is None else _read_cache(cache, key)
    photographs = people.photographs
    with ThreadPoolExecutor(_THREADS) as pool:
        looks = list(
            pool.map(
                lambda name, size: _look(people.images_dir, name, (size[0], size[1]), known),
                photographs.file_names,
                photographs.sizes.tolist(),
            )
        )
    good = {look.file_name: look.stamp for look in looks if look.problem is None}
    if cache is not None and good != known:
        _write_cache(cache, {**key, "good": good})
    return tuple(BadSample(look.file_name, look.problem) for look in looks if look.problem is not None)


def _look(folder: Path, name: str, size: tuple[int, int], known: Mapping[str, Any]) -> _Look:
    """What is wrong with one photograph; that something is wrong is not remembered, as mending may leave no trace."""
    path = folder / name
    stamp = _stamp(path)
    unchanged = stamp is not None and known.get(name) == stamp
    return _Look(name, stamp, None if unchanged else photograph_problem(path, size))


def _stamp(path: Path) -> str | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_size} bytes at {status.st_mtime_ns} ns"


def _read_cache(cache: Path, key: Mapping[str, Any]) -> dict[str, Any]:
    try:
        data = json.loads(read_regular_file(cache, max_bytes=_MAX_CACHE_BYTES))
    except (OSError, ValueError, RecursionError):  # there is none, or it is damaged
        return {}
    if not isinstance(data, dict) or {name: data.get(name) for name in key} != key:
        return {}
    good = data.get("good")
    return good if isinstance(good, dict) else {}


def _write_cache(cache: Path, content: Mapping[str, Any]) -> None:
    try:
        write_json(cache, content)
    except StorageError as error:
        logger.warning("%s; all photographs will be looked at again next time", error)
