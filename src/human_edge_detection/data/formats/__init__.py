"""Data sets as annotation tools write them, one module a format, as COCO splits of persons."""

from typing import Final

FORMATS: Final = ("roboflow", "cvat", "yolo", "labelme", "coco")
"""The formats, which are the modules with a ``FORMAT``. Where one file is that of two formats, the first is it."""
