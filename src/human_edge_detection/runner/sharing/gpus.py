"""Which GPUs this process sees, without PyTorch: they are to be handed out to its children."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from typing import Final

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_LIST: Final = ("nvidia-smi", "-L")
_LIST_SECONDS: Final = 30.0
_DEVICE: Final = re.compile(r"^\s*(GPU|MIG) .*\(UUID: ([^)]+)\)\s*$")

logger = logging.getLogger(__name__)


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The GPUs that a child could be given, each as ``CUDA_VISIBLE_DEVICES`` names it: a number, a UUID, a MIG device.

    Those that the variable names, as they are; without it those that the driver lists, by their UUID.
    """
    named = environment.get(VISIBLE)
    if named is not None:
        return _named(named)
    return _listed()


@cache
def _listed() -> tuple[str, ...]:
    if shutil.which(_LIST[0]) is None:
        return ()
    try:
        listed = subprocess.run(_LIST, capture_output=True, text=True, timeout=_LIST_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("GPUs cannot be listed: %s; set %s where there are some", error, VISIBLE)
        return ()
    return listed_gpus(listed.stdout) if listed.returncode == 0 else ()


def _named(devices: str) -> tuple[str, ...]:
    """CUDA ignores what comes after the first that is none, such as ``-1``."""
    found: list[str] = []
    for device in map(str.strip, devices.split(",")):
        if not device or device.startswith("-"):
            break
        found.append(device)
    return tuple(dict.fromkeys(found))


def listed_gpus(text: str) -> tuple[str, ...]:
    """The devices in what ``nvidia-smi -L`` says; of a GPU that is divided (MIG) its parts, as it is none itself."""
    found: list[str] = []
    whole = False
    for line in text.splitlines():
        device = _DEVICE.match(line)
        if device is None:
            continue
        if device[1] == "MIG" and whole:
            found.pop()
        whole = device[1] == "GPU"
        found.append(device[2])
    return tuple(found)
