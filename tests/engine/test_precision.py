"""What trains fastest here is measured once and then known."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from human_edge_detection.engine import precision as module
from human_edge_detection.engine.precision import measure_gain, precision_of_cpu, precision_of_gpu


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "human-edge-detection" / "precision.json"


def gain_is(monkeypatch: pytest.MonkeyPatch, gain: float) -> list[str]:
    measured: list[str] = []

    def measure() -> float:
        measured.append("bf16")
        return gain

    monkeypatch.setattr(module, "measure_gain", measure)
    return measured


@pytest.mark.parametrize(("gain", "expected"), [(3.0, "bf16"), (1.2, "bf16"), (1.1, "fp32"), (0.4, "fp32")])
def test_half_precision_must_be_worth_its_rounding(
    gain: float, expected: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gain_is(monkeypatch, gain)
    assert precision_of_cpu() == expected


def test_it_is_measured_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = gain_is(monkeypatch, 2.0)
    assert [precision_of_cpu() for _ in range(3)] == ["bf16"] * 3
    assert measured == ["bf16"]
    (entry,) = json.loads(cache.read_text()).values()
    assert (entry["gain"], entry["precision"]) == (2.0, "bf16")
    monkeypatch.setattr(torch, "__version__", "99.0")
    precision_of_cpu()
    assert len(measured) == 2
    assert len(json.loads(cache.read_text())) == 2


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"a": 1}'])
def test_a_damaged_cache_is_made_anew(content: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir()
    cache.write_text(content)
    gain_is(monkeypatch, 2.0)
    assert precision_of_cpu() == "bf16"
    assert any(isinstance(entry, dict) for entry in json.loads(cache.read_text()).values())


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "human-edge-detection").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    measured = gain_is(monkeypatch, 2.0)
    assert [precision_of_cpu() for _ in range(2)] == ["bf16"] * 2
    assert len(measured) == 2


def test_the_measurement_leaves_threads_and_random_numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROUNDS", 1)
    torch.manual_seed(0)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    assert measure_gain() > 0.0
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("slower", "rounds"), [(10.0, 2), (1.5, 5), (0.5, 5)])
def test_half_precision_without_units_for_it_is_not_measured_to_the_end(
    slower: float, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[bool] = []

    def seconds(action: Any) -> float:
        in_half = action.args[0]
        measured.append(in_half)
        # The first call of each kind compiles and takes ten times as long.
        return (slower if in_half else 1.0) * (10.0 if len(measured) <= 2 else 1.0)

    monkeypatch.setattr(module, "_seconds", seconds)
    assert measure_gain() == pytest.approx(1 / slower)
    assert measured == [False, True] * rounds


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((6, 1), "fp32"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((8, 9), "bf16"), ((12, 0), "bf16")],
)
def test_the_arithmetic_of_a_gpu_follows_from_its_kind(capability: tuple[int, int], expected: str) -> None:
    """P100; V100; T4 and RTX 20; A100; L4 and RTX 40; RTX 50."""
    assert precision_of_gpu(capability) == expected
