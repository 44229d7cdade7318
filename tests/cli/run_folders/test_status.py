"""``hed status`` as a user gets it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.runner.watching.glance import look

STATUS = {
    "state": "failed",
    "epoch": 2,
    "epochs": 6,
    "step": 24,
    "error": "loss is not finite",
    "pid": 7,
    "host": "elsewhere",
    "started": "2030-01-01T00:00:00+00:00",
    "updated": "2030-01-01T00:01:00+00:00",
}
SEEN = """
import sys
from human_edge_detection.cli.main import main
code = main(["status", sys.argv[1]])
print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "experiments"
    for name in ("good", "bad"):
        (folder / name / "checkpoints").mkdir(parents=True)
        (folder / name / "checkpoints" / "best_model.json").write_text('{"metrics": {"miou": 0.4321}}')
    (folder / "bad" / "status.json").write_text(json.dumps(STATUS))
    (folder / "good" / "status.json").write_text(json.dumps(STATUS | {"state": "interrupted", "error": None}))
    return folder


def test_a_line_a_run_and_one_for_each_error(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(runs)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{runs}: 0 of 2 finished, 1 failed, 1 interrupted",
        "  run   state        epoch  val mIoU  left",
        "  bad   failed       2/6    0.4321    -",
        "  good  interrupted  2/6    0.4321    -",
        "bad: failed: loss is not finite",
    ]


def test_json_has_the_same(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(runs), "--json"]) == 0
    (batch,) = json.loads(capsys.readouterr().out)
    assert (batch["folder"], batch["batch"]) == (str(runs), None)
    assert [(run["name"], run["state"], run["miou"]) for run in batch["runs"]] == [
        ("bad", "failed", 0.4321),
        ("good", "interrupted", 0.4321),
    ]


def test_what_is_wrong_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nothing'}: No such file or directory; give")
    assert main(["status", str(tmp_path), "--watch", "--json"]) == 2
    assert main(["status", str(tmp_path)]) == 0
    assert "no run in it" in capsys.readouterr().out


def test_watching_writes_what_is_new_until_it_is_ended(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def sleep(_seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise KeyboardInterrupt
        if looks == 2:
            file = runs / "bad" / "status.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), "epoch": 5}))

    monkeypatch.setattr("human_edge_detection.cli.run_folders.status.time.sleep", sleep)
    assert main(["status", str(runs), "--watch"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("  bad ")] == ["2/6", "5/6"]
    assert sum(line.startswith("  good ") for line in lines) == 1


def test_a_thousand_runs_take_a_moment(tmp_path: Path) -> None:
    """Nothing slow is imported, and reading grows with the number of runs; seconds are the processor's doing."""
    for number in range(1000):
        folder = tmp_path / f"run_{number}"
        folder.mkdir()
        (folder / "status.json").write_text(json.dumps(STATUS))
    ended = subprocess.run([sys.executable, "-c", SEEN, str(tmp_path)], capture_output=True, text=True, check=True)
    assert len(ended.stdout.splitlines()) == 2002
    assert not {"pydantic", "torch", "rich", "filelock", "yaml", "numpy"} & {*ended.stderr.split()}
    started = time.process_time()
    look(tmp_path)
    assert time.process_time() - started < 2.0
