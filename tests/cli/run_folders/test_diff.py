"""``hed diff``: only what differs, whatever differs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import derive
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.lookup.identity import RunContents, write_contents
from human_edge_detection.runs.paths import RunPaths


@pytest.fixture
def runs(tmp_path: Path, write_run: Callable[..., RunPaths], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    config = get_config("quickstart_student_b0")
    other = derive(config, name=config.name, training={"batch_size": 3}, data={"num_workers": 2})
    for name, settings, version, score in (
        ("a", config, "2.14", 0.5),
        ("b", other, "2.15", 0.625),
        ("c", config, "2.14", 0.5),
    ):
        paths = write_run(Path("experiments") / name, settings, metrics={"miou": score, "iou_target": 0.25})
        write_contents(paths, RunContents(drawn_version=2 if name == "b" else 1, encoder_weights="none"))
        made_with: dict[str, Any] = {"versions": {"torch": version}, "device": "cpu", "command": [name]}
        write_json(paths.provenance, made_with)
    return tmp_path


def test_only_what_differs_is_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a", "b", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "one": "a",
        "other": "b",
        "config": {"training.batch_size": [8, 3], "data.num_workers": [1, 2]},
        "data": {"drawn_version": [1, 2]},
        "metrics": {"miou": [0.5, 0.625]},
        "environment": {"versions.torch": ["2.14", "2.15"]},
    }
    assert main(["diff", "experiments/a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith(("miou", "training"))] == [
        ["training.batch_size", "8", "3"],
        ["miou", "0.5", "0.625", "+0.125"],
    ]


def test_equal_runs_are_said_to_be_equal(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a", "c"]) == 0
    assert capsys.readouterr().out == "the same in a and c: config, data, metrics, environment\n"


def test_what_is_wrong_is_one_line(
    runs: Path, write_run: Callable[..., RunPaths], capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        write_run(Path("experiments") / "d" / f"seed_{seed}", get_config("quickstart_student_b0"))
    (runs / "experiments" / "c" / "result.json").write_text("{")
    for words, said in (
        (["a", "x"], "error: no run 'x'"),
        (["a", "d"], "error: d: 2 runs of several seeds; name one of d/seed_0, d/seed_1"),
        (["a", "c"], "result.json: not what this tool writes there"),
        (["a"], "the following arguments are required: RUN"),
    ):
        assert main(["diff", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
