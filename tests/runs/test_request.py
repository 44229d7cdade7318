"""Starting, continuing and refusing: what ``hed train`` decides before it trains."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.request import ResolvedRun, RunRequest, resolve_run

WriteRun = Callable[..., RunPaths]
STUDENT, TEACHER, DISTILLED = "quickstart_student_b0", "quickstart_teacher_b3", "quickstart_distilled_b0_from_b3"


def request(output_dir: Path, name: str | None = STUDENT, flags: Mapping[str, Any] = {}, **given: Any) -> ResolvedRun:
    return resolve_run(RunRequest(output_dir, name, collect(flags=flags), **given))


def test_a_new_run(tmp_path: Path) -> None:
    new = request(tmp_path)
    assert (new.config, new.paths.root, new.resume, new.finished) == (
        get_config(STUDENT),
        tmp_path / STUDENT,
        None,
        False,
    )
    assert request(tmp_path, flags={"--epochs": 3}).paths.root != new.paths.root
    assert request(tmp_path, run_name="mine").paths.root == tmp_path / "mine"
    assert list(tmp_path.iterdir()) == []


def test_the_same_command_again_continues_or_says_finished(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / STUDENT, get_config(STUDENT), state="interrupted")
    assert not request(tmp_path).finished
    write_run(tmp_path / STUDENT, get_config(STUDENT))
    assert request(tmp_path).finished


def test_a_run_name_of_another_config_is_refused(tmp_path: Path, write_run: WriteRun) -> None:
    write_run(tmp_path / "mine", get_config(STUDENT))
    with pytest.raises(ConfigError, match=r"another config: training\.batch_size is 8 there, 4 here"):
        request(tmp_path, run_name="mine", flags={"--batch_size": 4})


@pytest.mark.parametrize("folder", [True, False])
def test_resume_continues_in_the_runs_own_folder_with_more_epochs(
    tmp_path: Path, write_run: WriteRun, folder: bool
) -> None:
    run = write_run(tmp_path / "elsewhere" / "run", get_config(STUDENT))
    given = run.root if folder else run.best
    longer = request(tmp_path, None, resume=given, flags={"--epochs": 500})
    assert longer.paths.root.resolve() == run.root.resolve()
    assert longer.config.training.epochs == 500
    assert longer.resume == (None if folder else run.best)
    assert not longer.finished
    assert request(tmp_path, STUDENT, resume=given).finished


def test_resume_with_another_config_is_refused(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run", get_config(STUDENT))
    with pytest.raises(ConfigError, match=r"model\.encoder is 'timm-efficientnet-b0' there"):
        request(tmp_path, TEACHER, resume=run.root)
    with pytest.raises(ConfigError, match=r"training\.epochs"):
        request(tmp_path, STUDENT, resume=run.root, flags={"--epochs": 1})


def test_resume_of_weights_outside_a_run_points_to_init_from(tmp_path: Path) -> None:
    weights = tmp_path / "a" / "b" / "weights.pth"
    weights.parent.mkdir(parents=True)
    weights.touch()
    with pytest.raises(ConfigError, match="use --init_from"):
        request(tmp_path, resume=weights)


def test_a_resumed_student_keeps_the_teacher_it_started_with(tmp_path: Path, write_run: WriteRun) -> None:
    teacher = write_run(tmp_path / "somewhere" / "teacher", get_config(TEACHER))
    config = apply(get_config(DISTILLED), collect(flags={"--teacher_checkpoint": str(teacher.best)}))
    run = write_run(tmp_path / DISTILLED, config, state="interrupted")
    assert request(tmp_path, DISTILLED).config == config
    assert request(tmp_path, DISTILLED, resume=run.root).config == config
