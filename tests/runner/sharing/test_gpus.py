"""Which GPUs there are to hand out: names go through as they are."""

import subprocess
from typing import Any

import pytest

from human_edge_detection.runner.sharing import gpus
from human_edge_detection.runner.sharing.gpus import listed_gpus, visible_gpus

LISTED = """\
GPU 0: NVIDIA H200 (UUID: GPU-8b1b1c2d-0000-1111-2222-333344445555)
GPU 1: NVIDIA H200 (UUID: GPU-9c1b1c2d-0000-1111-2222-333344445555)
  MIG 1g.18gb     Device  0: (UUID: MIG-aaaa1c2d-0000-1111-2222-333344445555)
  MIG 1g.18gb     Device  1: (UUID: MIG-bbbb1c2d-0000-1111-2222-333344445555)
"""


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("0,2", ("0", "2")),
        ("GPU-8b1b1c2d, MIG-aaaa1c2d/0/1", ("GPU-8b1b1c2d", "MIG-aaaa1c2d/0/1")),
        ("1,-1,0", ("1",)),
        ("0,0", ("0",)),
        ("", ()),
        ("-1", ()),
    ],
)
def test_what_the_variable_names_is_what_there_is(named: str, found: tuple[str, ...]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": named}) == found


def test_without_it_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: tuple[str, ...], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, stdout=LISTED)

    gpus._listed.cache_clear()
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("subprocess.run", run)
    assert visible_gpus({}) == (
        "GPU-8b1b1c2d-0000-1111-2222-333344445555",
        "MIG-aaaa1c2d-0000-1111-2222-333344445555",
        "MIG-bbbb1c2d-0000-1111-2222-333344445555",
    )
    gpus._listed.cache_clear()
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert visible_gpus({}) == ()
    gpus._listed.cache_clear()


def test_what_is_no_device_is_left_out() -> None:
    assert listed_gpus("No devices found.\n") == ()
