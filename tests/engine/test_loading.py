import pytest
import torch

from human_edge_detection.engine import loading
from human_edge_detection.engine.loading import loading_for

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "cores", "wanted", "workers"),
    [(CPU, 64.0, None, 1), (CUDA, 1.0, None, 1), (CUDA, 8.0, None, 7), (CUDA, 64.0, None, 12), (CUDA, 8.0, 0, 0)],
)
def test_a_gpu_gets_as_many_workers_as_there_are_cores_for(
    device: torch.device, cores: float, wanted: int | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "usable_cores", lambda: cores)
    found = loading_for(device, wanted, batch_size=2)
    assert (found.workers, found.pin) == (workers, device == CUDA)


def test_validation_batches_are_larger_on_a_gpu_and_never_below_those_of_the_training() -> None:
    assert [loading_for(device, 0, batch_size=2).validation_batch((256, 256)) for device in (CPU, CUDA)] == [4, 32]
    assert loading_for(CUDA, 0, batch_size=64).validation_batch((256, 256)) == 64


def test_large_images_are_validated_few_at_a_time() -> None:
    """Else a run whose training fits would be out of memory after its first epoch, whatever its ``--batch_size``."""
    sizes = [(384, 384), (640, 640), (1024, 1024), (4096, 4096)]
    assert [loading_for(CUDA, 0, batch_size=2).validation_batch(size) for size in sizes] == [14, 5, 2, 2]
    assert loading_for(CUDA, 0, batch_size=1).validation_batch((4096, 4096)) == 1
