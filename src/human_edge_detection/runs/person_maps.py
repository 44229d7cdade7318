"""What is to be looked at of a run: who is where on training views and on validation images.

``training_views.json`` and ``predictions.json``. A map is a PNG of one channel: 0 nobody, 1 the first person, 2 the
second ..., 255 ignored. Both files are for reports alone: nothing is computed from them.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from human_edge_detection.experiments.schema.base import Section
from human_edge_detection.runs.per_image import Number

MAX_BYTES: Final = 1 << 28
"""Of either file."""
MOST_IMAGES: Final = 1000
"""Validation images whose maps are kept, evenly spread over all of them: about 4 KB each."""
MOST_VIEWS: Final = 16
"""Training views that are kept."""
NOBODY: Final = 0
OTHERS: Final = 254
IGNORED: Final = 255

Encoded = Annotated[str, Field(max_length=1 << 24, pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
"""A PNG or JPEG file in base64."""
Title = Annotated[str, Field(max_length=4096)]


class TrainingView(Section):
    """One image as training saw it, augmented, stretched to the size of the model's input."""

    file_name: Title
    """Of the image, as the annotation file has it."""
    image: Encoded
    """JPEG."""
    persons: Encoded
    """Map of the same size: its labels."""


class TrainingViews(Section):
    """Of the first epoch, evenly spread over the training images."""

    format_version: Literal[1] = 1
    views: tuple[TrainingView, ...]


class ImageMaps(Section):
    """Who is where on one validation image, in truth and as the best model has it."""

    id: Number
    file_name: Title
    truth: Encoded
    prediction: Encoded
    """Persons have the numbers that they have in ``truth``. A model without roi head has one for all of them."""


class Predictions(Section):
    """The maps, and what they were made from."""

    format_version: Literal[1] = 1
    checkpoint_sha256: str
    """Of best_model.pth as its summary has it."""
    data_fingerprint: str
    """Of the validation annotations."""
    images: tuple[ImageMaps, ...]
