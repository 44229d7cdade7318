"""What a quantisation did and measured: quantization.json, and in short in the metadata of the file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


class Speed(NamedTuple):
    """How long both models take, which took turns.

    Attributes:
        float_ms: Median processor time of one call of the float model.
        int8_ms: Of the quantised one.
        threads: Of either.
        rois: That they were asked about; None of a model that takes none.
        processor: Where.
    """

    float_ms: float
    int8_ms: float
    threads: int
    rois: int | None
    processor: str

    @property
    def speedup(self) -> float:
        """How many times as fast the quantised model is."""
        return self.float_ms / self.int8_ms


@dataclass(frozen=True)
class QuantizationReport:
    """What ``hed quantize`` measured.

    Attributes:
        model: Name of the float file.
        model_sha256: Of that file.
        calibration_images: That ranges of activations were measured on.
        held_out_images: Of *train*, which the layers in float were chosen on.
        seed: Which drew both.
        metric: That decides.
        held_out_loss: What it lost on the held-out images, in [0, 1].
        float_metrics: All metrics of the float model on the validation images.
        int8_metrics: Of the quantised one.
        max_loss: What ``metric`` may lose.
        layers: Convolutions of the model.
        float_layers: Names of those that stay in float.
        sensitivity: The first convolution of each block that was tried alone -> what it changes in the probabilities.
        speed: How long both take.
        float_bytes: Size of the float file.
        int8_bytes: Of the quantised one.
        int8_sha256: Of that file.
        problem: Why it was refused, in one line; None: it was written.
    """

    model: str
    model_sha256: str
    calibration_images: int
    held_out_images: int
    seed: int
    metric: str
    held_out_loss: float
    float_metrics: dict[str, float | None]
    int8_metrics: dict[str, float | None]
    max_loss: float
    layers: int
    float_layers: tuple[str, ...]
    sensitivity: dict[str, float]
    speed: Speed
    float_bytes: int
    int8_bytes: int
    int8_sha256: str
    problem: str | None

    @property
    def quantized_share(self) -> float:
        """Of the layers, in [0, 1]."""
        return 1.0 - len(self.float_layers) / self.layers

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        speed = {**self.speed._asdict(), "speedup": self.speed.speedup}
        return {**asdict(self), "quantized_share": self.quantized_share, "speed": speed}

    def metadata(self) -> dict[str, str]:
        """For the quantised file: what was done, and what it measured, which ``metrics`` are not of."""
        return {
            "quantization": json.dumps(
                {
                    "format": "QDQ, static, weights int8 per channel in 7 bits, activations uint8",
                    "quantized_share_of_layers": round(self.quantized_share, 4),
                    "layers_in_float": self.float_layers,
                    "float_model_sha256": self.model_sha256,
                    "validation": {
                        self.metric: {
                            "float": self.float_metrics[self.metric],
                            "int8": self.int8_metrics[self.metric],
                        }
                    },
                    "speedup": round(self.speed.speedup, 3),
                    "processor": self.speed.processor,
                }
            )
        }


def loss_of(metric: str, before: dict[str, float | None], after: dict[str, float | None]) -> float:
    """What ``metric`` loses, in [-1, 1]; one that nothing was counted for is 0."""
    return (before[metric] or 0.0) - (after[metric] or 0.0)
