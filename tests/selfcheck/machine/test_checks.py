"""Each check of ``hed doctor`` on made-up values: good, so so, bad."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from human_edge_detection.files import lock
from human_edge_detection.files.write import existing_folder
from human_edge_detection.load import Computing, Load
from human_edge_detection.selfcheck.machine import accelerator
from human_edge_detection.selfcheck.machine.accelerator import Gpu, check_build, check_gpu, check_instructions
from human_edge_detection.selfcheck.machine.dataset import check_reading
from human_edge_detection.selfcheck.machine.disk import (
    check_free_space,
    check_operations,
    examine_disk,
    try_operations,
)
from human_edge_detection.selfcheck.machine.finding import Finding
from human_edge_detection.selfcheck.machine.memory import (
    check_memory,
    check_open_files,
    check_shared_memory,
)
from human_edge_detection.selfcheck.machine.packages import check_opencv, check_python, check_requirement, needed
from human_edge_detection.selfcheck.machine.processor import check_cores, check_load, check_threads, check_waiting
from human_edge_detection.wording import GIB

MIB = 2**20
H200 = Gpu("H200", (9, 0), 140 * GIB, 139 * GIB)
IDLE = Load(0.1, (Computing(5, "editor", 0.02, 9),))
BUSY = Load(1.9, (Computing(7, "python", 1.8, 3), Computing(5, "editor", 0.02, 9)))
ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "compute_90")
CASES: Sequence[tuple[Any, tuple[Any, ...], str, str]] = [
    (check_python, ((3, 11, 0),), "ok", "3.11.0"),
    (check_python, ((3, 10, 9),), "problem", "install Python 3.11"),
    (check_requirement, ("torch>=2.11,<2.16", "2.15.0+cu130"), "ok", "2.15.0+cu130"),
    (check_requirement, ("torch>=2.11,<2.16", "2.10.1"), "problem", "uv sync, or pip install 'torch<2.16,>=2.11'"),
    (check_requirement, ("torch>=2.11,<2.16", "2.16.0"), "problem", "needs <2.16,>=2.11"),
    (check_requirement, ("onnxsim==0.4.36", "0.4.37"), "problem", "onnxsim==0.4.36"),
    (check_requirement, ("numpy>=2.0", "1.26.4"), "problem", "1.26.4, needs >=2.0"),
    (check_requirement, ("onnx>=1.21", "1.20.1"), "problem", "onnx>=1.21"),
    (check_requirement, ("onnx>=1.21", None), "problem", "not installed"),
    (check_opencv, ([],), "ok", "only one"),
    (check_opencv, (["opencv-python"],), "problem", "pip uninstall opencv-python opencv-python-headless"),
    (check_cores, (8, 8, None), "ok", "8 cores"),
    (check_cores, (64, 16, 4.0), "ok", "64 cores, 16 allowed to this process, limited to the time of 4 (cgroup)"),
    (check_cores, (64, 64, 1.5), "warning", "2 cores or more"),
    (check_threads, (8, 8, None), "ok", "OMP_NUM_THREADS is not set"),
    (check_threads, (2, 1, "1"), "ok", "OMP_NUM_THREADS is 1"),
    (check_threads, (4.0, 32, None), "warning", "export OMP_NUM_THREADS=4"),
    (check_threads, (64, 32, None), "warning", "when several runs share"),
    (check_threads, (64, 32, "32"), "ok", "32"),
    (check_load, (None, 2.0, 2), "ok", "does not tell"),
    (check_load, (IDLE, 2.0, 2), "ok", "keep 0.1 of 2 usable cores busy"),
    (check_load, (BUSY, 8.0, 2), "ok", "keep 1.9 of 8 usable cores busy (python 7: 1.8, 3 threads)"),
    (check_load, (BUSY, 2.0, 2), "warning", "a training here adds 2 threads"),
    (check_load, (BUSY, 2.0, 2), "warning", "export OMP_NUM_THREADS=1"),
    (check_load, (IDLE, 2.0, 8), "warning", "adds 8 threads"),
    (check_load, (BUSY, 2.0, 1), "warning", "adds 1 thread, and all"),
    (check_waiting, (None,), "ok", "chooses by the load"),
    (check_waiting, ("passive",), "ok", "is passive"),
    (check_waiting, ("ACTIVE",), "warning", "unset OMP_WAIT_POLICY"),
    (check_memory, (32 * GIB, 20 * GIB, None), "ok", "20.0 GiB of 32.0 GiB"),
    (check_memory, (32 * GIB, 3 * GIB, None), "warning", "--batch_size"),
    (check_memory, (32 * GIB, GIB, None), "problem", "1.0 GiB of"),
    (check_memory, (32 * GIB, 20 * GIB, 8 * GIB, 7 * GIB), "problem", "limited to 8.0 GiB (cgroup)"),
    (check_memory, (32 * GIB, 20 * GIB, 8 * GIB, GIB), "ok", "limited to 8.0 GiB"),
    (check_memory, (32 * GIB, 20 * GIB, 64 * GIB), "ok", "available"),
    (check_shared_memory, (64 * MIB, 64 * MIB), "warning", "--shm-size=2g"),
    (check_shared_memory, (8 * GIB, 8 * GIB), "ok", "8.0 GiB"),
    (check_open_files, (256,), "warning", "ulimit -n 4096"),
    (check_open_files, (-1,), "ok", "no limit"),
    (check_open_files, (65536,), "ok", "65536"),
    (check_free_space, (100 * GIB, 50 * GIB), "ok", "50.0 GiB of 100.0 GiB"),
    (check_free_space, (100 * GIB, 5 * GIB), "warning", "batch"),
    (check_free_space, (100 * GIB, 200 * MIB), "problem", "200 MiB"),
    (check_operations, ({"write, fsync and rename": None, "hard links": None, "locks": None},), "ok", "locks"),
    (check_operations, ({"hard links": "Operation not permitted", "locks": None},), "warning", "copied"),
    (check_operations, ({"hard links": None, "locks": "no locks"},), "problem", "locks: no locks"),
    (check_build, ("2.15", None, [], False, None), "ok", "none; training runs on the CPU"),
    (check_build, ("2.15", "13.0", ["H200, 580.1, 140 GiB"], True, None), "ok", "H200, 580.1"),
    (check_build, ("2.15", "6.4", [], True, None), "ok", "yes; PyTorch"),
    (check_build, ("2.15+cpu", None, ["H200"], False, None), "problem", "install a CUDA build"),
    (check_build, ("2.15", "13.0", ["H200"], False, None), "problem", "update the driver; in a container"),
    (check_build, ("2.15", "13.0", ["H200"], False, ""), "warning", "hidden by CUDA_VISIBLE_DEVICES=''"),
    (check_gpu, (H200, ARCHITECTURES), "ok", "compute capability 9.0, 139.0 GiB of 140.0 GiB free"),
    (check_gpu, (H200._replace(capability=(8, 9)), ARCHITECTURES), "ok", "8.9"),
    (check_gpu, (H200._replace(capability=(12, 0)), ARCHITECTURES), "ok", "12.0"),
    (check_gpu, (H200._replace(capability=(12, 0)), ("sm_80", "sm_90a")), "problem", "kernels for sm_80, sm_90a only"),
    (check_gpu, (H200._replace(capability=(6, 1)), ARCHITECTURES), "problem", "--device cpu"),
    (check_gpu, (H200, ("gfx942",)), "ok", "9.0"),
    (check_gpu, (H200._replace(free=GIB), ARCHITECTURES), "warning", "nvidia-smi"),
    (check_instructions, ("AVX512", "x86_64", True), "ok", "x86_64, AVX512, AMX"),
    (check_instructions, ("DEFAULT", "x86_64", False), "warning", "no AVX2"),
    (check_instructions, ("DEFAULT", "aarch64", False), "ok", "aarch64"),
    (check_reading, (16, 0.1), "ok", "160 images a second"),
    (check_reading, (16, 8.0), "warning", "2 images a second"),
]


@pytest.mark.parametrize(("check", "values", "status", "said"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_check(check: Any, values: tuple[Any, ...], status: str, said: str) -> None:
    finding: Finding = check(*values)
    assert finding.status == status, finding
    assert said in f"{finding.text}; {finding.advice}"
    assert bool(finding.advice) == (status != "ok")


def test_operations_are_tried_and_leave_nothing(tmp_path: Path) -> None:
    assert set(try_operations(tmp_path).values()) == {None}
    assert list(tmp_path.iterdir()) == []


def test_operations_that_fail_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse)
        patch.setattr("os.link", refuse)
        patch.setattr(lock, "FileLock", lambda *_, **__: refuse())
        errors = try_operations(tmp_path)
    assert all("Operation not supported" in str(error) for error in errors.values())
    assert check_operations(errors).status == "problem"
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_is_a_file_or_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    (finding,) = examine_disk(file / "experiments")
    assert (finding.status, finding.text) == ("problem", f"{file / 'experiments'}: {file} is a file")
    assert try_operations(tmp_path / "nowhere") == {"write, fsync and rename": "No such file or directory"}
    assert existing_folder(tmp_path / "a" / "b") == tmp_path


def test_a_gpu_that_cannot_be_used_is_a_finding_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> tuple[int, int]:
        raise RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", full)
    monkeypatch.setattr(torch.cuda, "set_device", full)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90"])
    monkeypatch.setattr(accelerator, "nvidia_gpus", lambda: ["H200"])
    found = {finding.name: finding for finding in accelerator.examine_accelerator()}
    assert (found["--device auto"].status, found["--device auto"].text) == (
        "problem",
        "CUDA error: out of memory Compile with TORCH_USE_CUDA_DSA",
    )
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    found = {finding.name: finding for finding in accelerator.examine_accelerator()}
    assert found["--device auto"].text == "cuda:0, bf16"


def test_extras_are_asked_for_only_where_they_are_installed() -> None:
    required = ["numpy>=2.0", "no-such-package>=1; extra == 'x'", "numpy[y]>=3.0; extra == 'y'", "pytest; extra == 'z'"]
    assert needed(required) == ["numpy>=2.0", "pytest; extra == 'z'"]
    assert needed(["no-such-package>=1"]) == ["no-such-package>=1"]
