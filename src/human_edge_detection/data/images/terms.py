"""The terms of images: what an annotation file says of the licence of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from human_edge_detection.wording import printable

_MAX_LENGTH: Final = 200
"""Characters of one text that are kept."""


def terms_of_images(licences: object, images: Iterable[Mapping[str, Any]]) -> list[str]:
    """For each image its terms, "" where nothing is known: what is malformed says nothing, and is no error.

    Args:
        licences: ``licenses`` of a COCO file: ``{"id", "name", "url"}`` each.
        images: Its images. ``license_name`` is a text of the image's own; ``license`` is the id of a licence.
    """
    named: dict[str, str] = {}
    for licence in licences if isinstance(licences, list) else ():
        if isinstance(licence, dict):
            named[repr(licence.get("id"))] = _named(licence)
    return [_text(image.get("license_name")) or named.get(repr(image.get("license")), "") for image in images]


def _named(licence: Mapping[str, Any]) -> str:
    """Its name, and where it is to be read: of several versions often only the address tells which it is."""
    name, url = _text(licence.get("name")), _text(licence.get("url"))
    return f"{name} ({url})" if name and url else name or url


def _text(value: object) -> str:
    return printable(" ".join(value.split()))[:_MAX_LENGTH] if isinstance(value, str) else ""
