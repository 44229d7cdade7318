"""Every damaged or hostile checkpoint is refused in one line; none runs code or ends the interpreter."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from human_edge_detection.advanced.weights.torch_archive import MAX_ARCHIVE_BYTES
from human_edge_detection.advanced.weights.weights_file import read_weights
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.config_manager import get_config

PLACES = 10
MARK = b"HEDSHA256"
CPU_SECONDS = 5.0
"""For a case that takes milliseconds; other work of the machine does not count."""
Damage = Callable[[bytes, int], bytes]


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def whole_checkpoint() -> Checkpoint:
    model = small_model()
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [{"params": parameters[:1], "base_lr": 1e-3}, {"params": parameters[1:], "base_lr": 1.0}]
    )
    model(torch.rand(2, 3, 8, 8)).mean().backward()
    optimizer.step()
    progress = TrainingProgress(step=1)
    progress.finish_epoch({"epoch": 1, "val/miou": None, "train/total": 0.5}, 0.25)
    training = {
        "student": None,
        "optimizer": optimizer.state_dict(),
        "scaler": {},
        "progress": progress.to_state(),
        "precision": "fp32",
        "teacher_sha256": None,
        "training_fingerprint": "data",
    }
    return Checkpoint(get_config("baseline"), model.state_dict(), 1, {"miou": 0.5}, "data", training)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "a.pth"
    save_checkpoint(path, whole_checkpoint())
    return path.read_bytes()


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def truncate(content: bytes, place: int) -> bytes:
    return content[:place]


def zero(content: bytes, place: int) -> bytes:
    # A place that holds zeros already is not damaged by more of them.
    block = next(start for start in range(place, -1, -64) if any(content[start : start + 512]))
    return content[:block] + b"\0" * len(content[block : block + 512]) + content[block + 512 :]


def insert_or_swap(content: bytes, place: int) -> bytes:
    if place % 2:
        return content[:place] + b"inserted" + content[place:]
    one, other = content[:512], content[place : place + 512]
    return other + content[512:place] + one + content[place + 512 :]


@pytest.mark.parametrize("number", range(PLACES))
@pytest.mark.parametrize("damage", [flip, truncate, zero, insert_or_swap])
def test_damage_of_each_kind_at_each_place_is_found(damage: Damage, number: int, good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    # From the first to the last byte; every second place odd.
    content = damage(good, max(1, (len(good) - 1) * number // (PLACES - 1) // 2 * 2 - number % 2))
    assert content != good
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert "truncated" in message or "damaged" in message


def test_the_undamaged_file_is_read(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(good)
    assert read_checkpoint(tmp_path / "a.pth")[0].epoch == 1


class Runs:
    """Unpickled without care, it runs a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def payload() -> dict[str, Any]:
    checkpoint = whole_checkpoint()
    return {
        "format": "human-edge-detection",
        "format_version": 1,
        "config": checkpoint.config.model_dump(mode="json"),
        "model": dict(checkpoint.model),
        "epoch": 1,
        "metrics": {"miou": 0.5},
        "data_fingerprint": "data",
        "training": checkpoint.training,
    }


def laughs() -> list[Any]:
    value: list[Any] = [0]
    for _ in range(28):
        value = [value] * 10
    return value


def lying_sparse() -> torch.Tensor:
    return torch.sparse_coo_tensor(torch.tensor([[10**9], [10**9]]), torch.ones(1), (2, 2), check_invariants=False)


def lying_csr() -> torch.Tensor:
    pointers, columns = torch.tensor([0, 10**9]), torch.tensor([10**9])
    return torch.sparse_csr_tensor(pointers, columns, torch.ones(1), (1, 2), check_invariants=False)


TENSOR = "0.weight"
TENSORS: Mapping[str, Callable[[], Any]] = {
    "sparse tensor that lies about its size": lying_sparse,
    "csr tensor that lies about its size": lying_csr,
    "meta tensor": lambda: torch.zeros(4, 3, 3, 3, device="meta"),
    "quantized tensor": lambda: torch.quantize_per_tensor(torch.zeros(4, 3, 3, 3), 0.1, 0, torch.qint8),
    "tensor of 1e15 elements without bytes": lambda: torch.zeros(1).expand(10**15),
    "half precision": lambda: torch.zeros(4, 3, 3, 3).half(),
    "another shape": lambda: torch.zeros(4, 3, 5, 5),
    "not finite": lambda: torch.full((4, 3, 3, 3), float("nan")),
    "a list for a tensor": lambda: [0.0],
}
FIELDS: Mapping[str, tuple[str, Callable[[], Any]]] = {
    "newer format": ("format_version", lambda: 99),
    "format version as text": ("format_version", lambda: "1"),
    "a field too many": ("more", lambda: 1),
    "newer config": ("config", lambda: get_config("baseline").model_dump(mode="json") | {"schema_version": 2}),
    "unknown encoder": ("config", lambda: get_config("baseline").model_dump(mode="json") | {"model": {"encoder": "x"}}),
    "config is a list": ("config", lambda: []),
    "model is a list": ("model", lambda: [torch.zeros(1)]),
    "model with a tensor too many": ("model", lambda: small_model().state_dict() | {"more": torch.zeros(1)}),
    "model without a tensor": ("model", lambda: {TENSOR: torch.zeros(4, 3, 3, 3)}),
    "model with numbers as names": ("model", lambda: {1: torch.zeros(1)}),
    "epoch below zero": ("epoch", lambda: -1),
    "epoch is true": ("epoch", lambda: True),
    "score is not finite": ("metrics", lambda: {"miou": float("nan")}),
    "fingerprint is a number": ("data_fingerprint", lambda: 3),
    "training is text": ("training", lambda: "none"),
    "a list of lists of the same list": ("data_fingerprint", laughs),
    "a set": ("metrics", lambda: {"miou"}),
    "bytes": ("data_fingerprint", lambda: b"data"),
}
TRAINING: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "no optimizer": lambda training: training.pop("optimizer"),
    "a part too many": lambda training: training.update(more=1),
    "student is a list": lambda training: training.update(student=[1]),
    "loss scale is text": lambda training: training.update(scaler={"scale": "x"}),
    "teacher is a number": lambda training: training.update(teacher_sha256=3),
    "optimizer is a list": lambda training: training.update(optimizer=[]),
    "optimizer without a group": lambda training: training["optimizer"]["param_groups"].pop(),
    "optimizer group of other parameters": lambda training: training["optimizer"]["param_groups"][0].update(params=[7]),
    "optimizer group without rate": lambda training: training["optimizer"]["param_groups"][0].pop("base_lr"),
    "rate is text": lambda training: training["optimizer"]["param_groups"][0].update(lr="x"),
    "betas are a number": lambda training: training["optimizer"]["param_groups"][0].update(betas=1.0),
    "optimizer state of another shape": lambda training: training["optimizer"]["state"][0].update(
        exp_avg=torch.zeros(2)
    ),
    "optimizer state not finite": lambda training: training["optimizer"]["state"][0]["exp_avg"].fill_(float("inf")),
    "optimizer state without moment": lambda training: training["optimizer"]["state"][0].pop("exp_avg_sq"),
    "optimizer state of an unknown parameter": lambda training: training["optimizer"]["state"].update({99: {}}),
    "progress without a field": lambda training: training["progress"].pop("step"),
    "progress with an unknown field": lambda training: training["progress"].update(more=1),
    "progress step below zero": lambda training: training["progress"].update(step=-1),
    "progress history of numbers": lambda training: training["progress"].update(history=[1]),
    "progress score is nan": lambda training: training["progress"].update(best_score=float("nan")),
    "progress is a list": lambda training: training.update(progress=[]),
}


def saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def rewritten(content: bytes, change: Callable[[str, bytes], bytes], **options: Any) -> bytes:
    """The archive with each record changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", **options) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return buffer.getvalue()


def lying_storage() -> bytes:
    """An archive in which a storage of 4 numbers, and the tensor on it, claim 2**29 numbers: 2 GiB beyond its end."""
    large = b"J" + struct.pack("<i", 2**29)
    content = saved(payload() | {"model": {TENSOR: torch.zeros(4)}, "training": None})
    return rewritten(content, lambda name, record: record.replace(b"K\x04", large) if name[-4:] == ".pkl" else record)


def with_pickle(pickled: bytes) -> bytes:
    return rewritten(saved(payload()), lambda name, record: pickled if name[-4:] == ".pkl" else record)


def shadowed() -> bytes:
    """The ``items`` of its state dict is no method: a pickle may set any attribute of an ``OrderedDict``."""
    state = OrderedDict(small_model().state_dict())
    vars(state)["shade"] = 3
    content = saved(payload() | {"model": state})
    return rewritten(content, lambda _, record: record.replace(b"shade", b"items"))


def same_name_twice() -> bytes:
    content = saved(payload())
    return rewritten(content, lambda _, record: record) + rewritten(
        content, lambda name, record: b"other" if name[-4:] == ".pkl" else record
    )


ARCHIVES: Mapping[str, Callable[[], bytes]] = {
    "storage that lies about its size": lying_storage,
    "a list in a list 100000 deep": lambda: with_pickle(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    "a list in itself": lambda: with_pickle(b"\x80\x02]q\x00h\x00a."),
    "5 million instructions": lambda: with_pickle(b"\x80\x02](" + b"N" * 5_000_000 + b"e."),
    "a pickle cut off": lambda: with_pickle(b"\x80\x02](NNN"),
    "a storage from the memo": lambda: with_pickle(b"\x80\x02(X\x07\0\0\0storagetq\0h\0Q."),
    "compressed": lambda: rewritten(saved(payload()), lambda _, record: record, compression=zipfile.ZIP_DEFLATED),
    "record cut off": lambda: rewritten(saved(payload()), lambda name, record: record[: len(record) // 2]),
    "two archives in one": same_name_twice,
    "a plain pickle": lambda: pickle.dumps({"format": "human-edge-detection"}),
    "torch's format before 1.6": lambda: _legacy(),
    "an empty archive": lambda: b"PK\x05\x06" + b"\0" * 18,
    "nothing": lambda: b"",
    "not a mapping": lambda: saved([1, 2]),
}


def _legacy() -> bytes:
    buffer = io.BytesIO()
    torch.save(payload(), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def _with_training(change: Callable[[dict[str, Any]], Any]) -> bytes:
    fields = payload()
    change(fields["training"])
    return saved(fields)


def _with(fields: Callable[[], dict[str, Any]]) -> Callable[[Path], bytes]:
    return lambda _: saved(payload() | fields())


def _with_field(key: str, make: Callable[[], Any]) -> Callable[[Path], bytes]:
    return _with(lambda: {key: make()})


def _with_tensor(make: Callable[[], Any]) -> Callable[[Path], bytes]:
    return _with(lambda: {"model": small_model().state_dict() | {TENSOR: make()}})


def _changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], bytes]:
    return lambda _: _with_training(change)


def _archive(make: Callable[[], bytes]) -> Callable[[Path], bytes]:
    return lambda _: make()


HOSTILE: Mapping[str, Callable[[Path], bytes]] = {
    "code": lambda folder: saved(payload() | {"metrics": Runs(folder / "ran")}),
    "a class of its own": lambda _: saved(payload() | {"metrics": sha256}),
    **{name: _with_tensor(make) for name, make in TENSORS.items()},
    **{name: _with_field(key, make) for name, (key, make) in FIELDS.items()},
    **{name: _changed(change) for name, change in TRAINING.items()},
    **{name: _archive(make) for name, make in ARCHIVES.items()},
}
BY_OWN_CHECKS = {
    "code": "it names posix.system",
    "sparse tensor that lies about its size": "it names torch._utils._rebuild_sparse_tensor",
    "csr tensor that lies about its size": "it names torch._utils._rebuild_sparse_tensor",
    "meta tensor": "it names torch._utils._rebuild_meta_tensor_no_storage",
    "tensor of 1e15 elements without bytes": "with fewer values than that",
    "storage that lies about its size": "whose record has 16 bytes",
    "a list in itself": "nested too deep",
    "a list of lists of the same list": "shared too often",
}
"""Refused before torch is asked: what it checks itself depends on its version."""
READER = """
import json, sys, time
from pathlib import Path
import torch
from torch import nn
from human_edge_detection.advanced.weights.state_dict import load_strictly
from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.engine.checkpoints.resume_state import check_training_state
from human_edge_detection.errors import CheckpointError

for path in map(Path, json.load(sys.stdin)):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    parameters = list(model.parameters())
    groups = [{"params": parameters[:1], "base_lr": 1e-3}, {"params": parameters[1:], "base_lr": 1.0}]
    optimizer, scaler = torch.optim.AdamW(groups), torch.amp.GradScaler("cpu", enabled=False)
    started = time.process_time()
    try:
        checkpoint = read_checkpoint(path)[0]
        load_strictly(model, checkpoint.model, source=str(path))
        check_training_state(checkpoint.training, optimizer, scaler, source=str(path))
        outcome = "read"
    except CheckpointError as error:
        outcome = str(error)
    except Exception as error:
        outcome = f"TRACEBACK {error!r}"
    print(json.dumps([path.stem, outcome, time.process_time() - started]), flush=True)
"""
"""Reads each file as a resumed run does, in a process of its own: some of them end it when they are not refused."""


@pytest.fixture(scope="module")
def outcomes(good: bytes, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[str, float]]:
    folder = tmp_path_factory.mktemp("hostile")
    paths = []
    for name, make in {"whole": lambda _: good[: -len(MARK) - 32], **HOSTILE}.items():
        body = make(folder)
        paths.append(folder / f"{name}.pth")
        paths[-1].write_bytes(body + MARK + sha256(body).digest())
    command = [sys.executable, "-c", READER]
    ended = subprocess.run(
        command,
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, f"ended by {ended.returncode} after {lines[-1:]}: {ended.stderr[-500:]}"
    assert not (folder / "ran").exists(), "code of a file ran"
    return {name: (outcome, seconds) for name, outcome, seconds in lines}


def test_the_reader_reads_what_is_whole(outcomes: Mapping[str, tuple[str, float]]) -> None:
    assert outcomes["whole"][0] == "read"
    assert len(outcomes) == len(HOSTILE) + 1


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_with_a_right_checksum_is_refused(name: str, outcomes: Mapping[str, tuple[str, float]]) -> None:
    outcome, seconds = outcomes[name]
    assert outcome != "read"
    assert not outcome.startswith("TRACEBACK"), outcome
    assert f"{name}.pth" in outcome
    assert "\n" not in outcome
    assert BY_OWN_CHECKS.get(name, "") in outcome
    assert seconds < CPU_SECONDS


def test_an_attribute_of_a_state_dict_hides_no_method(tmp_path: Path) -> None:
    content = shadowed()
    (tmp_path / "a.pth").write_bytes(content + MARK + sha256(content).digest())
    assert read_checkpoint(tmp_path / "a.pth")[0].model.keys() == small_model().state_dict().keys()


def test_weights_of_another_experiment_do_not_fit(good: bytes, tmp_path: Path) -> None:
    checkpoint = replace(whole_checkpoint(), config=get_config("quickstart_student_b0"))
    path = tmp_path / "a.pth"
    save_checkpoint(path, checkpoint)
    from human_edge_detection.engine.checkpoints.load import load_trained

    with pytest.raises(CheckpointError, match=r"not a whole quickstart_student_b0: \d+ tensors missing"):
        load_trained(path)


HOLLOW: dict[str, tuple[bytes, bytes]] = {
    "zeros": (b"", b""),
    "begins as an archive": (b"PK\x03\x04", b""),
    "ends as a checkpoint": (b"PK\x03\x04", b"HEDSHA256" + bytes(32)),
    "longest description": (b"\xff\xff\xff\xff\0\0\0\0{", b""),
}


@pytest.mark.parametrize("kind", HOLLOW)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_hollow_file_of_gigabytes_is_refused_in_little_memory(kind: str, suffix: str, tmp_path: Path) -> None:
    beginning, end = HOLLOW[kind]
    path = tmp_path / f"hollow{suffix}"
    size = MAX_ARCHIVE_BYTES if kind != "ends as a checkpoint" else 1 << 27  # that one is hashed, in parts
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(size - len(end))
        file.seek(0, os.SEEK_END)
        file.write(end)
    tracemalloc.start()
    try:
        for read in (read_checkpoint, partial(read_weights, source="weights")):
            started = time.process_time()
            with pytest.raises(CheckpointError):
                read(path)
            assert time.process_time() - started < 5.0
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
