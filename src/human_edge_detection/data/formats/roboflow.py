"""Roboflow's COCO export: ``train``, ``valid`` and ``test``, each with its images and its annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from human_edge_detection.data.formats.coco import CocoDataset, read_jsons
from human_edge_detection.data.formats.format import Format
from human_edge_detection.data.formats.splits import SPLITS, split_called

_FILE: Final = "_annotations.coco.json"


def _files(root: Path) -> list[Path]:
    files = sorted([*root.glob(_FILE), *root.glob(f"*/{_FILE}")])
    return sorted(files, key=lambda file: SPLITS.index(split_called(file.parent.name) or "train"))


def _find(root: Path) -> Path | None:
    return next(iter(_files(root)), None)


def _read(root: Path) -> CocoDataset:
    return read_jsons(root, {file: [file.parent] for file in _files(root)})


FORMAT: Final = Format(
    title="Roboflow COCO",
    layout=f"train/{_FILE} and images beside it, the same in valid/ and test/",
    find=_find,
    read=_read,
)
