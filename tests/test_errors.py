import pytest
import torch

from human_edge_detection.cli.main import main
from human_edge_detection.errors import TrainingError, explained, explanation


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
        RuntimeError("Caught RuntimeError in pin memory thread for device 0.\nTraceback:\nCUDA error: out of memory\n"),
    ],
    ids=lambda error: str(error)[:30] or type(error).__name__,
)
def test_too_little_memory_is_known_by_all_its_names(error: Exception) -> None:
    found = explanation(error)
    assert found is not None
    assert str(found).startswith("out of memory (") and "lower --batch_size" in str(found) and "\n" not in str(found)


LOST = "CUDA error: unspecified launch failure\nSearch for `cudaErrorLaunchFailure'\nCompile with `TORCH_USE_CUDA_DSA`"


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError(LOST),
        RuntimeError(f"Caught AcceleratorError in pin memory thread for device 0.\nOriginal Traceback:\n{LOST}"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"),
        RuntimeError(
            "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might ..."
        ),
        RuntimeError("CUDA unknown error - this may be due to an incorrectly set up environment"),
        RuntimeError("No CUDA GPUs are available"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_a_gpu_that_does_not_work_is_one_line(error: Exception) -> None:
    found = str(explanation(error))
    assert found.startswith("the GPU does not work, or not any more (") and "--device cpu" in found
    assert "\n" not in found and "DSA" not in found and "Traceback" not in found


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might ..."),
        TrainingError("data workers fail (out of memory); lower --num_workers"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: str(error)[:30],
)
def test_other_errors_stay_what_they_are(error: BaseException) -> None:
    assert explanation(error) is None
    with pytest.raises(type(error)) as raised, explained():
        raise error
    assert raised.value is error


@pytest.mark.parametrize(
    "command", [["evaluate", "x"], ["soft-labels", "--config", "x"], ["export", "x"]], ids=lambda command: command[0]
)
def test_every_command_says_it_in_one_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(args: object) -> int:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(f"human_edge_detection.cli.{command[0].replace('-', '_')}.run", full)
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: out of memory (CUDA error: out of memory); lower --batch_size")
