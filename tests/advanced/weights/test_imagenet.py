import hashlib
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import segmentation_models_pytorch as smp
from huggingface_hub import constants
from torch import nn

from human_edge_detection.advanced.weights import imagenet
from human_edge_detection.advanced.weights.imagenet import imagenet_weights
from human_edge_detection.errors import CheckpointError

HANGS, SECONDS = 20.0, 15.0
"""A network that does not answer, and what may pass before it is called one."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """File name -> place in the hub's cache. Asking the network fails the test."""
    cached: dict[str, Path] = {}

    def look_up(repo_id: str, name: str, *, revision: str) -> str | None:
        return str(cached[name]) if name in cached else None

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", look_up)
    monkeypatch.setattr(smp.encoders, "get_encoder", lambda *_, **__: nn.Linear(2, 2))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    return cached


def cache(hub: dict[str, Path], folder: Path, content: bytes, digest: str) -> None:
    for name in ("config.json", "model.safetensors"):
        blob = folder / "blobs" / digest
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(content)
        hub[name] = folder / name
        hub[name].symlink_to(blob)


def refused_soon(*words: str) -> None:
    started = time.perf_counter()
    with pytest.raises(CheckpointError) as caught:
        imagenet_weights("resnet18")
    assert time.perf_counter() - started < SECONDS
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in ("ImageNet weights of resnet18", *words)), message


def test_without_network_the_error_comes_soon_and_says_what_to_give(hub: dict[str, Path]) -> None:
    refused_soon(
        *("HED_ENCODER_WEIGHTS is not set", f"not in the cache {constants.HF_HUB_CACHE}"),
        *("http://127.0.0.1:1 cannot be reached", "refused", "set HED_ENCODER_WEIGHTS to a folder with them"),
        "--encoder_weights none",
    )


def test_the_folder_that_had_no_weights_is_named(hub: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HED_ENCODER_WEIGHTS", "some/folder")
    refused_soon("no file in some/folder fits (HED_ENCODER_WEIGHTS), not in the cache")


@pytest.mark.parametrize("hangs", ["name", "answer"])
def test_a_network_that_does_not_answer_is_not_waited_for(
    hangs: str, hub: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object, **__: object) -> None:
        time.sleep(HANGS)
        raise TimeoutError

    if hangs == "name":
        monkeypatch.setattr("socket.getaddrinfo", hang)
    else:
        monkeypatch.setattr("urllib.request.urlopen", hang)
    refused_soon("no answer within")


def test_cached_weights_need_no_network(hub: dict[str, Path], tmp_path: Path) -> None:
    cache(hub, tmp_path, b"weights", hashlib.sha256(b"weights").hexdigest())
    assert imagenet_weights("resnet18").keys() == {"weight", "bias"}


def test_damaged_cached_weights_are_named(hub: dict[str, Path], tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    cache(hub, tmp_path, b"weightz", digest)
    refused_soon("damaged", str(tmp_path / "blobs" / digest), "delete it")


@pytest.mark.parametrize("status", [200, 403, 500])
def test_any_answer_is_a_network(status: int, hub: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class Predictors(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Predictors) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert imagenet_weights("resnet18").keys() == {"weight", "bias"}


def test_a_download_that_breaks_off_is_an_error_in_one_line(
    hub: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(*_: object, **__: object) -> nn.Module:
        raise ConnectionError("reset by peer")

    monkeypatch.setattr(imagenet, "_require_network", lambda _: None)
    monkeypatch.setattr(smp.encoders, "get_encoder", breaks_off)
    refused_soon("cannot be downloaded (ConnectionError)")
    assert logging.getLogger("huggingface_hub").level != logging.ERROR
