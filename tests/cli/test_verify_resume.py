"""``hed verify-resume``: the same request as ``hed train``, and a verdict."""

from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.cli.verify_resume import verdict
from human_edge_detection.errors import TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.selfcheck import verify_resume as engine
from human_edge_detection.selfcheck.verify_resume import Verification

SAME = Verification(RunPaths(Path("run")), 8, (2, 6), 99, None, "cpu", deterministic=False, folder=Path("folder"))
OTHER = SAME._replace(difference="latest.pth: model/x differs in 1 of 4 elements, by 1e-07 at most")
SAMPLE = ("--config", "quickstart_student_b0")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ExperimentConfig, Path, dict[str, Any]]]:
    """What was asked of the engine; it answers with :data:`SAME`."""
    asked = []

    def verify(config: ExperimentConfig, folder: Path, **options: Any) -> Verification:
        assert folder.is_dir()
        asked.append((config, folder, options))
        return SAME

    monkeypatch.setattr(engine, "verify_resume", verify)
    return asked


def call(*arguments: str, output_dir: Path) -> int:
    return main(["verify-resume", *arguments, "--output_dir", str(output_dir)])


def test_identical_is_0_and_leaves_nothing(
    tried: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*SAMPLE, "--seed", "7", output_dir=tmp_path) == 0
    ((config, folder, options),) = tried
    assert (config.training.seed, folder.parent, options) == (7, tmp_path, {})
    expected = "identical: 99 tensors, metrics.jsonl and result.json; killed after steps 2, 6 of 8, on cpu\n"
    assert capsys.readouterr().out == expected
    assert list(tmp_path.iterdir()) == []


def test_different_is_1_and_keeps_the_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "verify_resume", lambda config, folder: OTHER._replace(folder=folder))
    assert call(*SAMPLE, output_dir=tmp_path) == 1
    (kept,) = tmp_path.iterdir()
    shown = capsys.readouterr().out
    assert shown.startswith("not identical: latest.pth: model/x differs in 1 of 4 elements")
    assert f"kept in {kept}" in shown


def test_a_failed_training_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> Verification:
        raise TrainingError("out of memory")

    monkeypatch.setattr(engine, "verify_resume", fail)
    assert call(*SAMPLE, output_dir=tmp_path) == 2
    assert capsys.readouterr().err == "error: out of memory\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--config", "nonsense"),
        ("--config", "rgb_hierarchical_unet_v2_distillation_b0_from_b3"),
        ("--config", "quickstart_distilled_b0_from_b3"),
        ("--config", "quickstart_distilled_b0_from_b3", "--teacher_checkpoint", "nowhere.pth"),
        (*SAMPLE, "--data_root", "nowhere"),
        (*SAMPLE, "--set", "training.epoch=1"),
        (*SAMPLE, "--run_name", "../up"),
        (*SAMPLE, "--init_from", "nowhere.pth"),
    ],
)
def test_what_train_refuses_is_refused_in_the_same_words(
    arguments: tuple[str, ...], tried: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments, output_dir=tmp_path) == 2
    refused = capsys.readouterr().err
    assert main(["train", *arguments, "--output_dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == refused
    assert tried == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("verification", "expected"),
    [
        (SAME, "identical: 99 tensors"),
        (OTHER, "this must not happen; please report"),
        (OTHER._replace(device="cuda"), "only with --deterministic; try again with it"),
        (OTHER._replace(device="cuda", deterministic=True), "this must not happen; please report"),
    ],
)
def test_what_a_difference_may_mean(verification: Verification, expected: str) -> None:
    assert expected in verdict(verification)
