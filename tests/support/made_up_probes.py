"""Probes of a machine that is not there."""

from collections.abc import Callable

import pytest

from human_edge_detection.runs.records import Probe
from human_edge_detection.wording import GIB

MakeProbe = Callable[..., Probe]


@pytest.fixture
def made_up_probe() -> MakeProbe:
    """``made_up_probe(batch_size, gib=...)``: half a GiB and a quarter for each image, of 8 GiB on a CPU."""

    def make(
        batch_size: int, gib: float | None = None, *, available: float = 8.0, device: str = "cpu", images: int = 1000
    ) -> Probe:
        return Probe(
            batch_size=batch_size,
            steps=5,
            seconds_per_step=0.5,
            seconds_per_validation_batch=2.0,
            steps_per_epoch=-(-images // batch_size),
            validation_batches=10,
            epochs=30,
            training_images=images,
            peak_bytes=int((0.5 + 0.25 * batch_size if gib is None else gib) * GIB),
            available_bytes=int(available * GIB),
            device=device,
            machine="a processor, 2 threads",
            precision="fp32",
        )

    return make
