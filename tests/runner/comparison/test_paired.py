"""Methods against a control, from made-up run folders."""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_runs import WEIGHTS, made_up_counts, sha256_of, write_counted_run, write_weights

from human_edge_detection.errors import CheckpointError, ConfigError
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import expand, get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.lock import hold
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.metrics.scores import METRICS, mean_iou
from human_edge_detection.runner.comparison import paired
from human_edge_detection.runner.comparison.caveats import notes_on
from human_edge_detection.runner.comparison.paired import Comparison, Difference, Line, compare_methods, verdict
from human_edge_detection.runner.comparison.runs_by_seed import Method, find_method, report_folder
from human_edge_detection.runner.comparison.significance import Interval, resample_sums
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.per_image import PerImage

WriteRun = Callable[..., RunPaths]
AddRun = Callable[..., RunPaths]
TEACHER, STUDENT, DISTILLED = expand(["quickstart"])[:3]


@pytest.fixture
def output_dir(tmp_path: Path) -> Path:
    return tmp_path / "experiments"


@pytest.fixture
def add(output_dir: Path, write_run: WriteRun) -> AddRun:
    """``add(name, counts, seed=0, sets=[...], **result)``: a finished student below the output folder."""

    def add_run(name: str, counts: PerImage, *, seed: int = 0, sets: tuple[str, ...] = (), **result: Any) -> RunPaths:
        config = apply(get_config(STUDENT), collect(sets=[f"training.seed={seed}", *sets]))
        return write_counted_run(write_run, output_dir / name, config, counts, **result)

    return add_run


def compared(output_dir: Path, *names: str, against: str | None = None) -> Comparison:
    methods = [find_method(name, output_dir) for name in names]
    control = find_method(against, output_dir) if against else None
    return compare_methods(methods, control, notes_on(methods, control), resamples=500)


def deviations(comparison: Comparison) -> list[str]:
    return [str(note) for note in comparison.notes if note.deviation]


def line_of(comparison: Comparison, metric: str = "miou", part: str = "all", method: str | None = None) -> Line:
    found = [line for line in comparison.lines if (line.metric, line.slice) == (metric, part)]
    return next(line for line in found if method in (None, line.method))


def difference_of(comparison: Comparison, metric: str = "miou", part: str = "all") -> Difference:
    found = line_of(comparison, metric, part).difference
    assert found is not None
    return found


def test_a_better_method_is_called_better_and_the_other_way_round_worse(output_dir: Path, add: AddRun) -> None:
    add("control", made_up_counts(skill=0.80, seed=1))
    add("better", made_up_counts(skill=0.84, seed=2))
    ahead = difference_of(compared(output_dir, "better", against="control"))
    behind = difference_of(compared(output_dir, "control", against="better"))
    assert ahead.verdict == "better"
    assert ahead.low is not None
    assert 0.0 < ahead.low < ahead.mean
    assert (ahead.wins > 4 * ahead.losses, ahead.sign_p < 0.001) == (True, True)
    assert behind.verdict == "worse"
    assert (behind.mean, behind.wins, behind.losses) == (-ahead.mean, ahead.losses, ahead.wins)
    assert (behind.low, behind.high) == pytest.approx((-ahead.high if ahead.high else 0.0, -ahead.low))


def test_equal_runs_differ_by_nothing_and_nothing_is_shown(output_dir: Path, add: AddRun) -> None:
    for seed in (0, 1):
        add(f"one/seed_{seed}", made_up_counts(seed=seed), seed=seed)
        add(f"other/seed_{seed}", made_up_counts(seed=seed), seed=seed)
    comparison = compared(output_dir, "one", against="other")
    assert len(comparison.lines) > 40
    for line in comparison.lines:
        found = line.difference
        assert found is not None
        assert (found.mean, found.low, found.high, found.wins, found.losses, found.sign_p) == (0, 0, 0, 0, 0, 1.0)
        assert found.verdict.startswith("not shown (")
    assert difference_of(comparison).verdict == "not shown (interval contains 0)"


def test_a_difference_within_chance_is_not_shown(output_dir: Path, add: AddRun) -> None:
    add("control", made_up_counts(skill=0.800, noise=0.08, seed=1))
    add("same", made_up_counts(skill=0.801, noise=0.08, seed=2))
    found = difference_of(compared(output_dir, "same", against="control"))
    assert found.mean != 0.0
    assert found.verdict == "not shown (interval contains 0)"


def test_scores_are_of_all_pixels_and_not_averages_of_images(output_dir: Path, add: AddRun) -> None:
    """One person fills an image, the others are hard to see: what an average over images would get wrong."""
    counts = made_up_counts(images=40)
    large = [tuple(100 * count for count in row) for row in counts.rois.confusion[:1]]
    small = [(900, 10, 10, 30, 30, 10, 5, 5, 5) for _ in counts.rois.confusion[1:]]
    confusion = (*large, *small)
    uneven = counts.model_copy(update={"rois": counts.rois.model_copy(update={"confusion": confusion})})
    add("run", uneven)
    comparison = compared(output_dir, "run")
    pooled = float(mean_iou(np.array(confusion).sum(0).reshape(3, 3)))
    averaged = float(np.mean([mean_iou(np.array(row).reshape(3, 3)) for row in confusion]))
    assert line_of(comparison).score.mean == pytest.approx(pooled, abs=1e-12)
    assert abs(pooled - averaged) > 0.05


def test_an_unpaired_comparison_would_not_have_found_it(
    output_dir: Path, add: AddRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That images are paired can be seen: with other images for each run the difference is lost."""
    add("control", made_up_counts(skill=0.80, seed=1))
    add("better", made_up_counts(skill=0.81, seed=2))
    together = difference_of(compared(output_dir, "better", against="control"))

    def apart(columns: Any, groups: Any, **options: int) -> Any:
        order = np.random.default_rng(0).permutation(len(columns))
        first = resample_sums(columns, groups, **options)
        second = resample_sums(columns[order], groups[order], **options)
        half = columns.shape[1] // 2
        return np.concatenate([first[..., :half], second[..., half:]], axis=-1)

    monkeypatch.setattr(paired, "resample_sums", apart)
    alone = difference_of(compared(output_dir, "better", against="control"))
    assert together.verdict == "better"
    assert alone.verdict == "not shown (interval contains 0)"
    assert together.mean == alone.mean


def shuffled(counts: PerImage) -> PerImage:
    """The same with images and rois in another order."""
    rng = np.random.default_rng(3)

    def in_order(table: Any, order: Any) -> Any:
        return table.model_copy(update={name: tuple(column[i] for i in order) for name, column in dict(table).items()})

    return counts.model_copy(
        update={
            "images": in_order(counts.images, rng.permutation(len(counts.images.id))),
            "rois": in_order(counts.rois, rng.permutation(len(counts.rois.image))),
        }
    )


def test_the_order_of_images_changes_nothing(output_dir: Path, add: AddRun) -> None:
    for name, counts in (("control", made_up_counts(seed=1)), ("run", made_up_counts(skill=0.81, seed=2))):
        add(name, counts)
        add(f"{name}_shuffled", shuffled(counts))
    before = compared(output_dir, "run", against="control").lines
    after = compared(output_dir, "run_shuffled", against="control_shuffled").lines
    for a, b in zip(before, after, strict=True):
        assert a.difference is not None
        assert b.difference is not None
        assert (b.slice, b.metric, b.difference.verdict) == (a.slice, a.metric, a.difference.verdict)
        numbers = [(x.mean, x.low, x.high, x.wins, x.images) for x in (a.difference, b.difference)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1e-12)


def test_slices_are_made_of_their_persons_and_images(output_dir: Path, add: AddRun) -> None:
    counts = made_up_counts()
    add("run", counts)
    comparison = compared(output_dir, "run")
    rois, persons = counts.rois, dict(zip(counts.images.id, counts.images.persons, strict=True))
    chosen = {
        "small": [size == "small" for size in rois.size],
        "large": [size == "large" for size in rois.size],
        "1 person": [persons[image] == 1 for image in rois.image],
        "2-3 persons": [persons[image] in (2, 3) for image in rois.image],
        "4+ persons": [persons[image] >= 4 for image in rois.image],
    }
    for part, mask in chosen.items():
        kept = [iou for iou, keep in zip(rois.target_iou, mask, strict=True) if keep and iou is not None]
        assert line_of(comparison, "target_iou_per_roi", part).score.mean == pytest.approx(np.mean(kept))
        confusion = np.array(rois.confusion)[mask].sum(0).reshape(3, 3)
        assert line_of(comparison, "miou", part).score.mean == pytest.approx(float(mean_iou(confusion)))
    assert {line.metric for line in comparison.lines if line.slice == "all"} == set(METRICS)
    assert not [line for line in comparison.lines if line.slice == "small" and "full_image" in line.metric]
    two = np.array([row for row, n in zip(counts.images.confusion, persons.values(), strict=True) if n in (2, 3)])
    assert line_of(comparison, "full_image_iou", "2-3 persons").score.mean == pytest.approx(
        two.sum(0)[3] / two.sum(0)[1:].sum()
    )


def test_a_slice_that_nobody_is_in_has_no_line_and_one_with_few_shows_nothing(output_dir: Path, add: AddRun) -> None:
    for name, skill in (("control", 0.6), ("run", 0.9)):
        add(name, made_up_counts(images=12, skill=skill))
    comparison = compared(output_dir, "run", against="control")
    assert difference_of(comparison).verdict == "not shown (11 images are too few)"
    counts = made_up_counts()
    no_large = counts.rois.model_copy(update={"size": tuple("small" for _ in counts.rois.size)})
    add("small_only", counts.model_copy(update={"rois": no_large}))
    assert {line.slice for line in compared(output_dir, "small_only").lines} & {"medium", "large"} == set()
    few = counts.images.model_copy(update={"persons": tuple(min(count, 3) for count in counts.images.persons)})
    for name in ("few", "as_few"):
        add(name, counts.model_copy(update={"images": few}))
    assert "4+ persons" not in {line.slice for line in compared(output_dir, "few", against="as_few").lines}


def test_spread_over_seeds(output_dir: Path, add: AddRun) -> None:
    skills = (0.78, 0.80, 0.85)
    for seed, skill in enumerate(skills):
        add(f"run/seed_{seed}", made_up_counts(skill=skill, seed=seed), seed=seed)
    single = [line_of(compared(output_dir, f"run/seed_{seed}")).score.mean for seed in range(3)]
    score = line_of(compared(output_dir, "run")).score
    assert score.mean == pytest.approx(np.mean(single))
    assert score.sd == pytest.approx(np.std(single, ddof=1))
    assert (score.min, score.max) == pytest.approx((min(single), max(single)))
    assert line_of(compared(output_dir, "run/seed_0")).score.sd is None


def test_seeds_that_disagree_widen_the_interval(output_dir: Path, add: AddRun) -> None:
    for seed in range(3):
        add(f"control/seed_{seed}", made_up_counts(skill=0.80, seed=seed), seed=seed)
        add(f"steady/seed_{seed}", made_up_counts(skill=0.83, seed=seed + 10), seed=seed)
        add(f"moody/seed_{seed}", made_up_counts(skill=0.83 + 0.05 * (seed - 1), seed=seed + 10), seed=seed)
    steady = difference_of(compared(output_dir, "steady", against="control"))
    moody = difference_of(compared(output_dir, "moody", against="control"))
    assert steady.verdict == "better"
    assert moody.verdict == "not shown (interval contains 0)"
    assert steady.mean == pytest.approx(moody.mean, abs=0.01)


def test_only_seeds_that_both_have_are_compared_and_that_is_said(output_dir: Path, add: AddRun) -> None:
    for seed in (0, 1, 2):
        add(f"run/seed_{seed}", made_up_counts(skill=0.82, seed=seed), seed=seed)
    for seed in (1, 2, 5):
        add(f"control/seed_{seed}", made_up_counts(seed=seed + 10), seed=seed)
    comparison = compared(output_dir, "run", against="control")
    assert [effort.seeds for effort in comparison.efforts] == [(1, 2), (1, 2)]
    pairs = [compared(output_dir, f"run/seed_{seed}", against=f"control/seed_{seed}") for seed in (1, 2)]
    assert difference_of(comparison).mean == pytest.approx(np.mean([difference_of(pair).mean for pair in pairs]))
    notes = comparison.to_json()["notes"]
    assert "seeds [0] of run have no partner in control and are left out" in notes
    assert "seeds [5] of control have no partner in run and are left out" in notes
    assert any("two seeds tell little" in note for note in notes)
    assert any("one seed, so the intervals cover the choice of images only" in note.text for note in pairs[0].notes)


def test_a_run_is_not_compared_with_itself(output_dir: Path, add: AddRun) -> None:
    for seed in (0, 1):
        add(f"run/seed_{seed}", made_up_counts(seed=seed), seed=seed)
    add("control", made_up_counts(seed=2))
    for names, against in ((["run"], "run"), (["run"], str(output_dir / "run")), (["control", "run"], "run/seed_1")):
        with pytest.raises(ConfigError, match=r"run/seed_[01]: would be compared with itself; leave it out of RUN, or"):
            compared(output_dir, *names, against=against)
    assert compared(output_dir, "run", "control").control is None


def test_share_of_the_teacher_is_taken_from_its_own_run(output_dir: Path, add: AddRun, write_run: WriteRun) -> None:
    teacher = add("teacher", made_up_counts(skill=0.9), metrics={"miou": 0.8, "iou_target": 0.7})
    taught = {"teacher_checkpoint": str(teacher.best), "teacher_sha256": sha256_of(WEIGHTS), "teacher_miou": 0.5}
    config = apply(get_config(DISTILLED), collect(flags={"--teacher_checkpoint": str(teacher.best)}))
    write_counted_run(write_run, output_dir / "run", config, made_up_counts(seed=1), **taught)
    several = apply(config, collect(sets=["distillation.more_teacher_checkpoints=[other.pth]"]))
    write_counted_run(write_run, output_dir / "taught_by_two", several, made_up_counts(seed=1), **taught)
    add("control", made_up_counts(skill=0.7, seed=2))
    line = line_of(compared(output_dir, "run", against="control"))
    assert line.teacher_share == pytest.approx(line.score.mean / 0.8)
    assert line.difference is not None
    assert line.difference.control_teacher_share == pytest.approx(line.difference.control.mean / 0.8)
    assert line_of(compared(output_dir, "run"), "iou_target").teacher_share is not None
    assert line_of(compared(output_dir, "run"), part="small").teacher_share is None
    write_weights(teacher.best, "another training")
    for measured in ("run", "taught_by_two"):
        line = line_of(compared(output_dir, measured))
        assert line.teacher_share == pytest.approx(line.score.mean / 0.5)
        assert line_of(compared(output_dir, measured), "iou_target").teacher_share is None
        write_weights(teacher.best, WEIGHTS)


def test_time_and_what_is_reached_in_the_controls_time(output_dir: Path, add: AddRun) -> None:
    add("control", made_up_counts(), seconds=100.0, images=960)
    add("slow", made_up_counts(), seconds=160.0, images=960)
    slow, control = compared(output_dir, "slow", against="control").efforts
    assert (slow.seconds, slow.images, slow.times_control) == (160.0, 960, 1.6)
    assert slow.score_at_control_time == pytest.approx(0.2)  # two of four epochs, at 0.1 each
    assert (control.method, control.seconds, control.times_control) == ("control", 100.0, None)
    quick, _ = compared(output_dir, "control", against="slow").efforts
    assert quick.score_at_control_time == pytest.approx(0.4)


DEVIATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "epochs": ({"sets": ("training.epochs=3",)}, "differ in more than distillation: training.epochs 6 / 3"),
    "image size": ({"sets": ("model.image_size=[64,64]",)}, "differ in more than distillation: model.image_size"),
    "training data": ({"training_fingerprint": "other"}, "did not see the same data: training annotations training /"),
    "images seen": ({"images": 480}, "did not see the same data: training images seen 960 / 480"),
}


@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_a_control_of_another_kind_is_said_loudly(deviation: str, output_dir: Path, add: AddRun) -> None:
    changes, message = DEVIATIONS[deviation]
    add("control", made_up_counts())
    add("run", made_up_counts(), **changes)
    (note,) = deviations(compared(output_dir, "run", against="control"))
    assert f"DEVIATION: control and run {message}" in note


def test_other_images_are_said_and_other_validation_images_refused(output_dir: Path, add: AddRun) -> None:
    add("control", made_up_counts(), training_images="these", validation_images="these")
    add("unknown", made_up_counts())
    add("run", made_up_counts(), training_images="others", validation_images="these")
    assert not deviations(compared(output_dir, "unknown", against="control"))
    (note,) = deviations(compared(output_dir, "run", against="control"))
    assert "control and run did not see the same data: training images these / others" in note
    add("elsewhere", made_up_counts(), training_images="these", validation_images="others")
    with pytest.raises(
        ConfigError, match=r"validated on different data \(validation images: fingerprints data\+others and data\+these"
    ):
        compared(output_dir, "elsewhere", against="control")


def test_two_methods_of_different_teachers_are_said(output_dir: Path, add: AddRun, write_run: WriteRun) -> None:
    teacher = add("teacher", made_up_counts())
    config = apply(get_config(DISTILLED), collect(flags={"--teacher_checkpoint": str(teacher.best)}))
    for name, weights in (("one", WEIGHTS), ("other", "another training")):
        taught = {"teacher_checkpoint": str(teacher.best), "teacher_sha256": sha256_of(weights), "teacher_miou": 0.5}
        write_counted_run(write_run, output_dir / name, config, made_up_counts(), **taught)
    comparison = compared(output_dir, "one", "other", against="teacher")
    assert not deviations(compared(output_dir, "one", against="teacher"))
    anew = "other: share of its teacher: mIoU only, as measured before it taught (its teacher was trained anew since)"
    assert anew in [str(note) for note in comparison.notes]
    (note,) = deviations(compared(output_dir, "other", against="one"))
    assert "one and other were taught by different teachers: teacher" in note


def test_distillation_is_no_deviation_and_another_device_is_one(
    output_dir: Path, add: AddRun, write_run: WriteRun
) -> None:
    control = add("control", made_up_counts())
    config = apply(get_config(DISTILLED), collect(flags={"--teacher_checkpoint": str(control.best)}))
    run = write_counted_run(write_run, output_dir / "run", config, made_up_counts())
    assert not deviations(compared(output_dir, "run", against="control"))
    for paths, device in ((control, "cpu"), (run, "cuda")):
        write_json(paths.provenance, {"device": device, "precision": "bf16", "command": ["train", device]})
    (note,) = deviations(compared(output_dir, "run", against="control"))
    assert note == "DEVIATION: control and run were trained in different surroundings: device cpu / cuda"


def test_runs_are_found_by_name_by_folder_and_by_seeds(
    output_dir: Path, add: AddRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (10, 2):
        add(f"many/seed_{seed}", made_up_counts(), seed=seed)
    add("one", made_up_counts())
    assert list(find_method("many", output_dir).runs) == [2, 10]
    assert find_method("many/seed_10", output_dir).name == "many/seed_10"
    assert find_method(str(output_dir / "many"), output_dir).name == "many"
    monkeypatch.chdir(output_dir.parent)
    elsewhere = find_method("experiments/one/", Path("nowhere"))
    assert (elsewhere.name, list(elsewhere.runs)) == ("experiments/one", [0])
    for name in ("many", "one"):
        assert report_folder(find_method(name, output_dir)) == output_dir.parent / "experiment_comparison"


def damage(run: RunPaths) -> None:
    run.per_image.write_text(run.per_image.read_text().replace('"image":[', '"image":[-1,', 1))


def other_data(run: RunPaths) -> None:
    counts = PerImage.model_validate_json(run.per_image.read_bytes())
    other = counts.model_copy(update={"data_fingerprint": "other"})
    write_atomically(run.per_image, other.model_dump_json().encode())


BAD: dict[str, tuple[Callable[[RunPaths], object], str]] = {
    "no counts": (
        lambda run: run.per_image.unlink(),
        "per_image.json: missing, the run is of an older version; delete",
    ),
    "another checkpoint": (
        lambda run: write_weights(run.best, "other"),
        "stale, made from another",
    ),
    "no summary": (lambda run: run.best.with_suffix(".json").unlink(), "stale, made from another checkpoint than"),
    "other data": (other_data, "stale, made from other data"),
    "damaged counts": (
        damage,
        "not what this tool writes there .*; delete .*result.json and give the training command again",
    ),
    "not JSON": (lambda run: run.per_image.write_text("{"), "not what this tool writes there"),
    "damaged weights": (lambda run: run.best.write_bytes(b"garbage"), "best_model.pth is damaged"),
    "no config": (lambda run: run.config.unlink(), "config.json: missing"),
    "no result": (lambda run: run.result.unlink(), "is damaged .says finished, but result.json is missing"),
    "no status": (lambda run: run.status.unlink(), "is unknown, and only finished runs"),
    "damaged result": (lambda run: run.result.write_text("{}"), "is unreadable .*result.json: not what"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_run_that_cannot_be_compared_is_refused(bad: str, output_dir: Path, add: AddRun) -> None:
    break_it, message = BAD[bad]
    break_it(add("run", made_up_counts()))
    with pytest.raises(ConfigError, match=message):
        find_method("run", output_dir)


def test_the_way_out_names_the_command(output_dir: Path, add: AddRun) -> None:
    run = add("run", made_up_counts())
    run.per_image.unlink()
    write_json(run.provenance, {"command": ["hed", "train", "--data_root", "my images"]})
    with pytest.raises(ConfigError, match=r"again \(hed train --data_root 'my images'\): it validates once"):
        find_method("run", output_dir)


@pytest.mark.parametrize("state", ["running", "failed", "interrupted"])
def test_unfinished_runs_are_refused(state: str, output_dir: Path, add: AddRun, write_run: WriteRun) -> None:
    add("many/seed_0", made_up_counts())
    run = write_run(output_dir / "many" / "seed_1", get_config(STUDENT), state=state)
    refused = pytest.raises(ConfigError, match=rf"seed_1: is {state}.*only finished runs can be compared")
    with hold(run.lock, "the run", advice="wait") if state == "running" else nullcontext(), refused:
        find_method("many", output_dir)


def test_names_that_mean_nothing(output_dir: Path, add: AddRun) -> None:
    add("student/seed_0", made_up_counts())
    (output_dir / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no run 'studnt' \(did you mean 'student'\?\)"):
        find_method("studnt", output_dir)
    with pytest.raises(ConfigError, match="empty: holds no run"):
        find_method("empty", output_dir)
    add("student/seed_1", made_up_counts(), seed=0)
    with pytest.raises(ConfigError, match="both have seed 0"):
        find_method("student", output_dir)


def test_no_seed_in_common(output_dir: Path, add: AddRun) -> None:
    add("run", made_up_counts(), seed=1)
    add("control", made_up_counts(), seed=2)
    with pytest.raises(ConfigError, match=r"run has seeds \[1\] and control \[2\]: none in common"):
        compared(output_dir, "run", against="control")


def test_other_validation_data(output_dir: Path, add: AddRun) -> None:
    add("control", made_up_counts())
    add("other", made_up_counts().model_copy(update={"data_fingerprint": "abcdef0123456789"}))
    add("fewer", made_up_counts(images=59))
    for name in ("other", "fewer"):
        with pytest.raises(ConfigError, match="were validated on different data"):
            compared(output_dir, name, against="control")


def test_damaged_curves(output_dir: Path, add: AddRun) -> None:
    add("control", made_up_counts())
    add("run", made_up_counts()).metrics.write_text('{"epoch": 1}\n[]\n')
    with pytest.raises(CheckpointError, match=r"metrics.jsonl: expected a JSON object of numbers a line"):
        compared(output_dir, "run", against="control")


def test_verdicts() -> None:
    assert verdict(Interval(0.01, 0.02), 100) == "better"
    assert verdict(Interval(-0.02, -0.01), 100) == "worse"
    for low, high in ((-0.01, 0.02), (0.0, 0.02), (-0.02, 0.0), (0.0, 0.0)):
        assert verdict(Interval(low, high), 100) == "not shown (interval contains 0)"
    assert verdict(Interval(0.01, 0.02), 19) == "not shown (19 images are too few)"


def test_what_is_reported_is_plain_data(output_dir: Path, add: AddRun) -> None:
    add("control", made_up_counts())
    add("run", made_up_counts(seed=3))
    content = json.dumps(compared(output_dir, "run", against="control").to_json(), allow_nan=False)
    assert json.loads(content)["lines"][0]["difference"]["verdict"].startswith("not shown")


@pytest.mark.slow
def test_5000_images_and_3_seeds_take_no_minutes(output_dir: Path, add: AddRun, tiny_config: ExperimentConfig) -> None:
    add("run", made_up_counts(images=100))
    one = find_method("run", output_dir).runs[0]

    def method(name: str) -> Method:
        runs = {}
        for seed in range(3):
            counts = made_up_counts(images=5000, skill=0.8 + 0.02 * (name == "b"), seed=seed)
            runs[seed] = replace(one, name=name, paths=RunPaths(output_dir / name / str(seed)), counts=counts)
        return Method(name, runs)

    methods = [method("a"), method("b")]
    started = time.process_time()
    comparison = compare_methods([methods[1]], methods[0], [])
    assert time.process_time() - started < 60.0, "a second where all is done for many images at once"
    assert comparison.resamples >= 2000
    assert difference_of(comparison).verdict == "better"
