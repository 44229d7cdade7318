"""What a format is: a name, what its files can do, and how a checkpoint becomes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from human_edge_detection.exporters.formats.names import FormatName
from human_edge_detection.exporters.onnx import Export
from human_edge_detection.files.data_folder import SplitPaths


class Capabilities(NamedTuple):
    """What the files of a format can do.

    Attributes:
        any_images: They take any number of images at once; else one.
        any_rois: They take any number of rois; else a fixed one, and whoever asks fills up.
        finds_persons: There is a file that finds the persons itself, of a model with a detector.
        metadata_inside: The file says itself how it is used; else a JSON beside it does.
    """

    any_images: bool
    any_rois: bool
    finds_persons: bool
    metadata_inside: bool


@dataclass(frozen=True)
class Request:
    """What is exported, and how.

    Attributes:
        checkpoint: A ``.pth`` of this tool.
        output: The file to write; None: beside the checkpoint.
        data: Validation data; None: those of the checkpoint's config.
        min_score: Of the file that finds the persons itself; None: as in the config.
        max_persons: Likewise.
        about: What else is known of the model, for its metadata; asked once the checkpoint is loaded.
    """

    checkpoint: Path
    output: Path | None = None
    data: SplitPaths | None = None
    min_score: float | None = None
    max_persons: int | None = None
    about: Callable[[], Mapping[str, str]] = dict


class Format(Protocol):
    """A format of exports."""

    @property
    def name(self) -> FormatName: ...
    @property
    def capabilities(self) -> Capabilities: ...

    def export(self, request: Request) -> Export:
        """Writes the files if their outputs are those of PyTorch, and the report in any case.

        Raises:
            ConfigError: A package or program is missing, or something is asked for that the format has not.
            CheckpointError: The checkpoint cannot be used.
            DataError: The validation images cannot be used.
            ExportError: The outputs differ, or the model cannot be converted or written.
        """
        ...
