"""Processes that write the comparison of one folder at the same time."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

WRITER = dedent(
    """
    import json, os, sys
    from pathlib import Path
    if sys.argv[1] == "locked":
        from human_edge_detection.runner.comparison.table import write_comparison

    os.fsync = lambda descriptor: None  # this is about order, not about power cuts
    way, output_dir, writer, updates = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    registry = output_dir.parent / "experiment_runs.json"
    seen = 0
    for number in range(updates):
        if way == "locked":
            folder = output_dir / f"run_{writer}"
            folder.mkdir(parents=True, exist_ok=True)
            status = {"state": "running", "step": number, "epoch": number, "epochs": updates, "pid": os.getpid()}
            temporary = folder / ".status"
            temporary.write_text(json.dumps({**status, "host": "h", "started": "", "updated": ""}))
            temporary.replace(folder / "status.json")
            write_comparison(output_dir)
            rows = {row["run"]: row["epoch"] for row in json.loads(registry.read_text())}
            seen += rows.get(f"run_{writer}") == number
        else:
            rows = json.loads(registry.read_text()) if registry.exists() else []
            temporary = registry.with_name(f".{writer}")
            temporary.write_text(json.dumps([*rows, [writer, number]]))
            temporary.replace(registry)
    print(seen)
    """
)


def updates_seen(way: str, output_dir: Path, *, writers: int, updates: int) -> int:
    """How many of all updates their writer found in the registry just after it had made them."""
    commands = [[sys.executable, "-c", WRITER, way, str(output_dir), str(n), str(updates)] for n in range(writers)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    return sum(int(process.communicate()[0]) for process in processes)


def test_8_writers_with_20_updates_each_lose_none(tmp_path: Path) -> None:
    output_dir = tmp_path / "experiments"
    assert updates_seen("locked", output_dir, writers=8, updates=20) == 160
    rows = json.loads((tmp_path / "experiment_runs.json").read_text())
    assert {row["run"]: row["epoch"] for row in rows} == {f"run_{writer}": 19 for writer in range(8)}
    assert len(list(csv.DictReader(io.StringIO((tmp_path / "experiment_comparison.csv").read_text())))) == 8


def test_without_a_lock_the_same_writers_would_lose_some(tmp_path: Path) -> None:
    """The test above can fail: an unlocked read, change, write of one file."""
    updates_seen("unlocked", tmp_path / "experiments", writers=8, updates=100)
    assert len(json.loads((tmp_path / "experiment_runs.json").read_text())) < 800
