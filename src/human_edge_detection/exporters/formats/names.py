"""The names of the formats, for whoever must not import what makes them."""

from __future__ import annotations

from typing import Final, Literal, get_args

FormatName = Literal["onnx", "onnx-float16", "onnx-portable", "openvino", "litert"]
FORMAT_NAMES: Final[tuple[FormatName, ...]] = get_args(FormatName)
"""The first is what is exported where nobody says otherwise."""
