"""What PyTorch makes of this machine: its GPUs and its processor's instructions."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch

from human_edge_detection.engine.device import choose_device, choose_precision
from human_edge_detection.limits import usable_cores
from human_edge_detection.selfcheck.machine.finding import Finding, ok, problem, warning
from human_edge_detection.selfcheck.machine.processor import check_threads
from human_edge_detection.wording import GIB, gib

_ADVISED_GPU_MEMORY: Final = 2 * GIB
_DRIVER_FOLDER: Final = Path("/proc/driver/nvidia/gpus")
_CHILD_TIMEOUT_SECONDS: Final = 20


class Gpu(NamedTuple):
    """One CUDA device as PyTorch sees it; memory in bytes."""

    name: str
    capability: tuple[int, int]
    memory: int
    free: int


def examine_accelerator() -> list[Finding]:
    """GPUs, processor instructions, threads, and the arithmetic that ``auto`` chooses."""
    build = torch.version.cuda or torch.version.hip
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    findings = [check_build(torch.__version__, build, nvidia_gpus(), torch.cuda.is_available(), hidden)]
    try:
        findings += [check_gpu(gpu, torch.cuda.get_arch_list()) for gpu in _gpus()]
    except RuntimeError as error:  # out of memory, or lost
        findings.append(
            problem("GPU", " ".join(str(error).split()), "see nvidia-smi; a restart of the machine may help")
        )
    findings += [
        check_instructions(torch.backends.cpu.get_cpu_capability(), platform.machine(), _amx()),
        check_threads(usable_cores(), torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")),
        _chosen(),
    ]
    return findings


def _chosen() -> Finding:
    """What ``auto`` makes of this machine."""
    name = "--device auto"
    try:
        device = choose_device("auto")
        return ok(name, f"{device}, {choose_precision('auto', device)}")
    except RuntimeError as error:  # a GPU without memory, or lost
        return problem(name, " ".join(str(error).split()), "see nvidia-smi, or train with --device cpu")


def nvidia_gpus() -> list[str]:
    """The NVIDIA GPUs that the driver knows, whatever PyTorch sees: ``name, driver version, memory``."""
    command = shutil.which("nvidia-smi")
    if command is not None:
        try:
            output = subprocess.run(
                [command, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=_CHILD_TIMEOUT_SECONDS,
                check=True,
            )
            return output.stdout.splitlines()
        except (OSError, subprocess.SubprocessError):
            pass  # installed without a driver
    return [path.name for path in _DRIVER_FOLDER.iterdir()] if _DRIVER_FOLDER.is_dir() else []


def check_build(
    version: str, build: str | None, driver_gpus: Sequence[str], available: bool, visible: str | None
) -> Finding:
    """Whether PyTorch uses the GPUs that are there.

    Args:
        version: Of PyTorch.
        build: CUDA (or ROCm) version that PyTorch was built for; None: for the CPU alone.
        driver_gpus: What the NVIDIA driver lists.
        available: PyTorch sees a GPU.
        visible: ``CUDA_VISIBLE_DEVICES``.
    """
    name, there = "GPU", "; ".join(driver_gpus)
    if available:
        return ok(name, f"{there or 'yes'}; PyTorch {version}, CUDA {build}")
    if not driver_gpus:
        return ok(name, "none; training runs on the CPU")
    if visible is not None and visible.strip() in ("", "-1"):
        return warning(name, f"{there}; hidden by CUDA_VISIBLE_DEVICES={visible!r}", "unset it to train on the GPU")
    if build is None:
        advice = "install a CUDA build of torch and torchvision (pytorch.org, Get Started)"
        return problem(name, f"{there}; PyTorch {version} is built for the CPU alone", advice)
    advice = "update the driver; in a container, start it with --gpus all"
    return problem(name, f"{there}; PyTorch {version} (CUDA {build}) cannot use it", advice)


def check_gpu(gpu: Gpu, architectures: Collection[str]) -> Finding:
    """Whether PyTorch has kernels for ``gpu``, and memory is left on it.

    Args:
        gpu: One device.
        architectures: What PyTorch was compiled for: ``sm_90`` runs on 9.0 and later 9.x, ``compute_90`` on 9.0 and up.
    """
    major, minor = gpu.capability
    text = f"compute capability {major}.{minor}, {gib(gpu.free)} of {gib(gpu.memory)} free"
    if not any(_runs_on(architecture, gpu.capability) for architecture in architectures):
        advice = "install a torch build that supports it, or train with --device cpu"
        return problem(gpu.name, f"{text}; PyTorch has kernels for {', '.join(architectures)} only", advice)
    if gpu.free < _ADVISED_GPU_MEMORY:
        return warning(gpu.name, text, "end what else uses it (nvidia-smi shows it)")
    return ok(gpu.name, text)


def check_instructions(capability: str, machine: str, amx: bool) -> Finding:
    """Which vector instructions PyTorch uses on this kind of ``machine``."""
    name, text = "CPU instructions", f"{machine}, {capability}{', AMX' if amx else ''}"
    if machine.lower() in ("x86_64", "amd64") and capability == "DEFAULT":
        return warning(name, f"{text}: no AVX2", "training is several times slower; use another machine")
    return ok(name, text)


def _runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    kind, _, number = architecture.partition("_")
    digits = "".join(character for character in number if character.isdigit())
    if not digits:
        return True  # ROCm's gfx names: not ours to judge
    compiled = divmod(int(digits), 10)
    return compiled <= capability and (kind == "compute" or compiled[0] == capability[0])


def _gpus() -> list[Gpu]:
    found = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        found.append(Gpu(properties.name, (properties.major, properties.minor), total, free))
    return found


def _amx() -> bool:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("amx_bf16"))
