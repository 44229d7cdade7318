"""``hed soft-labels``: the flags of ``hed train``, and what they come to."""

from pathlib import Path

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.engine.teaching import soft_label_writer as engine
from human_edge_detection.engine.teaching.soft_label_parts import Part
from human_edge_detection.engine.teaching.soft_labels import (
    SoftLabelKey,
    SoftLabelMetadata,
    SoftLabels,
    TeacherRecord,
)
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig

STUDENT = ("--config", "quickstart_distilled_b0_from_b3")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ExperimentConfig, Path]]:
    """What was asked of the engine, which soft labels that all was done."""
    calls = []

    def write(config: ExperimentConfig, *, sample_root: Path, source: Path | None) -> SoftLabels:
        assert source is None
        calls.append((config, sample_root))
        assert config.distillation is not None
        return SoftLabels(Path(str(config.distillation.soft_labels)), METADATA)

    monkeypatch.setattr(engine, "write_soft_labels", write)
    return calls


METADATA = SoftLabelMetadata(
    key=SoftLabelKey(
        teacher_sha256="a",
        training_fingerprint="b",
        augmentation=AugmentationConfig(),
        image_size=(64, 64),
        mask_size=(32, 24),
        max_rois_per_image=3,
        seed=0,
        cache_views=4,
        view_version=3,
    ),
    teacher=TeacherRecord(
        checkpoint="t", sha256="a", experiment="t", encoder="e", parameters=1, metrics={"c": {"miou": 0.5}}
    ),
    heads={"logits": (3, 32, 24)},
    images=96,
    annotations="train.json",
    device="cpu",
    precision="fp32",
    parts=(Part(file="x", bytes=2_500_000, sha256="d"), Part(file="y", bytes=500_000, sha256="e")),
)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    path = tmp_path / "teacher.pth"
    path.touch()
    return path


def test_the_flags_of_a_training(
    asked: list[tuple[ExperimentConfig, Path]], teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--teacher_checkpoint", str(teacher), "--soft_labels", "labels", "--seed", "7", "--output_dir"]
    assert main(["soft-labels", *STUDENT, "--cache_views", "4", *flags, str(tmp_path / "runs")]) == 0
    ((config, sample_root),) = asked
    assert config.distillation is not None
    assert (config.distillation.soft_labels, config.data.cache_views, config.training.seed) == ("labels", 4, 7)
    assert config.distillation.teacher_checkpoint == str(teacher)
    assert sample_root.is_relative_to(tmp_path / "sample_data")
    assert capsys.readouterr().out == "soft labels: labels (4 views of 96 images, 3.0 MB)\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--soft_labels", "labels", "--cache_views", "4"],
            "needs the teacher quickstart_teacher_b3, and no finished run of it is at ",
        ),
        (
            ["--soft_labels", "labels", "--cache_views", "4", "--from", "results.json"],
            "; or let results.json teach alone: --set distillation.teacher_config=null; ",
        ),
        (["--teacher_checkpoint", "gone.pth"], "--teacher_checkpoint (distillation.teacher_checkpoint): no such file"),
        (
            ["--soft_labels", "labels", "--cache_views", "0"],
            "--cache_views (data.cache_views): input should be greater",
        ),
        (
            ["--confidence_threshold", "1.5"],
            "--confidence_threshold (distillation.confidence_threshold): input should be",
        ),
    ],
)
def test_mistakes_are_one_line(
    asked: list[tuple[ExperimentConfig, Path]],
    flags: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["soft-labels", *STUDENT, *flags, "--output_dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not asked


def test_a_teacher_is_found_whatever_the_views(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The number of views is the student's, and does not make its teacher another run."""
    messages = []
    for views in ("4", "5"):
        flags = ["--soft_labels", "labels", "--cache_views", views, "--output_dir", str(tmp_path)]
        assert main(["soft-labels", *STUDENT, *flags]) == 2
        messages.append(capsys.readouterr().err)
    assert messages[0] == messages[1]
    assert f"no finished run of it is at {tmp_path / 'quickstart_teacher_b3'}/" in messages[0]


def test_without_any_teacher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--soft_labels", "labels", "--cache_views", "2", "--output_dir", str(tmp_path)]
    assert main(["soft-labels", "--config", "quickstart_student_b0", *flags]) == 2
    assert (
        capsys.readouterr().err
        == "error: quickstart_student_b0: no teacher; give --teacher_checkpoint PATH, or answers --from PATH\n"
    )
