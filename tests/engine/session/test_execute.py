import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.engine.session.execute import _warn_of_nobody
from human_edge_detection.errors import CheckpointError, ConfigError, DataError, HumanEdgeDetectionError, TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult, RunStatus, read_section

Train = Callable[..., RunResult]


@pytest.fixture(scope="module")
def distilled(distilled_config: ExperimentConfig, train: Train, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A finished distilled run, with pictures. Read it, do not change it."""
    paths = RunPaths(tmp_path_factory.mktemp("distilled") / "tiny_distilled")
    train(derive(distilled_config, name="tiny_distilled", training={"visualize_images": 1}), paths)
    return paths


def test_the_result_says_what_was_trained(
    distilled: RunPaths, distilled_config: ExperimentConfig, trained_teacher: RunPaths
) -> None:
    result = read_section(RunResult, distilled.result)
    teacher = read_section(RunResult, trained_teacher.result)
    assert result is not None
    assert teacher is not None
    best, _ = read_checkpoint(distilled.best)
    assert (result.experiment, result.run_name, result.seed, result.encoder) == (
        "tiny_distilled",
        "tiny_distilled",
        0,
        "mobilenet_v2",
    )
    assert result.teacher_checkpoint == str(trained_teacher.best)
    assert result.teacher_sha256 == read_checkpoint(trained_teacher.best)[1]
    assert (result.teacher_experiment, result.teacher_encoder) == ("tiny_teacher", "resnet18")
    assert result.teacher_parameters == teacher.total_parameters
    assert result.teacher_miou == pytest.approx(teacher.metrics["miou"], abs=1e-3)
    assert (result.temperature, result.alpha) == (4.0, 0.7)
    assert result.unet_parameters < result.total_parameters < teacher.total_parameters
    assert (result.best_epoch, result.metrics) == (best.epoch, best.metrics)
    assert result.data_fingerprint == best.data_fingerprint == teacher.data_fingerprint
    assert (result.epochs, result.early_stopped, result.best_checkpoint) == (2, False, "checkpoints/best_model.pth")
    assert result.seconds > 0.0
    assert result.images_per_second == pytest.approx(16 / result.seconds)
    assert (teacher.teacher_checkpoint, teacher.teacher_miou, teacher.temperature) == (None, None, None)


def test_the_folder_is_whole(distilled: RunPaths) -> None:
    config = json.loads(distilled.config.read_text())
    assert (config["name"], config["schema_version"]) == ("tiny_distilled", 1)
    provenance = json.loads(distilled.provenance.read_text())
    assert provenance["command"] == ["test"]
    assert torch.__version__.startswith(provenance["versions"]["torch"])
    status = read_section(RunStatus, distilled.status)
    assert status is not None
    assert (status.state, status.epoch, status.epochs, status.step, status.error) == ("finished", 2, 2, 8, None)
    assert sorted(path.name for path in distilled.checkpoints.glob("*.pth")) == [
        "best_model.pth",
        "checkpoint_epoch_0001.pth",
        "checkpoint_epoch_0002.pth",
        "latest.pth",
        "untrained_model.pth",
    ]
    assert all(path.with_suffix(".json").exists() for path in distilled.checkpoints.glob("*.pth"))
    assert distilled.training_log.exists()
    for epoch in (1, 2):
        (picture,) = distilled.visualizations(epoch).glob("*.png")
        assert cv2.imread(str(picture)) is not None


def test_every_epoch_is_recorded_with_every_term(distilled: RunPaths) -> None:
    first, second = (json.loads(line) for line in distilled.metrics.read_text().splitlines())
    assert (first["epoch"], first["step"], second["epoch"], second["step"]) == (1, 4, 2, 8)
    assert (first["temperature"], first["alpha"]) == (4.0, 0.7)
    heads = ("main", "bg_fg", "target_nontarget")
    terms = [f"{head}/{kind}" for head in heads for kind in ("ce", "dice")] + ["full_image/bce", "full_image/dice"]
    terms += [f"distill/{head}" for head in (*heads, "full_image")]
    for name in (*terms, "total", "gradient_norm", "learning_rate"):
        assert first[f"train/{name}"] > 0.0
    assert sum(first[f"train/gradient_share/{name}"] for name in terms) == pytest.approx(1.0)
    assert {"val/miou", "val/boundary_f1", "val/full_image_iou"} <= first.keys()


def test_hard_and_soft_add_up_to_the_loss_wherever_it_is_told(distilled: RunPaths, trained_teacher: RunPaths) -> None:
    *_, last = (json.loads(line) for line in distilled.metrics.read_text().splitlines())
    hard, soft = last["train/hard"], last["train/soft"]
    assert min(hard, soft) > 0.0
    assert hard + soft == pytest.approx(last["train/total"], rel=1e-5)
    result = read_section(RunResult, distilled.result)
    assert result is not None
    assert (result.last_loss, result.last_hard_loss, result.last_soft_loss) == (last["train/total"], hard, soft)

    untaught = [json.loads(line) for line in trained_teacher.metrics.read_text().splitlines()]
    assert all(line["train/hard"] == pytest.approx(line["train/total"], rel=1e-5) for line in untaught)
    assert not any("train/soft" in line for line in untaught)
    control = read_section(RunResult, trained_teacher.result)
    assert control is not None
    assert (control.last_hard_loss, control.last_soft_loss) == (untaught[-1]["train/hard"], None)


def test_tensorboard_has_steps_and_epochs(distilled: RunPaths) -> None:
    events = EventAccumulator(str(distilled.logs))
    events.Reload()
    for name in ("total", "hard", "soft", "main/ce", "distill/main"):
        assert [event.step for event in events.Scalars(f"step/{name}")] == list(range(1, 9))
        assert [event.step for event in events.Scalars(f"train/{name}")] == [4, 8]
    assert [event.step for event in events.Scalars("val/miou")] == [4, 8]
    assert len(events.Tags()["images"]) == 1


def test_the_teacher_is_in_no_checkpoint_of_the_student(distilled: RunPaths, tiny_config: ExperimentConfig) -> None:
    best, _ = read_checkpoint(distilled.best)
    latest, _ = read_checkpoint(distilled.latest)
    untrained, _ = read_checkpoint(distilled.untrained)
    assert best.model.keys() == latest.model.keys() == untrained.model.keys()
    assert latest.training is not None
    assert set(latest.training) == {
        "student",
        "optimizer",
        "scaler",
        "progress",
        "precision",
        "teacher_sha256",
        "training_fingerprint",
        "training_images",
    }
    assert latest.training["student"] is None
    sizes = [tensor.numel() for state in latest.training["optimizer"]["state"].values() for tensor in state.values()]
    student = sum(value.numel() for name, value in best.model.items() if "running" not in name and "num_" not in name)
    assert sum(size for size in sizes if size > 1) <= 2 * student


def test_with_and_without_a_teacher_a_student_starts_from_the_same_weights(
    distilled: RunPaths, tiny_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "control")
    train(derive(tiny_config, name="control", training={"epochs": 1, "batch_size": 8}), paths)
    control, taught = (read_checkpoint(run.untrained)[0].model for run in (paths, distilled))
    assert all(torch.equal(taught[name], value) for name, value in control.items())


def test_the_same_run_twice_gives_the_same_bits_and_another_seed_does_not(
    tiny_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    models, metrics = [], []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        paths = RunPaths(tmp_path / folder)
        train(derive(tiny_config, name="again", training={"epochs": 1, "seed": seed}), paths)
        models.append(read_checkpoint(paths.latest)[0].model)
        metrics.append(paths.metrics.read_text())
    assert metrics[0] == metrics[1] != metrics[2]
    assert all(torch.equal(models[1][name], value) for name, value in models[0].items())
    assert not torch.equal(models[0]["head.correction.weight"], models[2]["head.correction.weight"])


def test_init_from_starts_a_new_run_with_these_weights(
    distilled: RunPaths, tiny_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "run")
    config = derive(
        tiny_config,
        name="again",
        model={"init_from": str(distilled.best)},
        training={"epochs": 1, "batch_size": 8},
    )
    assert train(config, paths).epochs == 1
    start, best = (read_checkpoint(path)[0].model for path in (paths.untrained, distilled.best))
    assert all(torch.equal(best[name], value) for name, value in start.items())


def changed(config: ExperimentConfig, **changes: Any) -> ExperimentConfig:
    return derive(config, name="changed", **changes)


def fails_without_a_trace(
    error: type[HumanEdgeDetectionError], words: str, train: Train, config: ExperimentConfig, root: Path, **options: Any
) -> None:
    with pytest.raises(error, match=words) as caught:
        train(config, RunPaths(root / "experiments" / "run"), **options)
    assert "\n" not in str(caught.value)
    assert not caught.value.run_failed
    assert not (root / "experiments").exists()


def test_weights_of_another_network_are_refused(
    trained_teacher: RunPaths, distilled: RunPaths, tiny_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    teacher = trained_teacher.best
    words = r"--init_from .*best_model.pth: not the weights of tiny: .*expected"
    config = derive(tiny_config, name="tiny", model={"init_from": str(teacher)})
    fails_without_a_trace(CheckpointError, words, train, config, tmp_path)
    config = changed(tiny_config, model={"pretrained_unet": str(teacher)})
    words = r"--pretrained_unet .*best_model.pth: not a U-Net with mobilenet_v2: .*expected"
    fails_without_a_trace(CheckpointError, words, train, config, tmp_path)
    words = r"latest\.pth differ: model\.contour is "
    config = changed(tiny_config, model={"head_channels": 16, "contour": {}})
    config = changed(config, distillation=read_checkpoint(distilled.best)[0].config.distillation.model_dump())  # type: ignore[union-attr]
    fails_without_a_trace(CheckpointError, words, train, config, tmp_path, resume=distilled.latest)


def test_a_pretrained_unet_is_taken_from_a_whole_model(
    distilled: RunPaths, tiny_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "run")
    config = changed(
        tiny_config,
        model={"pretrained_unet": str(distilled.best), "head_channels": 16},
        training={"epochs": 1, "batch_size": 8},
    )
    train(config, paths)
    start, best = (read_checkpoint(path)[0].model for path in (paths.untrained, distilled.best))
    assert all(torch.equal(best[name], value) for name, value in start.items() if name.startswith("unet."))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"data": {"root": None}}, ConfigError, "no data: give --data_root"),
        ({"data": {"root": "nowhere"}}, DataError, "data folder nowhere does not exist"),
        ({"training": {"precision": "fp16"}}, ConfigError, "--precision fp16"),
        ({"model": {"encoder_weights": "nowhere.pth"}}, CheckpointError, "nowhere.pth: no such file"),
        ({"model": {"pretrained_unet": "nowhere.pth"}}, CheckpointError, "nowhere.pth: No such file"),
        ({"distillation": {"teacher_config": "baseline"}}, CheckpointError, "no teacher; give --teacher_checkpoint"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_the_user_can_get_wrong_leaves_no_trace(
    changes: dict[str, Any],
    error: type[HumanEdgeDetectionError],
    words: str,
    tiny_config: ExperimentConfig,
    train: Train,
    tmp_path: Path,
) -> None:
    fails_without_a_trace(error, words, train, changed(tiny_config, **changes), tmp_path)


def test_an_unreadable_image_stops_a_run_before_it_starts(
    tiny_config: ExperimentConfig, tiny_coco: Path, train: Train, tmp_path: Path
) -> None:
    (tmp_path / "annotations").symlink_to(tiny_coco / "annotations")
    for split in ("train", "val"):
        (tmp_path / "images" / split).mkdir(parents=True)
        for image in (tiny_coco / "images" / split).iterdir():
            (tmp_path / "images" / split / image.name).write_bytes(b"not an image")
    config = changed(tiny_config, data={"root": str(tmp_path)})
    words = r"8 of 8 images cannot be used: .*png.*is not an image"
    fails_without_a_trace(DataError, words, train, config, tmp_path)


def test_a_run_whose_folder_exists_says_that_it_failed_and_why(
    tiny_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path / "run")
    paths.root.mkdir()
    with pytest.raises(DataError) as caught:
        train(changed(tiny_config, data={"root": "nowhere"}), paths)
    status = read_section(RunStatus, paths.status)
    assert status is not None
    assert (status.state, status.epochs, status.error) == ("failed", 2, str(caught.value))


def test_a_bug_of_ours_is_reported_too(
    tiny_config: ExperimentConfig, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("human_edge_detection.engine.training.trainer.evaluate", fail)
    paths = RunPaths(tmp_path / "run")
    with pytest.raises(ZeroDivisionError):
        train(changed(tiny_config, training={"batch_size": 8}), paths)
    status = read_section(RunStatus, paths.status)
    assert status is not None
    assert (status.state, status.error) == ("failed", "ZeroDivisionError: by zero")


def test_an_error_after_the_first_step_is_that_of_a_run_that_failed(
    tiny_config: ExperimentConfig, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DataError("an image has gone")

    monkeypatch.setattr("human_edge_detection.engine.training.trainer.evaluate", fail)
    with pytest.raises(DataError) as caught:
        train(changed(tiny_config, training={"batch_size": 8}), RunPaths(tmp_path / "run"))
    assert caught.value.run_failed


def test_a_run_without_augmentation_and_with_a_plain_head(
    tiny_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    config = changed(
        tiny_config, data={"augmentation": None}, model={"head": "plain"}, training={"epochs": 1, "batch_size": 8}
    )
    assert train(config, RunPaths(tmp_path / "run")).metrics["miou"] is not None


@pytest.mark.parametrize("settings", [{}, {"adaptive_alpha": {"tuning_share": 0.5}}], ids=["teacher", "held out"])
def test_every_long_phase_before_the_first_step_gives_signs_of_life(
    distilled_config: ExperimentConfig,
    settings: dict[str, Any],
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else ``--hang_minutes`` stops a run that checks many images, or measures its teacher on a slow machine."""
    paths = RunPaths(tmp_path / "run")
    paths.root.mkdir()
    monkeypatch.setattr("human_edge_detection.engine.session.status.BEAT_SECONDS", 0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))  # nobody has measured this teacher before
    beats: dict[str, list[int]] = {}

    def watch(place: str, phase: str) -> None:
        module, _, name = place.rpartition(".")
        real = getattr(import_module(module), name)

        def watched(*arguments: Any, **named: Any) -> Any:
            before = read_section(RunStatus, paths.status)
            result = real(*arguments, **named)
            after = read_section(RunStatus, paths.status)
            assert after is not None
            assert after.state == "running"
            beats.setdefault(phase, []).append(after.beats - (before.beats if before else 0))
            return result

        monkeypatch.setattr(place, watched)

    watch("human_edge_detection.engine.build.scan_images", "images")
    watch("human_edge_detection.engine.teaching.teacher.evaluate", "teacher")
    watch("human_edge_detection.engine.teaching.alpha_holdout.evaluate", "held out")
    watch("human_edge_detection.engine.session.execute.count_per_image", "per image")
    config = derive(distilled_config, name="taught", distillation=settings, training={"epochs": 1, "batch_size": 8})
    train(config, paths)
    assert beats.pop("images") == [8, 4]
    assert beats.keys() == {"teacher", "per image"} | ({"held out"} if settings else set())
    assert all(number >= 1 for numbers in beats.values() for number in numbers)


@pytest.mark.parametrize("where", ["trainer.seed_everything", "trainer.evaluate"], ids=["a step", "the validation"])
def test_a_gpu_that_is_lost_fails_the_run_in_one_line(
    where: str, tiny_config: ExperimentConfig, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with `TORCH_USE_CUDA_DSA`")

    paths = RunPaths(tmp_path / "run")
    monkeypatch.setattr(f"human_edge_detection.engine.training.{where}", lost)
    with pytest.raises(
        TrainingError, match=r"the GPU does not work.*\(CUDA error: unspecified launch failure\)"
    ) as raised:
        train(tiny_config, paths)
    assert raised.value.run_failed, "exit code 1"
    status = read_section(RunStatus, paths.status)
    assert status is not None and (status.state, status.error) == ("failed", str(raised.value))


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"iou_target": 0.0, "full_image_iou": 0.4}, "takes no pixel of a box for its person (IoU 0)"),
        ({"iou_target": None, "full_image_iou": 0.0}, "takes no pixel of an image for a person (IoU 0)"),
        ({"iou_target": 0.3, "full_image_iou": 0.4}, None),
    ],
)
def test_a_model_that_finds_nobody_is_a_warning(
    metrics: dict[str, float | None], words: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    _warn_of_nobody(cast("RunResult", SimpleNamespace(experiment="mine", metrics=metrics)))
    said = [record.getMessage() for record in caplog.records]
    assert said == [] if words is None else words in said[0]
