"""What the check of a GPU does with its parts, held without one."""

import argparse
import json
import sys
import time
from pathlib import Path

import gpu_check
import pytest
from gpu_check import Part, last_json, run_part, run_within, the_error, verdicts

PARTS = """
import json, subprocess, sys, time
part = sys.argv[1]
print(json.dumps({"verdicts": {"first": True}}), flush=True)
if part == "slow":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(json.dumps({"child": child.pid, "verdicts": {"first": True, "second": True}}), flush=True)
    print('{"cut', end="", flush=True)
    time.sleep(600)
if part == "bad":
    sys.exit("Traceback ...\\nRuntimeError: CUDA error: out of memory\\nCompile with `TORCH_USE_CUDA_DSA`")
"""


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    file = tmp_path / "parts.py"
    file.write_text(PARTS)
    monkeypatch.setattr(gpu_check, "PARTS", file)
    return argparse.Namespace(device="cpu", patience=1.0)


def is_there(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().split()[2] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for a process in /proc")
def test_a_part_that_takes_too_long_keeps_what_it_found_and_leaves_no_process(
    parts: argparse.Namespace, tmp_path: Path
) -> None:
    found = run_part(Part("slow", 4), tmp_path, parts)
    assert found["error"] == "not done after 4 s"
    assert [holds for _, _, holds in verdicts([found])] == [False, True, True]
    deadline = time.monotonic() + 5.0
    while is_there(found["child"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_there(found["child"]), "it would take the GPU from the next part"


def test_a_part_that_fails_says_why_and_keeps_what_it_found(parts: argparse.Namespace, tmp_path: Path) -> None:
    found = run_part(Part("bad", 60), tmp_path, parts)
    assert verdicts([found]) == [("bad", "RuntimeError: CUDA error: out of memory", False), ("bad", "first", True)]
    assert verdicts([run_part(Part("good", 60), tmp_path, parts)]) == [("good", "first", True)]


def test_the_last_whole_line_counts() -> None:
    assert last_json('noise\n{"a": 1}\n{"a": 2}\n{"a"') == {"a": 2}
    assert last_json("3\nnull\n") == {}
    assert the_error("hed: killed\n") == "hed: killed"
    assert the_error("") is None
    assert run_within([sys.executable, "-c", "print(1); raise SystemExit(3)"], 60.0) == ("1\n", "", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "mps"], "--device: expected cpu, cuda or cuda:N, got 'mps'"),
        (["--device", "cuda:7"], "--device cuda:7: PyTorch sees 1 CUDA devices here"),
        (["--patience", "0"], "--patience: expected more than 0"),
        (["--output", "nowhere/gpu.json"], "--output nowhere/gpu.json: not a file in a folder that there is"),
        (["--only", "speed"], "invalid choice: 'speed'"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_check, "_gpus", lambda: 1)
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        gpu_check.main()
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_without_a_gpu_it_says_so_and_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "gpu.json"
    monkeypatch.setattr(gpu_check, "_gpus", lambda: 0)
    for device in ("cuda", "cuda:1"):
        monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--device", device, "--output", str(output)])
        assert gpu_check.main() == 0 and not output.exists()
        assert "skipped: PyTorch sees no CUDA device here" in capsys.readouterr().out


def test_the_verdicts_are_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--device", "cpu", "--only", "loader", "--output", str(output)])
    for holds in (True, False):
        monkeypatch.setattr(
            gpu_check, "run_part", lambda part, *_, holds=holds: {"part": part.name, "verdicts": {"it": holds}}
        )
        assert gpu_check.main() == (0 if holds else 1)
        assert [one["part"] for one in json.loads(output.read_text())] == ["prepare", "loader"]
        assert ("BAD" in capsys.readouterr().out) != holds
