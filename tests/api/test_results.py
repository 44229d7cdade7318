"""What runs left, from Python: by name, by folder or by checkpoint, with all seeds; ``hed evaluate NAME`` alike."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import human_edge_detection as hed
from human_edge_detection.api import exporting
from human_edge_detection.cli.main import main
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.errors import CheckpointError, ConfigError, TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.exporters.formats import onnx as onnx_format
from human_edge_detection.runs.paths import RunPaths

pytestmark = pytest.mark.usefixtures("small_networks")


def test_a_name_stands_for_all_its_seeds(trained_runs: Path) -> None:
    assert [record.name for record in hed.load_run("tiny")] == ["tiny/seed_0", "tiny/seed_1"]
    (record,) = hed.load_run("experiments/tiny/seed_1")
    assert record.config is not None and record.config.training.seed == 1
    assert record.result is not None and record.result.metrics["miou"] == 0.5
    for name in ("tiny", trained_runs / "experiments" / "tiny"):
        evaluations = hed.evaluate(name, num_workers=0, precision="fp32")
        assert [Path(one.checkpoint or "").parent.parent.name for one in evaluations] == ["seed_0", "seed_1"]
        assert {one.images for one in evaluations} == {4}


def test_the_command_line_takes_a_name_too(trained_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--num_workers", "0", "--precision", "fp32", "--json", "out.json"]
    assert main(["evaluate", "tiny", *flags]) == 0
    both = json.loads(Path("out.json").read_text())
    assert [one["checkpoint"] for one in both] == [
        f"experiments/tiny/seed_{seed}/checkpoints/best_model.pth" for seed in (0, 1)
    ]
    assert all(one["checkpoint"] in capsys.readouterr().out for one in both[:1])
    assert main(["evaluate", "--checkpoint", both[1]["checkpoint"], *flags]) == 0
    assert json.loads(Path("out.json").read_text()) == both[1]


def test_every_seed_is_exported_or_none_when_they_were_to_be_one_file(
    trained_runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exported: list[tuple[Path, Path | None, Any]] = []
    asked: list[Any] = []

    def export(checkpoint: Path, *, output: Path | None, data: Any, **finding: Any) -> None:
        exported.append((checkpoint, output, data))
        asked.append(finding)

    monkeypatch.setattr(exporting, "export_with_card", export)
    hed.export("tiny", data=("a.json", "images"), min_score=0.5)
    assert asked == 2 * [{"min_score": 0.5, "max_persons": None, "format": "onnx", "compared": True}]
    assert [checkpoint.parents[1].name for checkpoint, _, _ in exported] == ["seed_0", "seed_1"]
    assert {(output, data) for _, output, data in exported} == {(None, (Path("a.json"), Path("images")))}
    with pytest.raises(ConfigError, match="one file, and tiny has 2 runs; name one, tiny/seed_N"):
        hed.export("tiny", output="model.onnx")
    assert len(exported) == 2
    assert main(["export", "tiny", "--output", "model.onnx"]) == 2
    assert "one file, and tiny has 2 runs" in capsys.readouterr().err


def test_a_model_is_loaded_by_name_seed_or_file(trained_runs: Path) -> None:
    model = hed.load_model("alone")
    output = model(torch.rand(2, 3, 64, 64), torch.tensor([[0.0, 0.1, 0.1, 0.9, 0.9]]))
    assert output.logits.shape == (1, 3, 32, 24)
    assert not model.training
    first, other = (hed.load_model("tiny", seed=seed).state_dict() for seed in (0, 1))
    again = hed.load_model("experiments/tiny/seed_1/checkpoints/best_model.pth").state_dict()
    assert all(torch.equal(other[name], again[name]) for name in other)
    assert any(not torch.equal(other[name], first[name]) for name in other)


MISTAKES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "another name": (lambda: hed.load_run("tny"), ConfigError, r"no run 'tny' \(did you mean 'tiny'\?\)"),
    "no run": (lambda: hed.evaluate("experiments"), ConfigError, "experiments: holds no run"),
    "no file": (lambda: hed.load_model("gone.pth"), ConfigError, "gone.pth: No such file"),
    "several seeds": (lambda: hed.load_model("tiny"), ConfigError, "2 runs of several seeds; say which with seed=N"),
    "no such seed": (lambda: hed.load_model("tiny", seed=7), ConfigError, "no run with seed 7"),
    "device": (lambda: hed.evaluate("alone", device="gpu"), ConfigError, "--device gpu: expected auto, cpu, cuda"),
    "format": (lambda: hed.export("alone", format="onyx"), ConfigError, "--format onyx: expected onnx, .* mean 'onnx'"),  # type: ignore[arg-type]
    "split": (lambda: hed.evaluate("alone", split="tst"), ConfigError, "--split tst: .* mean 'test'"),  # type: ignore[arg-type]
    "no runs at all": (lambda: hed.comparison_table("nowhere"), ConfigError, "no such folder: nowhere"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_errors_of_one_line(mistake: str, trained_runs: Path) -> None:
    call, kind, message = MISTAKES[mistake]
    with pytest.raises(kind, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_too_little_memory_is_an_error_that_can_be_mended(trained_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("human_edge_detection.engine.checkpoints.load.load_trained", full)
    monkeypatch.setattr(onnx_format, "export_checkpoint", full)
    for call in (hed.evaluate, hed.export):
        with pytest.raises(TrainingError, match="out of memory"):
            call("alone")


def test_a_seed_without_weights_is_refused_before_the_others_are_used_and_unfinished_ones_are_named(
    trained_runs: Path,
    tiny_config: ExperimentConfig,
    write_run: Callable[..., RunPaths],
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = derive(tiny_config, name="tiny", training={"seed": 2})
    paths = write_run(Path("experiments/tiny/seed_2"), config, state="failed")
    with pytest.raises(CheckpointError, match=r"tiny/seed_2: is failed and has no best_model\.pth yet"):
        hed.evaluate("tiny")
    save_checkpoint(paths.best, Checkpoint(config, build_model(config.model).state_dict(), 1, {}, "data"))
    with caplog.at_level("WARNING", "human_edge_detection.api.results"):
        hed.load_model("tiny", seed=2)
    assert "experiments/tiny/seed_2 is failed: its best weights until now are taken" in caplog.text
    paths.status.unlink()
    with caplog.at_level("WARNING", "human_edge_detection.api.results"):
        hed.load_model("tiny", seed=2)
    assert "experiments/tiny/seed_2: has no status.json, which says whether it is finished" in caplog.text
    assert "not started" not in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "RUN and --checkpoint PATH: neither is given; give one"),
        (["alone", "--checkpoint", "x.pth"], "RUN and --checkpoint PATH: both say which model; give one"),
        (["alon"], "no run 'alon' (did you mean 'alone'?)"),
        (["alone", "--output_dir", "elsewhere"], "no run 'alone'"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_the_command_line_refuses_what_names_no_model(
    command: str, arguments: list[str], message: str, trained_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_comparison_of_all_runs_is_rebuilt(trained_runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows, files = hed.comparison_table()
    assert [row["run"] for row in rows] == ["alone", "tiny/seed_0", "tiny/seed_1"]
    assert all(file.is_file() for file in files)
    assert capfd.readouterr().out == ""
