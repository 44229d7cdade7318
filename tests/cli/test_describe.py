import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.runs.records import Probe, ProbeRequest

DISTILLED = "rgb_hierarchical_unet_v2_distillation_b0_from_b3"

STUDENT = "quickstart_student_b0"
QUICK_DISTILLED = "quickstart_distilled_b0_from_b3"


def describe(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["describe", *arguments, "--json"]) == 0
    description: dict[str, Any] = json.loads(capsys.readouterr().out)
    return description


def test_the_promised_sizes_of_student_and_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    description = describe(capsys, DISTILLED)
    model, teacher = description["model"], description["teacher"]
    assert round(model["unet_parameters"] / 1e6, 2) == 6.25
    assert round(teacher["unet_parameters"] / 1e6, 2) == 13.16
    assert round(description["compression"]["unet_parameters"], 1) == 2.1
    assert 0 < model["head_parameters"] < 600_000
    assert (
        model["total_parameters"] == model["unet_parameters"] + model["head_parameters"] + model["detector_parameters"]
    )
    parts = ("encoder", "decoder", "detector", "head_per_roi")
    assert model["gflops"]["total"] == pytest.approx(sum(model["gflops"][part] for part in parts))
    assert description["config"]["name"] == DISTILLED


def test_changes_reach_model_and_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    changes = ("--set", "model.image_size=[128, 128]", "--set", "distillation.temperature=6")
    description = describe(capsys, DISTILLED, *changes)
    assert description["config"]["distillation"]["temperature"] == 6.0
    assert description["model"]["inputs"]["images"] == ["B", 3, 128, 128]
    assert description["teacher"]["inputs"]["images"] == ["B", 3, 128, 128]


def test_an_experiment_is_named_or_lies_in_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"base: {STUDENT}\nname: mine\ntraining: {{epochs: 3}}\n")
    for arguments in ([str(file)], ["--config_file", str(file)], [STUDENT, "--config_file", str(file)]):
        config = describe(capsys, *arguments)["config"]
        assert (config["name"], config["training"]["epochs"]) == ("mine", 3)


def test_the_table_shows_numbers_and_how_they_were_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "quickstart_student_b0"]) == 0
    shown = capsys.readouterr().out
    for expected in ("6.25 M", "multiply-add counted as 2", "model.encoder", "N x 3 x"):
        assert expected in shown
    assert "teacher" not in shown


def test_soft_labels_may_come_from_a_teacher_that_nobody_names(capsys: pytest.CaptureFixture[str]) -> None:
    description = describe(capsys, STUDENT, "--soft_labels", "labels", "--cache_views", "1")
    assert (description["config"]["distillation"]["soft_labels"], description["teacher"]) == ("labels", None)


def test_a_probe_says_what_was_measured_and_what_follows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, made_up_probe: Callable[..., Probe]
) -> None:
    asked: list[ProbeRequest] = []

    def measure(request: ProbeRequest) -> list[Probe]:
        asked.append(request)
        return [made_up_probe(*request.batch_sizes)]

    monkeypatch.setattr("human_edge_detection.runner.probe.probe", measure)
    assert describe(capsys, STUDENT)["probe"] is None
    assert main(["describe", STUDENT, "--probe", "--batch_size", "4"]) == 0
    shown = capsys.readouterr().out
    for expected in (
        "probe: 5 training steps, after one to warm up",
        "cpu (a processor, 2 threads), fp32",
        "4, of 1000 training images",
        "0.5 s (median)",
        "about 2m25s: 250 steps, 10 batches of validation",
        "about 1h12m, without saving and drawing",
        "1.5 GiB of this process; 8.0 GiB were available",
    ):
        assert expected in shown
    probe = describe(capsys, QUICK_DISTILLED, "--probe")["probe"]
    assert (probe["seconds_per_epoch"], probe["seconds"]) == (
        62.5 + 20.0,
        30 * 82.5,
    )  # 125 steps and 10 batches, in each of 30 epochs
    assert [[teacher.name for teacher in request.teachers] for request in asked] == [[], ["quickstart_teacher_b3"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no experiment"),
        (["baseline", "--probe"], "experiment 'baseline' has no data: give --data_root"),
        (["baseline", "--probe", "--data_root", "gone"], "gone"),
        (["quickstart_student_b0", "--probe", "--batch_size", "auto"], "--batch_size (training.batch_size): "),
        (["quickstart_student_b1"], "quickstart_student_b0"),
        (["mine.yaml"], "mine.yaml: no such file"),
        (["quickstart_student_b0", "--set", "model.encodr=resnet18"], "encoder"),
        (["quickstart_student_b0", "--set", "distillation.teacher_checkpoint=gone.pth"], "gone.pth"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["describe", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_views_are_drawn_into_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ("--set", "data.sample.image_size=[96, 128]", "--set", "model.image_size=[96, 96]")
    assert describe(capsys, STUDENT, *small, "--views")["views"] == "views.png"
    assert [path.name for path in tmp_path.iterdir()] == ["views.png"]
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")


def test_views_want_a_png_and_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, problem in (
        (("--views", STUDENT), f"--views {STUDENT}: expected a file that ends in .png"),
        ((DISTILLED, "--views"), "has no data: give --data_root"),
        ((STUDENT, "--views", "--set", "data.augmentation.pipeline=none.yaml"), "none.yaml: cannot be read"),
    ):
        assert main(["describe", *arguments]) == 2
        error = capsys.readouterr().err
        assert problem in error and error.count("error: ") == 1
