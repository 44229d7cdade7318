"""Static quantisation by ONNX Runtime: QDQ format, weights per channel, ranges of activations from images.

Activations are uint8 and weights int8 of 7 bits (``reduce_range``). On x86 without VNNI, two products are added in 16
bits, which overflow with 8-bit weights; with 7 bits the file gives the same everywhere. See ONNX Runtime,
"Quantize ONNX models", data type selection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from human_edge_detection.exporters.quantization.layers import KINDS, Block, blocks_of

Feeds = Mapping[str, NDArray[Any]]
"""Inputs of a model, by name."""


class QdqQuantizer:
    """Makes quantised versions of one model; the ranges of its activations are measured once.

    Attributes:
        blocks: What can be quantised.
    """

    def __init__(self, file: Path, images: Sequence[Feeds], folder: Path) -> None:
        """Runs the model on ``images``.

        Args:
            file: The model in float32.
            images: To measure ranges on.
            folder: For intermediate files.
        """
        self._prepared, self._ranges, self._result = (
            folder / name for name in ("prepared.onnx", "ranges.json", "quantized.onnx")
        )
        # Symbolic shapes are for transformers; here sizes are known, and numbers of images and rois may stay free.
        quant_pre_process(file, self._prepared, skip_symbolic_shape=True)
        self.blocks = blocks_of(onnx.load(self._prepared).graph)
        self._quantize(self.blocks, _Reader(images))

    def quantized(self, blocks: Sequence[Block]) -> onnx.ModelProto:
        """The model with the nodes of ``blocks`` in integers, and all others as they are."""
        self._quantize(blocks, None)
        return onnx.load(self._result)

    def _quantize(self, blocks: Sequence[Block], reader: CalibrationDataReader | None) -> None:
        quantize_static(
            self._prepared,
            self._result,
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(KINDS),
            nodes_to_quantize=[name for block in blocks for name in block.nodes],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            calibration_cache_path=self._ranges,
        )


class _Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """Gives images one after the other."""

    def __init__(self, images: Sequence[Feeds]) -> None:
        self._images: Iterator[Feeds] = iter(images)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next one; None: there is no more."""
        feeds = next(self._images, None)
        return None if feeds is None else dict(feeds)
