"""Checks all image files before training, so that an unusable one does not stop the first epoch."""

import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from human_edge_detection.data.annotations.annotation_set import AnnotationSet, BadImage
from human_edge_detection.data.images.read import ImageFacts, image_facts, image_problem
from human_edge_detection.errors import StorageError
from human_edge_detection.files.cache import read_cached
from human_edge_detection.files.write import write_json

logger = logging.getLogger(__name__)

_VERSION = 4
"""Raise it when images are checked in another way, so that results in older caches are not used."""
_THREADS = min(16, 4 * (os.cpu_count() or 1))
"""More threads than processors: on a network disk most of the time is spent waiting."""


class _Cache(BaseModel):
    """What the cache holds; ``good`` are the stamps and facts of good images, by file name."""

    model_config = ConfigDict(extra="forbid")

    version: int
    annotations: str
    images_dir: str
    good: dict[str, tuple[str, ImageFacts]]


class Scan(NamedTuple):
    """What is known of the image files of a data set.

    Attributes:
        bad: The images that cannot be used, in the order of the annotation file, each with its problem.
        facts: Of all images that have a readable header, by file name.
    """

    bad: tuple[BadImage, ...]
    facts: dict[str, ImageFacts]

    @property
    def digests(self) -> dict[str, str]:
        """Equal for equal files, by file name."""
        return {name: facts.digest for name, facts in self.facts.items()}

    def fingerprint(self, names: Sequence[str]) -> str:
        """Equal when the files of these names, in this order, are equal byte by byte; the names do not count."""
        return hashlib.sha256("\n".join(self.facts[name].digest for name in names).encode()).hexdigest()


class _Checked(NamedTuple):
    """One image file: ``stamp`` is its size and times, ``problem`` None when it can be used."""

    file_name: str
    stamp: str | None
    facts: ImageFacts | None
    problem: str | None


def scan_images(
    people: AnnotationSet, *, cache: Path | None = None, after_image: Callable[[], None] = lambda: None
) -> Scan:
    """Checks all images: bad are those that :func:`~human_edge_detection.data.images.read.read_image` would refuse.

    Each is read whole, hashed (0.3 ms), and decoded at an eighth of its size: 1 to 2 ms for one of 640 x 480 pixels.

    Args:
        people: The annotations, or those of some of the images in the file.
        cache: JSON file with the images that were found good. Such an image is not read again while the annotation
            file, the folder, and the size and both times of the image file are the same: of its last modification,
            which a copy may keep, and of its last change on this disk. A cache that is damaged, of other data or not
            writable only costs time.
        after_image: Called after each, as a sign of life: on a network disk all of them may take hours.
    """
    key = {"version": _VERSION, "annotations": people.sha256, "images_dir": str(people.images_dir.resolve())}
    cached = read_cached(_Cache, cache)
    known = cached.good if cached is not None and cached.model_dump(exclude={"good"}) == key else {}
    records = people.images
    results = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for result in pool.map(
            lambda name, size: _check_image(people.images_dir, name, (size[0], size[1]), known),
            records.file_names,
            records.sizes.tolist(),
        ):
            results.append(result)
            after_image()
    looked_at = {result.file_name for result in results}
    good = {name: entry for name, entry in known.items() if name not in looked_at}  # of a run on other images
    good |= {
        result.file_name: (result.stamp, result.facts)
        for result in results
        if result.problem is None and result.stamp is not None and result.facts is not None
    }
    if cache is not None and good != known:
        _write_cache(cache, {**key, "good": good})
    return Scan(
        tuple(BadImage(result.file_name, result.problem) for result in results if result.problem is not None),
        {result.file_name: result.facts for result in results if result.facts is not None},
    )


def _check_image(
    folder: Path, name: str, size: tuple[int, int], known: Mapping[str, tuple[str, ImageFacts]]
) -> _Checked:
    """Checks one image file, unless ``known`` says that it is good and it has not changed since.

    Bad files are checked every time, as repairing one may leave its size and modification time as they were.
    """
    path = folder / name
    stamp = _stamp(path)
    if stamp is not None and name in known and known[name][0] == stamp:
        return _Checked(name, stamp, known[name][1], None)
    # The second reading is from the system's cache.
    return _Checked(name, stamp, image_facts(path), image_problem(path, size))


def _stamp(path: Path) -> str | None:
    """Size and times of a file; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_size} bytes at {status.st_mtime_ns} ns, on this disk at {status.st_ctime_ns} ns"


def _write_cache(cache: Path, content: Mapping[str, Any]) -> None:
    """Writes the cache; logs a warning if it cannot."""
    try:
        write_json(cache, content)
    except StorageError as error:
        logger.warning("%s; all images will be checked again next time", error)
