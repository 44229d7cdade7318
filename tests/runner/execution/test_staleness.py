"""What was made from a checkpoint that is no longer there is not used."""

from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_runs import sha256_of, write_weights

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.runner.execution.one_run import take_run
from human_edge_detection.runner.execution.plan import plan
from human_edge_detection.runner.execution.request import BatchRequest
from human_edge_detection.runner.execution.staleness import check_teachers, stale_teacher
from human_edge_detection.runs.artifacts import checkpoint_sha256
from human_edge_detection.runs.lookup.reservation import reserve
from human_edge_detection.runs.paths import RunPaths

WriteRun = Callable[..., RunPaths]
TEACHER, STUDENT, DISTILLED = expand(["quickstart"])[:3]


def distilled_runs(tmp_path: Path, write_run: WriteRun, taught_by: str | None, now: str | None, state: str) -> None:
    """A student that ``taught_by`` has taught, beside the teacher that is there ``now``; its folder as it is."""
    teacher = write_run(tmp_path / TEACHER, get_config(TEACHER), state=state)
    if now is not None:
        write_weights(teacher.best, now)
    config = apply(get_config(DISTILLED), collect(flags={"--teacher_checkpoint": str(teacher.best)}))
    sha256 = None if taught_by is None else sha256_of(taught_by)
    write_run(tmp_path / DISTILLED, config, teacher_checkpoint=str(teacher.best), teacher_sha256=sha256)
    check_teachers(plan(BatchRequest(names=(TEACHER, DISTILLED), output_dir=tmp_path, as_it_is=True)))


def test_a_finished_student_whose_teacher_was_trained_anew_is_refused_with_what_to_do(
    tmp_path: Path, write_run: WriteRun
) -> None:
    then, now = sha256_of("old")[:12], sha256_of("new")[:12]
    with pytest.raises(ConfigError, match=f"sha256 {then} then, {now} now.*--restart --configs {DISTILLED}"):
        distilled_runs(tmp_path, write_run, "old", "new", "finished")


@pytest.mark.parametrize(
    ("taught_by", "now", "state"),
    [("same", "same", "finished"), (None, "new", "finished"), ("old", None, "finished"), ("old", "new", "interrupted")],
)
def test_others_are_used(
    tmp_path: Path, write_run: WriteRun, taught_by: str | None, now: str | None, state: str
) -> None:
    distilled_runs(tmp_path, write_run, taught_by, now, state)


def test_a_student_of_a_teacher_that_was_trained_anew_is_another_run(tmp_path: Path, write_run: WriteRun) -> None:
    teacher = write_run(tmp_path / TEACHER, get_config(TEACHER))
    request = BatchRequest(names=(DISTILLED,), output_dir=tmp_path)
    (run,) = plan(request)
    reserve(run.paths, run.full_config, run.contents)
    assert [run.name for run in plan(request)] == [DISTILLED]
    teacher.best.write_text("other weights")
    (other,) = plan(request)
    assert other.name.startswith(f"{DISTILLED}+")
    assert "distillation.teacher_checkpoint" in other.notes[-1]


@pytest.mark.parametrize(("then", "stale"), [("first+second", False), ("first+other", True), ("other+second", True)])
def test_each_of_several_teachers_counts(tmp_path: Path, write_run: WriteRun, then: str, stale: bool) -> None:
    teachers = [tmp_path / f"{name}.pth" for name in ("first", "second")]
    for teacher in teachers:
        write_weights(teacher, teacher.stem)
    overrides = collect(
        sets=[f"distillation.more_teacher_checkpoints=['{teachers[1]}']"],
        flags={"--teacher_checkpoint": str(teachers[0])},
    )
    request = BatchRequest(names=(DISTILLED,), output_dir=tmp_path / "runs", overrides=overrides)
    (run,) = plan(request)
    reserve(run.paths, run.full_config, run.contents)
    hashes = "+".join(map(sha256_of, then.split("+")))
    write_run(run.paths.root, run.full_config, teacher_checkpoint=str(teachers[0]), teacher_sha256=hashes)
    (run,) = plan(request)
    assert (stale_teacher(run) is not None) == stale


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": 7}', "{}"])
def test_a_damaged_summary_has_no_checksum(tmp_path: Path, text: str) -> None:
    (tmp_path / "best_model.json").write_text(text)
    assert checkpoint_sha256(tmp_path / "best_model.pth") is None


def test_one_training_refuses_it_too(tmp_path: Path, write_run: WriteRun) -> None:
    teacher = write_run(tmp_path / TEACHER, get_config(TEACHER))
    write_weights(teacher.best, "new")
    config = apply(get_config(DISTILLED), collect(flags={"--teacher_checkpoint": str(teacher.best)}))
    run = write_run(tmp_path / DISTILLED, config, teacher_checkpoint=str(teacher.best), teacher_sha256=sha256_of("old"))
    with pytest.raises(ConfigError, match=f"sha256 {sha256_of('old')[:12]} then, {sha256_of('new')[:12]} now"):
        take_run(BatchRequest(names=(), output_dir=tmp_path, resume=run.root))


def test_the_summary_beside_a_replaced_teacher_is_not_believed(tmp_path: Path, write_run: WriteRun) -> None:
    teacher = write_run(tmp_path / TEACHER, get_config(TEACHER))
    write_weights(teacher.best, "old")
    teacher.best.write_text("new")
    config = apply(get_config(DISTILLED), collect(flags={"--teacher_checkpoint": str(teacher.best)}))
    old = sha256_of("old")
    write_run(tmp_path / DISTILLED, config, teacher_checkpoint=str(teacher.best), teacher_sha256=old)
    with pytest.raises(ConfigError, match=f"sha256 {old[:12]} then, {sha256_of('new')[:12]} now"):
        check_teachers(plan(BatchRequest(names=(DISTILLED,), output_dir=tmp_path, as_it_is=True)))
