"""ImageNet weights of an encoder, from the cache of ``huggingface_hub`` or from the network.

The hub's client tries for half a minute before it reports that there is no network; here an error comes within two
seconds.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import huggingface_hub
import segmentation_models_pytorch as smp
import timm
from huggingface_hub import constants
from safetensors import SafetensorError
from torch import Tensor

from human_edge_detection.errors import CheckpointError
from human_edge_detection.files.weight_files import ENCODER_WEIGHTS_VARIABLE

logger = logging.getLogger(__name__)

PROBE_SECONDS: Final = 1.5
"""Longest wait for a reply of the hub before the download is refused, seconds."""
TIMM_PREFIX: Final = "tu-"
"""Before the names of encoders that :mod:`segmentation_models_pytorch` takes from timm as they are."""
_WEIGHTS = "model.safetensors"
_FILES = ("config.json", _WEIGHTS)
_ADVICE = (
    f"set {ENCODER_WEIGHTS_VARIABLE} to a folder with them, or give --encoder_weights PATH (a file or a folder) or "
    "--encoder_weights none"
)


def imagenet_weights(encoder_name: str) -> Mapping[str, Tensor]:
    """The state dict of the encoder ``encoder_name`` trained on ImageNet, from the cache or downloaded.

    Raises:
        CheckpointError: They are not cached and there is no network, or the cached file is damaged.
    """
    cached = _cached(encoder_name)
    if cached is not None:
        _check_digest(cached, encoder_name)
    elif not constants.HF_HUB_OFFLINE:
        _require_network(encoder_name)
    logger.info("loading ImageNet weights of %s%s", encoder_name, "" if cached else " from the network")
    hub_log = logging.getLogger("huggingface_hub")
    level = hub_log.level
    hub_log.setLevel(logging.ERROR)
    try:
        encoder = smp.encoders.get_encoder(encoder_name, weights="imagenet")
        state: Mapping[str, Tensor] = (encoder.model if encoder_name.startswith(TIMM_PREFIX) else encoder).state_dict()
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"ImageNet weights of {encoder_name}: {_not_here()}, and they cannot be downloaded "
            f"({type(error).__name__}); {_ADVICE}"
        ) from error
    finally:
        hub_log.setLevel(level)
    return state


def _cached(encoder_name: str) -> Path | None:
    """The weights file in the hub's cache; None unless it has every file that is needed."""
    names: tuple[str, ...]
    if encoder_name.startswith(TIMM_PREFIX):
        of_timm = timm.get_pretrained_cfg(encoder_name.removeprefix(TIMM_PREFIX), allow_unregistered=False)
        repository, revision, names = str(of_timm and of_timm.hf_hub_id), None, (_WEIGHTS,)
    else:
        settings = smp.encoders.encoders[encoder_name]["pretrained_settings"]["imagenet"]
        repository, revision, names = settings["repo_id"], settings["revision"], _FILES
    cached = [huggingface_hub.try_to_load_from_cache(repository, name, revision=revision) for name in names]
    found = [Path(path) for path in cached if isinstance(path, str)]
    return found[-1] if len(found) == len(cached) else None


def _check_digest(path: Path, encoder_name: str) -> None:
    """Compares a cached file with its sha256, by which the hub's client names it but which it never compares again."""
    blob = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name) and hashlib.sha256(blob.read_bytes()).hexdigest() != blob.name:
        raise CheckpointError(
            f"ImageNet weights of {encoder_name}: the cached file {blob} is damaged; delete it, then it is loaded anew"
        )


def _require_network(encoder_name: str) -> None:
    """Raises CheckpointError unless the hub replies within :data:`PROBE_SECONDS`."""
    problems: list[str] = []
    # In a thread, since resolving a host name has no timeout; a daemon thread that hangs ends with the process.
    probe = threading.Thread(target=_probe, args=(problems,), daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS)
    if probe.is_alive():
        problems = [f"no answer within {PROBE_SECONDS:g} s"]
    if problems:
        raise CheckpointError(
            f"ImageNet weights of {encoder_name}: {_not_here()}, and {constants.ENDPOINT} cannot be reached "
            f"({problems[0]}); {_ADVICE}"
        )


def _not_here() -> str:
    """The places on this machine where weights were looked for."""
    folder = os.environ.get(ENCODER_WEIGHTS_VARIABLE)
    named = (
        f"no file in {folder} fits ({ENCODER_WEIGHTS_VARIABLE})" if folder else f"{ENCODER_WEIGHTS_VARIABLE} is not set"
    )
    return f"{named}, not in the cache {constants.HF_HUB_CACHE}"


def _probe(problems: list[str]) -> None:
    """Sends a request to the hub and appends the problem if there is no reply; an HTTP error is a reply too."""
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310 - https, or the user's own mirror
    try:
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError:
        return
    except urllib.error.URLError as error:
        # The hub's client may know certificates that Python's does not.
        if "CERTIFICATE" not in str(error.reason):
            problems.append(" ".join(str(error.reason).split()))
    except (OSError, ValueError) as error:
        problems.append(type(error).__name__)
