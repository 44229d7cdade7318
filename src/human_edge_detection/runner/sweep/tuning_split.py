"""A part of the training images to choose settings on, so that the validation data stay clean for the report.

Settings that were chosen for their score on some images look better on these than they are. So a fifth of the
training images is held out: runs that compete train on the rest and are scored on it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from human_edge_detection.errors import ConfigError, DataError
from human_edge_detection.experiments.overrides import Change
from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.files.data_folder import SplitPaths, find_split
from human_edge_detection.files.read import read_regular_file
from human_edge_detection.files.strict_json import strict_json
from human_edge_detection.files.write import write_atomically
from human_edge_detection.runner.execution.sample_data import draw_sample_data
from human_edge_detection.runs.paths import sample_data_dir
from human_edge_detection.runs.records import read_section

logger = logging.getLogger(__name__)

SHARE: Final = 0.2
_MAX_BYTES: Final = 2**31
_SOURCE_FIELDS: Final = {"root", "train_ann", "train_images", "sample"}


class _MadeOf(Section):
    """The training annotations that a tuning split was made of."""

    file: str
    sha256: str


@dataclass(frozen=True)
class TuningSplit:
    """The training images of a data section in two parts.

    Attributes:
        data: The section.
        output_dir: Folder of all runs; the two annotation files are below it, the images stay where they are.
    """

    data: DataConfig
    output_dir: Path

    @property
    def folder(self) -> Path:
        """Where the two annotation files are; another one for other data."""
        fields = json.dumps(
            self.data.model_dump(mode="json", include=_SOURCE_FIELDS, exclude={"sample": {"test_images"}}),
            sort_keys=True,
        )
        return self.output_dir / "tuning_splits" / hashlib.sha256(fields.encode()).hexdigest()[:8]

    def changes(self, source: str) -> tuple[Change, ...]:
        """What makes a run train on four fifths of its training images and validate on the others.

        Raises:
            DataError: The data folder has no training split.
        """
        images = str(self._source().images)
        fields = {
            "root": None,
            "sample": None,
            "train_ann": str(self.folder / "train.json"),
            "val_ann": str(self.folder / "tuning.json"),
            "train_images": images,
            "val_images": images,
        }
        return tuple(Change(f"data.{field}", value, source) for field, value in fields.items())

    def write(self) -> None:
        """Writes the two annotation files, unless they are there.

        Raises:
            CheckpointError: They are there, and what they were made of is not to be read.
        ConfigError: They are there, and the training annotations have changed since.
            DataError: The training annotations cannot be used.
            StorageError: The files cannot be written.
        """
        draw_sample_data(self.data, self.output_dir)
        annotations = self._source().annotations
        try:
            content = read_regular_file(annotations, max_bytes=_MAX_BYTES)
        except OSError as error:
            raise DataError(f"{annotations}: cannot be read ({error.strerror})") from error
        digest = hashlib.sha256(content).hexdigest()
        made_of = self.folder / "made_of.json"  # written last: with it there, all is there
        stored = read_section(_MadeOf, made_of)
        if stored is not None:
            if stored.sha256 != digest:
                raise ConfigError(
                    f"{annotations} has changed since {self.folder} was made of it, so old and new scores cannot be "
                    "compared; take another --output_dir, or delete that folder and start anew"
                )
            return
        kept, held_out = split(_read(annotations, content))
        for name, part in (("train", kept), ("tuning", held_out)):
            write_atomically(self.folder / f"{name}.json", strict_json(part).encode())
        write_atomically(made_of, _MadeOf(file=str(annotations), sha256=digest).model_dump_json().encode())
        logger.info(
            "tuning split: %d training images, %d held out to choose on",
            len(kept["images"]),
            len(held_out["images"]),
        )

    @contextmanager
    def written_elsewhere(self) -> Iterator[TuningSplit]:
        """The same split in a temporary folder: for a preview, as runs are told by the content of their files."""
        with TemporaryDirectory() as folder:
            elsewhere = replace(self, output_dir=Path(folder) / self.output_dir.name)
            elsewhere.write()
            yield elsewhere

    def _source(self) -> SplitPaths:
        data = self.data
        if data.sample is not None:  # perhaps not drawn yet
            root = sample_data_dir(self.output_dir, data)
            return SplitPaths(root / "annotations" / "instances_train_person.json", root / "images" / "train")
        if data.train_ann is not None and data.train_images is not None:
            return SplitPaths(Path(data.train_ann), Path(data.train_images))
        return find_split(Path(data.root or ""), "train")


def split(annotations: dict[str, Any], share: float = SHARE) -> tuple[dict[str, Any], dict[str, Any]]:
    """The annotations of a COCO file in two: all but ``share`` of its images, and these.

    Which part an image goes to follows from its id, so it does not depend on the order of the file.
    """
    images = sorted(annotations["images"], key=lambda image: hashlib.sha256(f"tuning {image['id']}".encode()).digest())
    held_out = {image["id"] for image in images[: max(1, round(share * len(images)))]}

    def part(*, of_held_out: bool) -> dict[str, Any]:
        chosen = {
            name: [entry for entry in annotations[name] if (entry[key] in held_out) == of_held_out]
            for name, key in (("images", "id"), ("annotations", "image_id"))
        }
        return {**annotations, **chosen}

    return part(of_held_out=False), part(of_held_out=True)


def _read(file: Path, content: bytes) -> dict[str, Any]:
    from human_edge_detection.data.annotations.coco import read_json

    annotations = read_json(file, content)
    for name, key in (("images", "id"), ("annotations", "image_id")):
        if any(not isinstance(entry.get(key), int) for entry in annotations[name]):
            raise DataError(
                f"{file}: {name!r} holds entries without a whole number {key!r}; give a COCO instances file"
            )
    if len(annotations["images"]) < 2:
        raise DataError(f"{file}: {len(annotations['images'])} images, expected 2 or more to hold some of them out")
    return annotations
