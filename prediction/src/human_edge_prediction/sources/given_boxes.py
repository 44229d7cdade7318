"""Boxes around persons from files: COCO annotations, COCO results, or a plain list for each image."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from human_edge_prediction.errors import BoxError, SourceError
from human_edge_prediction.sources.frames import Frame
from human_edge_prediction.sources.listing import Source
from human_edge_prediction.sources.names import absolute

PERSON: Final = 1
"""Category of persons in COCO."""
_MOST_BYTES: Final = 1 << 30
_FORMATS: Final = 'COCO results or {"image.jpg": [[x1, y1, x2, y2], ...]}'

Id = TypeVar("Id", int, str)


class ImageBoxes(NamedTuple):
    """The boxes of one image.

    Attributes:
        boxes: ``(N, 4)`` float32 x1, y1, x2, y2 in pixels.
        scores: ``(N,)`` float32 in [0, 1]; None: the file has none.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32] | None


NOBODY: Final = ImageBoxes(np.zeros((0, 4), np.float32), None)


class KnownImage(NamedTuple):
    """An image of an annotation file.

    Attributes:
        id: Its id there.
        size: (height, width); None: the file does not say.
    """

    id: int
    size: tuple[int, int] | None


class Annotations:
    """A COCO ``instances`` file, as far as it says which images there are and where persons are on them.

    Attributes:
        path: The file.
        person: Id of the category of persons.
    """

    def __init__(self, path: Path) -> None:
        """Reads a file.

        Raises:
            SourceError: It cannot be read, is no such file, or has no category of persons.
        """
        content = read_json(path)
        self.path = path
        try:
            categories = {entry["name"]: int(entry["id"]) for entry in content["categories"]}
            self._images = {str(entry["file_name"]): _known_image(entry) for entry in content["images"]}
            self._persons = [entry for entry in content["annotations"] if not entry.get("iscrowd")]
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise SourceError(f"{path}: no COCO instances file ({_cause(error)}); give one") from error
        if "person" not in categories:
            raise SourceError(f"{path}: no category is named 'person'; it has {', '.join(categories) or 'none'}")
        self.person = categories["person"]
        _check_unique(content["images"], path)

    def images(self, sources: Sequence[Source]) -> dict[str, KnownImage]:
        """Which image of the file each source is, by the name of the source; without those that are none.

        Raises:
            SourceError: None is, or it cannot be told which.
        """
        names = _keys_of(sources, self._images, self.path)
        return {name: self._images[key] for name, key in names.items()}

    def boxes(self) -> dict[int, ImageBoxes]:
        """The boxes of persons that are no crowd, by id of the image; some may have no area.

        Raises:
            SourceError: One is no box.
        """
        mine = [entry for entry in self._persons if entry.get("category_id") == self.person]
        return _by_image(mine, self.path, scored=False, id_of=int)


class GivenBoxes:
    """Boxes for the images of this call.

    Attributes:
        left_out: Persons whose boxes have no area, who are not looked for.
    """

    def __init__(
        self, path: Path, by_name: Mapping[str, ImageBoxes], known: Mapping[str, KnownImage], *, left_out: int = 0
    ) -> None:
        """Boxes by the names of sources or frames.

        Args:
            path: Where they come from.
            by_name: The boxes of each.
            known: What an annotation file says of the images; empty: there is none.
            left_out: As the attribute.
        """
        self.left_out = left_out
        self._path = path
        self._by_name = by_name
        self._known = known

    def of(self, frame: Frame) -> ImageBoxes:
        """The boxes of an image.

        Raises:
            BoxError: The file does not know the image, or knows it in another size.
        """
        boxes = self.of_image(frame.name, frame.size)
        if boxes is None:
            raise BoxError(f"is not in {self._path}; add it there, with [] for nobody")
        return boxes

    def of_image(self, name: str, size: tuple[int, int]) -> ImageBoxes | None:
        """The boxes of the image with the name of its source and this (height, width); None: the file knows no such.

        Raises:
            BoxError: The file knows it in another size.
        """
        known = self._known.get(name)
        if known is not None and known.size is not None and known.size != size:
            (height, width), (real_height, real_width) = known.size, size
            raise BoxError(
                f"is {real_width} x {real_height} (width x height), and {width} x {height} in "
                f"{self._path}; boxes of another size would be wrong: give the image that was annotated"
            )
        return self._by_name.get(name)


def annotated_boxes(annotations: Annotations, sources: Sequence[Source]) -> GivenBoxes:
    """The boxes of an annotation file; those without area, which annotations of others have, are left out.

    Raises:
        SourceError: It knows none of the sources, or a box in it is none.
    """
    known, boxes = annotations.images(sources), annotations.boxes()
    by_name: dict[str, ImageBoxes] = {}
    left_out = 0
    for name, one in known.items():
        corners, _ = boxes.get(one.id, NOBODY)
        has_area = (corners[:, 2:] > corners[:, :2]).all(axis=1) | ~np.isfinite(corners).all(axis=1)
        by_name[name] = ImageBoxes(corners[has_area], None)
        left_out += int((~has_area).sum())
    return GivenBoxes(annotations.path, by_name, known, left_out=left_out)


def read_boxes(path: Path, annotations: Annotations | None, sources: Sequence[Source]) -> GivenBoxes:
    """The boxes of a JSON file.

    Two formats are known. A list for each image, ``{"image.jpg": [[x1, y1, x2, y2], ...]}``: pixels; an image is named
    by its file, with as many folders in front as tell it from others; a frame of a video by the name of the video and
    its number (``clip/000012``). Or COCO results, as detectors write them: ``[{"image_id", "category_id", "bbox" (x, y,
    width, height), "score"}, ...]``; which image an id is, the annotations say, or without these the number that the
    image is called by (``000000000139.jpg``); an id may also be the file name, as above. An image without a result has
    nobody on it then.

    Args:
        path: The file.
        annotations: That the ids are of; None: there is no such file.
        sources: Of this call.

    Raises:
        SourceError: It cannot be read, is of neither format, or knows none of the sources.
    """
    content = read_json(path)
    known = {} if annotations is None else annotations.images(sources)
    if isinstance(content, dict):
        plain = {str(name): _plain(boxes, f"{path}: {name}") for name, boxes in content.items()}
        names = _keys_of(sources, plain, path)
        frames = {name: name for name in plain if name not in names.values()}
        return GivenBoxes(path, {name: plain[key] for name, key in (frames | names).items()}, known)
    if not isinstance(content, list):
        raise SourceError(f"{path}: expected {_FORMATS}, got {type(content).__name__}")
    category = PERSON if annotations is None else annotations.person
    persons = [entry for entry in content if _category(entry, category) == category]
    if any(_is_name(entry) for entry in content):
        named = _by_image(persons, path, scored=True, id_of=str)
        mentioned = {str(entry.get("image_id")) for entry in content if isinstance(entry, dict)}
        keys = _keys_of(sources, sorted(mentioned), path)
        return GivenBoxes(path, {one.name: named.get(keys.get(one.name, ""), NOBODY) for one in sources}, known)
    ids = {name: one.id for name, one in known.items()} if known else _numbers(sources)
    found = _by_image(persons, path, scored=True, id_of=int)
    if content and found.keys().isdisjoint(ids.values()):
        raise SourceError(
            f"{path}: none of its image ids is of these images; give file names as image_id, or the annotations that "
            "the ids are of (hed predict: --ann FILE)"
        )
    return GivenBoxes(path, {name: found.get(number, NOBODY) for name, number in ids.items()}, known)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        SourceError: It cannot be read, or is no JSON.
    """
    if not path.is_file():
        raise SourceError(f"{path}: {'is not a file' if path.exists() else 'no such file'}; give a JSON file")
    if path.stat().st_size > _MOST_BYTES:
        raise SourceError(f"{path}: is larger than {_MOST_BYTES >> 30} GiB; give the part of it that is needed")
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); give a JSON file") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: no JSON ({_cause(error)}); give a JSON file") from error


def _known_image(entry: Mapping[str, Any]) -> KnownImage:
    size = (int(entry["height"]), int(entry["width"])) if {"height", "width"} <= entry.keys() else None
    return KnownImage(int(entry["id"]), size)


def _check_unique(images: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Refuses two images of one id, which would get each other's boxes and results, and two of one name."""
    ids: set[int] = set()
    names: set[str] = set()
    for entry in images:
        number, name = int(entry["id"]), str(entry["file_name"])
        if number in ids or name in names:
            raise SourceError(f"{path}: two images have the id {number} or the name {name!r}; give each its own")
        ids.add(number)
        names.add(name)


def _by_image(entries: Iterable[Any], path: Path, *, scored: bool, id_of: Callable[[Any], Id]) -> dict[Id, ImageBoxes]:
    """Annotations or results, by id of the image."""
    rows: dict[Id, list[tuple[Any, Any]]] = {}
    for number, entry in enumerate(entries):
        try:
            rows.setdefault(id_of(entry["image_id"]), []).append((entry["bbox"], entry["score"] if scored else 1.0))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SourceError(f"{path}: entry {number} of persons is no box ({_cause(error)}); see COCO") from error
    found = {}
    for image, pairs in rows.items():
        corners = _numbers_of([box for box, _ in pairs], f"{path}: image {image}")
        corners[:, 2:] += corners[:, :2]
        scores = _scores([score for _, score in pairs], f"{path}: image {image}") if scored else None
        found[image] = ImageBoxes(corners, scores)
    return found


def _is_name(entry: Any) -> bool:
    """Whether a result calls its image by the file name."""
    image = entry.get("image_id") if isinstance(entry, dict) else None
    return isinstance(image, str) and not image.isdecimal()


def _category(entry: Any, default: int) -> Any:
    return entry.get("category_id", default) if isinstance(entry, dict) else default


def _plain(boxes: Any, where: str) -> ImageBoxes:
    if not isinstance(boxes, list):
        raise SourceError(f"{where}: expected [[x1, y1, x2, y2], ...], got {type(boxes).__name__}")
    return ImageBoxes(_numbers_of(boxes, where), None)


def _numbers_of(boxes: list[Any], where: str) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # becomes infinite, which is refused with its image
            corners = np.asarray(boxes, np.float32)
    except (TypeError, ValueError, OverflowError):
        corners = np.zeros(0, np.float32)
    if boxes and (corners.ndim != 2 or corners.shape[1] != 4):
        raise SourceError(f"{where}: expected four numbers for each box; see --help")
    return corners.reshape(-1, 4)


def _scores(scores: list[Any], where: str) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            values = np.asarray(scores, np.float32)
    except (TypeError, ValueError, OverflowError):
        values = np.full(1, np.nan, np.float32)
    if not ((values >= 0) & (values <= 1)).all():
        raise SourceError(f"{where}: a score is no number in [0, 1]")
    return values


def _numbers(sources: Sequence[Source]) -> dict[str, int]:
    """The number that an image file is called by."""
    stems = {source.name: source.path.stem for source in sources}
    return {name: int(stem) for name, stem in stems.items() if stem.isdecimal()}


def _keys_of(sources: Sequence[Source], keys: Iterable[str], path: Path) -> dict[str, str]:
    """The entry of a file, by name of the source: the one with most folders in common, with or without a suffix.

    Raises:
        SourceError: An entry fits several sources, or none fits any.
    """
    by_tail = {PurePosixPath(key.replace("\\", "/")).parts: key for key in keys}
    names: dict[str, str] = {}
    owners: dict[str, Source] = {}
    for source in sources:
        key = next((by_tail[tail] for tail in _tails(source) if tail in by_tail), None)
        if key is None:
            continue
        if key in owners:
            raise SourceError(
                f"{path}: {key!r} may be {owners[key].path} or {source.path}; name them with their folders there"
            )
        owners[key] = source
        names[source.name] = key
    if sources and not names and not any(source.is_video for source in sources):
        raise SourceError(
            f"{path}: none of the {len(sources)} images is in it (such as {sources[0].path.name}); expected their names"
        )
    return names


def _tails(source: Source) -> Iterator[tuple[str, ...]]:
    """Ends of the path, the longest first; with the suffix, then without."""
    full = absolute(source.path)
    for path in (full, full.with_suffix("")):
        parts = path.parts
        yield from (parts[first:] for first in range(len(parts)))


def _cause(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:120]
