import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.errors import out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    ],
    ids=lambda error: str(error)[:30] or type(error).__name__,
)
def test_too_little_memory_is_known_by_all_its_names(error: Exception) -> None:
    found = out_of_memory(error)
    assert found is not None
    assert str(found).startswith("out of memory (") and "lower --batch_size" in str(found) and "\n" not in str(found)


def test_other_errors_are_not_of_memory() -> None:
    assert out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


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
