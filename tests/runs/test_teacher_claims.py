"""What a user says of the teacher against its checkpoint."""

from pathlib import Path

import pytest

from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.overrides import collect, resolve
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.teacher_claims import check_teacher_claims

STUDENT = "rgb_hierarchical_unet_v2_student_b0"
TEACHER = get_config("quickstart_teacher_b3")


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A checkpoint of :data:`TEACHER` outside any run folder."""
    path = tmp_path / "teacher.pth"
    save_checkpoint(path, Checkpoint(TEACHER, {}, 3, {}, "data"))
    return path


def check(teacher: Path | None, *claims: str, planned: ExperimentConfig | None = None) -> None:
    named = f"distillation.teacher_checkpoint={teacher}" if teacher else "distillation.teacher_config=some"
    overrides = collect(sets=[named, *(f"distillation.{claim}" for claim in claims)])
    check_teacher_claims(resolve(STUDENT, overrides)[0], overrides, planned=planned)


@pytest.mark.parametrize("architecture", ["hierarchical", "Hierarchical-UNet", "unet", TEACHER.name, "null"])
def test_what_is_true_passes(teacher: Path, architecture: str) -> None:
    claims = ("teacher_encoder=timm-efficientnet-b3", f"teacher_architecture={architecture}")
    check(teacher, *claims)
    check(None, *claims, planned=TEACHER)
    check(None)


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (
            "teacher_encoder=timm-efficientnet-b7",
            r"--set: distillation\.teacher_encoder: '\S+-b7', and the teacher .* has",
        ),
        ("teacher_architecture=plain", r"distillation\.teacher_architecture: 'plain', and .* has 'hierarchical'"),
        ("teacher_architecture=deeplab", r"'deeplab', and the teacher .* has 'hierarchical'"),
    ],
)
def test_a_contradiction_is_an_error(teacher: Path, claim: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check(teacher, claim)
    with pytest.raises(ConfigError, match=words):
        check(None, claim, planned=TEACHER)


def test_a_teacher_that_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        check(tmp_path / "gone.pth", "teacher_encoder=resnet18")
    overrides = collect(
        sets=["distillation.soft_labels=a", "data.cache_views=2", "distillation.teacher_encoder=resnet18"]
    )
    with pytest.raises(ConfigError, match="teacher_encoder: soft labels are no network to compare with"):
        check_teacher_claims(resolve(STUDENT, overrides)[0], overrides)
