"""What was trained stays good: what commit 1509fe6 made is evaluated, exported, compared and continued as it was then.

``tests/golden/make_run_of_1509fe6.py`` made the archive, with that commit's code, and says what is in it and why it is
small. It is not made anew: a change that cannot use it translates it (``schema_version``), or refuses it by name with
the command that remakes it, and the test of what is lost then expects that message.
"""

import hashlib
import json
import math
import os
import shutil
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.cli.main import main

GOLDEN = Path(__file__).parents[1] / "golden"
RECORD = json.loads((GOLDEN / "run_of_1509fe6.json").read_bytes())
WEIGHTS = json.loads((GOLDEN / "weights_of_1509fe6.json").read_bytes())
COMMANDS: dict[str, list[str]] = RECORD["commands"]
TRAINED = Path(__file__).parents[2].parent / "shared" / "trained"
RUNS = Path("experiments")
FINISHED = sorted(RECORD["runs"])
CONTROL, BY_TEACHER, BY_SOFT_LABELS = (
    next(run for run in FINISHED if part in run) for part in ("student_b0", "_feat", "_temp_prog")
)
SCORE_TOLERANCE = 0.005
"""Another processor rounds otherwise, and a pixel between two classes goes to the other one."""
OUTPUT_TOLERANCE = 1e-3
"""Of the largest value of an output."""


@pytest.fixture(scope="session")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's content. Read it, do not change it."""
    folder = tmp_path_factory.mktemp("run_of_1509fe6")
    with tarfile.open(GOLDEN / "run_of_1509fe6.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def folder(extracted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a copy of the archive's content; links suffice, as the tool replaces files whole."""
    copy = tmp_path / "older"
    shutil.copytree(extracted, copy, copy_function=os.link)
    monkeypatch.chdir(copy)
    return copy


def best(run: str) -> Path:
    return RUNS / run / "checkpoints" / "best_model.pth"


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def epochs_of(run: str) -> list[bytes]:
    """The lines of ``metrics.jsonl``, one a finished epoch."""
    return (RUNS / run / "metrics.jsonl").read_bytes().splitlines()


def assert_continued(run: str, before: list[bytes], epochs: int) -> None:
    """``run`` has gone on to ``epochs``, from where it was: each image was seen once an epoch."""
    lines = epochs_of(run)
    assert lines[: len(before)] == before
    result, metrics = read(RUNS / run / "result.json"), [json.loads(line) for line in lines]
    assert [line["epoch"] for line in metrics] == list(range(1, epochs + 1))
    assert all(value is None or math.isfinite(value) for line in metrics for value in line.values())
    assert len({line["step"] - last["step"] for last, line in pairwise(metrics)}) == 1
    assert (result["epochs"], result["images"] % epochs) == (epochs, 0)
    assert read(RUNS / run / "status.json")["state"] == "finished"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("run", ["teacher", BY_SOFT_LABELS])
def test_it_is_evaluated_as_it_was_then(run: str) -> None:
    command = ["evaluate", "--checkpoint", str(best(run)), "--precision", "fp32", "--device", "cpu"]
    assert main([*command, "--num_workers", "0", "--json", "evaluation.json"]) == 0
    then, now = RECORD["runs"][run]["metrics"], read(Path("evaluation.json"))["metrics"]
    assert now.keys() >= then.keys()
    # AP counts persons, here twelve, above thresholds: one pixel may move it far.
    scores = [name for name in then if not name.startswith("AP")]
    assert {name: now[name] for name in scores} == pytest.approx(
        {name: then[name] for name in scores}, abs=SCORE_TOLERANCE
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("run", FINISHED)
def test_its_outputs_are_those_of_then(run: str) -> None:
    import torch

    from human_edge_detection.engine.checkpoints.load import load_trained

    model = load_trained(best(run)).model
    assert sum(weight.numel() for weight in model.parameters()) == RECORD["runs"][run]["total_parameters"]
    y, x = torch.meshgrid(torch.arange(64) / 64, torch.arange(64) / 64, indexing="ij")
    image = torch.stack([torch.sin(20 * x + 9 * y), torch.sin(25 * y - 7 * x), torch.sin(40 * x * y)]) / 2 + 0.5
    with torch.no_grad():
        output = model(image[None], torch.tensor([[0, 0.1, 0.2, 0.7, 0.8], [0, 0.4, 0.0, 1.0, 1.0]]))
    now = {"logits": output.logits, **output.aux}
    for name, values in RECORD["runs"][run]["answers"].items():
        sampled = now[name].flatten()[:: now[name].numel() // 16 + 1].tolist()
        assert sampled == pytest.approx(values, rel=0, abs=OUTPUT_TOLERANCE * max(map(abs, values))), name


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_it_is_exported() -> None:
    (RUNS / BY_SOFT_LABELS / "parity.json").unlink()
    assert main(["export", "--checkpoint", str(best(BY_SOFT_LABELS))]) == 0
    assert read(RUNS / BY_SOFT_LABELS / "parity.json")["passed"]
    assert best(BY_SOFT_LABELS).with_suffix(".onnx").is_file()


@pytest.mark.usefixtures("folder")
def test_it_is_compared_as_it_was_then() -> None:
    assert main(["compare"]) == 0
    rows = {row["run"]: row for row in read(Path("experiment_comparison.json"))}
    then = RECORD["comparison"]
    assert {run: {column: row[column] for column in then[run]} for run, row in rows.items()} == {
        run: pytest.approx(row) for run, row in then.items()
    }
    for run in (BY_TEACHER, BY_SOFT_LABELS):
        gain = rows[run]["miou"] - rows[CONTROL]["miou"]
        assert rows[run]["gain_over_control"] == pytest.approx(gain)
        assert rows[run]["teacher_miou_share"] == pytest.approx(rows[run]["miou"] / rows["teacher"]["miou"])


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_its_images_are_compared() -> None:
    assert main(["compare", BY_TEACHER, BY_SOFT_LABELS, "--against", CONTROL]) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_the_unfinished_run_goes_on_to_its_end(capfd: pytest.CaptureFixture[str]) -> None:
    before = epochs_of("unfinished")
    assert 0 < len(before) < 6
    assert main(COMMANDS["unfinished"]) == 0
    assert "finished: experiments/unfinished" in capfd.readouterr().out
    assert_continued("unfinished", before, 6)


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_a_finished_run_gets_another_epoch() -> None:
    before = epochs_of(BY_TEACHER)
    assert main(["train", "--resume", str(RUNS / BY_TEACHER), "--epochs", str(len(before) + 1)]) == 0
    assert_continued(BY_TEACHER, before, len(before) + 1)


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_one_that_older_soft_labels_taught_says_what_to_do_and_stays(capfd: pytest.CaptureFixture[str]) -> None:
    before = epochs_of(BY_SOFT_LABELS)
    assert main(["train", "--resume", str(RUNS / BY_SOFT_LABELS), "--epochs", str(len(before) + 1)]) == 2
    assert "soft labels in answers_0 are of an older version" in capfd.readouterr().err
    assert epochs_of(BY_SOFT_LABELS) == before


@pytest.mark.usefixtures("folder")
def test_its_soft_labels_are_refused_by_name_and_stay(capfd: pytest.CaptureFixture[str]) -> None:
    """They were files of a format of their own; runs that they have taught stay finished."""
    times = {path: path.stat().st_mtime_ns for path in Path("answers_0").rglob("*")}
    assert main(COMMANDS["soft labels"]) == 2
    assert "soft labels in answers_0 are of an older version (soft_labels.json)" in capfd.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in Path("answers_0").rglob("*")} == times


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("command", "run"),
    [("control", CONTROL), ("taught by the teacher", BY_TEACHER), ("taught by soft labels", BY_SOFT_LABELS)],
)
def test_its_command_finds_it_finished(command: str, run: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(COMMANDS[command]) == 0
    said = capfd.readouterr()
    assert said.out.startswith(f"finished: experiments/{run} (best epoch ")
    assert f"finished earlier: experiments/{run}" in said.err


@pytest.mark.usefixtures("folder")
def test_its_batch_finds_it_finished() -> None:
    written = (RUNS / "teacher" / "result.json").stat().st_mtime_ns
    assert main(COMMANDS["teacher"]) == 0
    assert (RUNS / "teacher" / "result.json").stat().st_mtime_ns == written


@pytest.mark.parametrize("preset", WEIGHTS)
def test_the_weights_of_the_presets_are_called_and_shaped_as_they_were_then(preset: str) -> None:
    import torch

    from human_edge_detection.engine.build import build_model
    from human_edge_detection.experiments.registry import get_config

    with torch.device("meta"):
        weights = build_model(get_config(preset).model).state_dict()
    names = sorted((name, list(weight.shape)) for name, weight in weights.items())
    digest = hashlib.sha256(json.dumps(names).encode()).hexdigest()
    assert {"entries": len(names), "sha256": digest} == WEIGHTS[preset]


@pytest.mark.skipif(not TRAINED.is_dir(), reason=f"{TRAINED} is not on this machine")
@pytest.mark.parametrize("name", ["teacher_b3_256", "distilled_b0_128"])
def test_the_trained_pair_has_finite_outputs(name: str) -> None:
    import torch

    from human_edge_detection.engine.checkpoints.load import load_trained

    model, checkpoint, *_ = load_trained(TRAINED / name / "checkpoints" / "best_model.pth")
    image = torch.rand(1, 3, *checkpoint.config.model.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = model(image, torch.tensor([[0, 0.1, 0.2, 0.7, 0.8]]))
    assert all(maps.isfinite().all() for maps in (output.logits, *output.aux.values()))
    assert output.logits.argmax(1).unique().numel() > 1
