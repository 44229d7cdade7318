"""COCO instances files: one a split, in one of the usual places."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from human_edge_detection.data.annotations.coco import CocoSplit, read_split
from human_edge_detection.data.annotations.image_files import find_files
from human_edge_detection.data.annotations.person_checks import integer
from human_edge_detection.data.formats.folder import read_bytes
from human_edge_detection.data.formats.format import Format
from human_edge_detection.data.formats.splits import SPLITS, split_called
from human_edge_detection.errors import DataError
from human_edge_detection.files.data_folder import SplitPaths, find_split
from human_edge_detection.files.read import is_file

_MAX_BYTES: Final = 2**31
_MAX_FILES: Final = 20
"""JSON files side by side; where there are more, there is one for each image."""
_KEYS: Final = (b'"images"', b'"annotations"', b'"categories"')


@dataclass(frozen=True)
class CocoDataset:
    """COCO files by split; see :class:`~human_edge_detection.data.formats.format.Dataset`."""

    splits: Mapping[str, CocoSplit]

    @property
    def image_counts(self) -> dict[str, int]:
        """Number of images by split."""
        return {name: len(split.data["images"]) for name, split in self.splits.items()}

    @property
    def categories(self) -> dict[str, int]:
        """Number of annotations by name of the category, in all splits; ``id 7`` for one that a file does not list.

        Raises:
            DataError: An id of a category is no integer or given twice.
        """
        counts: Counter[str] = Counter()
        for split in self.splits.values():
            names = _category_names(split)
            counts.update(dict.fromkeys(names.values(), 0))
            counts.update(names.get(number) or _unlisted(number) for number in _category_ids(split))
        return dict(counts)

    def persons(self, categories: Collection[str]) -> dict[str, CocoSplit]:
        """The splits with one category, ``person``; annotations of others stay and belong to no category."""
        return {name: _as_persons(split, categories) for name, split in self.splits.items()}


def read_files(paths: Mapping[str, SplitPaths]) -> CocoDataset:
    """Reads COCO files by split.

    Raises:
        DataError: One cannot be read or is none.
    """
    return CocoDataset({name: read_split(*split) for name, split in paths.items()})


def read_jsons(root: Path, folders: Mapping[Path, Sequence[Path]]) -> CocoDataset:
    """Reads COCO files whose names or folders say which split they are; one that says nothing is ``train``.

    Args:
        root: The folder that they lie below.
        folders: For each file, where its images may lie; the first folder that has the first image is it.

    Raises:
        DataError: One cannot be read, two are of the same split, or the images are nowhere.
    """
    splits: dict[str, CocoSplit] = {}
    for file, places in folders.items():
        name = _split_name(file.relative_to(root)) or "train"
        if name in splits:
            raise DataError(
                f"{splits[name].source} and {file} are both {name}; give the files that you mean: --train_ann FILE "
                "--train_images DIR, and the same for val"
            )
        split = read_split(file, file.parent)
        splits[name] = split._replace(images_dir=_images_dir(split, places))
    return CocoDataset(splits)


def _split_name(file: Path) -> str | None:
    """The split that the name of a file, or else its folder, says: ``val`` for ``instances_Validation.json``."""
    words = [*re.findall("[A-Za-z]+", file.stem), *re.findall("[A-Za-z]+", file.parent.name)]
    return next((name for name in map(split_called, words) if name), None)


def _images_dir(split: CocoSplit, folders: Sequence[Path]) -> Path:
    names = [entry.get("file_name") for entry in split.data["images"]]
    name = next((name for name in names if isinstance(name, str) and name), None)
    if name is None:  # which the checks of the annotations will say
        return split.images_dir
    for folder in folders:
        if is_file(folder / name):
            return folder
    for folder in folders:
        if folder.is_dir() and find_files([name], folder).taken:
            return folder
    tried = ", ".join(str(folder) for folder in folders)
    raise DataError(f"{split.source}: its first image {name!r} is in none of {tried}; put the images in one of them")


def _category_names(split: CocoSplit) -> dict[int, str]:
    """The names of the categories by id."""
    names: dict[int, str] = {}
    for number, entry in enumerate(split.data["categories"]):
        category = _integer(split, entry, "id", f"categories[{number}]")
        if category in names:
            raise DataError(f"{split.source}: category id {category} is given twice; ids must differ")
        names[category] = str(entry.get("name"))
    return names


def _unlisted(category: int) -> str:
    """What a category is called that the file does not list."""
    return f"id {category}"


def _category_ids(split: CocoSplit) -> list[int]:
    """The ``category_id`` of each annotation."""
    entries = enumerate(split.data["annotations"])
    return [_integer(split, entry, "category_id", f"annotations[{number}]") for number, entry in entries]


def _integer(split: CocoSplit, entry: Mapping[str, Any], key: str, where: str) -> int:
    try:
        return integer(entry, key, where)
    except DataError as error:
        raise DataError(f"{split.source}: {error}") from None


def _as_persons(split: CocoSplit, categories: Collection[str]) -> CocoSplit:
    """Gives all annotations of ``categories`` the id of the first of these, which is called ``person``.

    No annotation is left out, so that messages about ``annotations[7]`` are true of the file. The other categories that
    the file lists stay under names of no meaning, so that an id that it does not list is still known as such.
    """
    listed, ids, entries = _category_names(split), _category_ids(split), split.data["annotations"]
    names = {number: _unlisted(number) for number in ids} | listed
    chosen = {category for category, name in names.items() if name in categories}
    person = min(chosen & listed.keys() or chosen, default=1 + max([0, *names]))
    if len(chosen) > 1:
        entries = [{**entry, "category_id": person} if entry["category_id"] in chosen else entry for entry in entries]
    others = [{"id": number, "name": f"not person: {number}"} for number in listed if number not in chosen]
    data = {**split.data, "annotations": entries, "categories": [{"id": person, "name": "person"}, *others]}
    return split._replace(data=data)


def _find(root: Path) -> Path | None:
    paths = _usual_paths(root)
    return next(iter([split.annotations for split in paths.values()] or _jsons(root)), None)


def _read(root: Path) -> CocoDataset:
    paths = _usual_paths(root)
    if not paths:
        files = _jsons(root)
        return read_jsons(root, {file: _image_folders(root, file) for file in files})
    for split in [split for split in SPLITS if split not in paths]:
        if [*root.glob(f"annotations/instances_{split}*.json")]:
            find_split(root, split)  # says what is missing
    return read_files(paths)


def _usual_paths(root: Path) -> dict[str, SplitPaths]:
    """The splits that lie as in COCO itself, or as this tool writes them."""
    found: dict[str, SplitPaths] = {}
    for split in SPLITS:
        try:
            found[split] = find_split(root, split)
        except DataError:
            continue
    return found


def _jsons(root: Path) -> list[Path]:
    """COCO files under other names, in the folder or in ``annotations``."""
    files = sorted([*root.glob("*.json"), *root.glob("annotations/*.json")])
    return [file for file in files if is_file(file) and _is_coco(file)] if len(files) <= _MAX_FILES else []


def _is_coco(file: Path) -> bool:
    content = read_bytes(file, _MAX_BYTES)
    return all(key in content for key in _KEYS)


def _image_folders(root: Path, file: Path) -> list[Path]:
    """Where tools put the images of a COCO file ``instances_<subset>.json`` below ``root``."""
    words = re.findall("[A-Za-z0-9]+", file.stem)
    folders = [folder for word in words for folder in (root / "images" / word, root / word)]
    return [*dict.fromkeys([*folders, root / "images", root / "images" / "default", root, file.parent])]


FORMAT: Final = Format(
    title="COCO",
    layout="a COCO instances file in it or in annotations/, and images in images/",
    find=_find,
    read=_read,
)
