import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from made_batches import synthetic_batch
from torch import Tensor, nn

from human_edge_detection.data.dataset import collate
from human_edge_detection.data.loader import BatchLoader
from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint
from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.evaluation.evaluate import evaluate
from human_edge_detection.engine.teaching.distillation_schedule import Strength
from human_edge_detection.engine.training.progress_bar import epoch_line, shown_losses
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.errors import TrainingError
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult
from human_edge_detection.signals import Terminated
from human_edge_detection.structures import Batch, LossOutput

Train = Callable[..., RunResult]
MakeTrainer = Callable[[ExperimentConfig], Trainer]


def split(batch: Batch, size: int) -> Iterator[Batch]:
    """The same images in batches of ``size``."""
    for start in range(0, len(batch.images), size):
        mine = (batch.rois[:, 0] >= start) & (batch.rois[:, 0] < start + size)
        rois = batch.rois[mine].clone()
        rois[:, 0] -= start
        images = slice(start, start + size)
        yield Batch(
            batch.images[images], rois, batch.roi_masks[mine], batch.person_masks[images], batch.image_ids[images], ()
        )


def gradients(trainer: Trainer, group: list[Batch]) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Of one update with the BatchNorm statistics held still; they depend on how the images are split."""
    student = trainer.state.student.eval()
    student.train = lambda mode=True: student  # type: ignore[method-assign]
    values = trainer.train_step(group)
    return {name: value.grad for name, value in student.named_parameters() if value.grad is not None}, values


@pytest.mark.usefixtures("float64")  # in float32 a pixel at the kink of a ReLU would decide
@pytest.mark.parametrize("counts", [(2,) * 8, (3, 1, 0, 0, 5, 2, 1, 4)], ids=["even", "uneven"])
def test_accumulated_batches_give_the_gradient_of_one_large_batch(
    counts: tuple[int, ...], tiny_config: ExperimentConfig, untrained_teacher: Path, make_trainer: MakeTrainer
) -> None:
    # Only means over rois or images: Dice is a fraction over the batch, target or not a mean over foreground pixels.
    config = derive(
        tiny_config,
        name="accumulated",
        loss={"dice_weight": 0.0, "target_nontarget": 0.0},
        distillation={"teacher_checkpoint": str(untrained_teacher), "target_nontarget": 0.0},
        training={"gradient_clip": None},
    )
    batch = synthetic_batch(counts)
    whole, whole_values = gradients(make_trainer(config), [batch])
    parts, values = gradients(make_trainer(config), list(split(batch, 2)))
    assert whole.keys() == parts.keys()
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-12)
    assert values == pytest.approx(whole_values, rel=1e-9)


def test_an_epoch_that_does_not_divide_into_groups_has_a_smaller_last_one(
    tiny_config: ExperimentConfig, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(derive(tiny_config, name="groups", training={"accumulation_steps": 3, "batch_size": 2}))
    groups: list[int] = []

    def train_step(group: Sequence[Batch]) -> dict[str, float]:
        groups.append(len(group))
        return {"total": 0.0}

    trainer.train_step = train_step  # type: ignore[method-assign]
    stream = trainer._stream()
    for _ in range(2):
        trainer._train_epoch(stream, _Silent(), _Silent())  # type: ignore[arg-type]
        trainer.progress.finish_epoch({}, 0.0)
    assert groups == [3, 1, 3, 1]
    assert trainer.total_steps == 4
    assert next(stream, None) is None


class _Silent:
    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None


@pytest.mark.parametrize(
    "change",
    [
        {"loss": {"boundary": {"weight": 2.0}}},
        {"loss": {"class_weights": [1.0, 3.0, 1.0]}},
        {"model": {"contour": {"loss_weight": 5.0}}},
        {"model": {"distance": {"loss_weight": 5.0}}},
        {"training": {"encoder_lr_scale": 0.1}},
        {"training": {"gradient_clip": 0.01}},
    ],
    ids=lambda change: str(next(iter(next(iter(change.values()))))),
)
def test_each_option_changes_what_one_update_learns(
    change: dict[str, Any], tiny_config: ExperimentConfig, make_trainer: MakeTrainer
) -> None:
    heads: dict[str, Any] = {"model": {"contour": {"loss_weight": 0.1}, "distance": {"loss_weight": 0.1}}}
    plain = derive(tiny_config, name="plain", **heads, training={"warmup_fraction": 0.0})
    batch = synthetic_batch((2, 1))
    logits = []
    for config in (plain, derive(plain, name="plain", **change)):
        trainer = make_trainer(config)
        trainer.train_step([batch])
        trainer.train_step([batch])
        with torch.no_grad():
            logits.append(trainer.state.student.eval()(batch.images, batch.rois).logits)
    assert not torch.allclose(logits[0], logits[1], atol=1e-5)


def test_the_shares_of_the_gradient_add_up_to_one(
    distilled_config: ExperimentConfig, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(distilled_config)
    trainer.train_step([synthetic_batch((2, 1))])
    shares = trainer.progress.gradient_shares
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(share > 0.0 for share in shares.values())
    expected = {"main/ce", "main/dice", "distill/main", "distill/bg_fg", "distill/full_image", "full_image/bce"}
    assert {f"gradient_share/{name}" for name in expected} <= shares.keys()


def test_hard_and_soft_add_up_to_the_total_and_are_its_parts(
    tiny_config: ExperimentConfig, distilled_config: ExperimentConfig, make_trainer: MakeTrainer
) -> None:
    config = derive(distilled_config, name="parts", distillation={"alpha": 0.6})
    groups = [synthetic_batch((2, 0, 1))], list(split(synthetic_batch((3, 1, 0, 0, 5, 2)), 2))
    for group in groups:
        taught = make_trainer(config).train_step(group)
        alone = make_trainer(tiny_config).train_step(group)
        assert "soft" not in alone
        assert alone["hard"] == pytest.approx(alone["total"], rel=1e-5)
        # Both students start from the same weights, so before the first update their losses on the truth are equal.
        assert taught["hard"] == pytest.approx(0.4 * alone["total"], rel=1e-5)
        assert taught["soft"] > 0.0
        assert taught["hard"] + taught["soft"] == pytest.approx(taught["total"], rel=1e-5)


def test_a_step_in_which_the_teacher_had_nothing_to_say_has_a_soft_part_of_zero(
    distilled_config: ExperimentConfig, make_trainer: MakeTrainer
) -> None:
    """Left out, the mean over an epoch would be over other steps than that of the total."""
    trainer = make_trainer(derive(distilled_config, name="silent", distillation={"full_image": 0.0}))
    values = trainer.train_step([synthetic_batch((0, 0))])
    assert values["soft"] == 0.0
    assert values["hard"] == pytest.approx(values["total"], rel=1e-5)


def test_the_progress_bar_shows_hard_and_soft_where_somebody_teaches(
    tiny_config: ExperimentConfig, distilled_config: ExperimentConfig, make_trainer: MakeTrainer
) -> None:
    shown = []
    for config in (distilled_config, tiny_config):
        trainer = make_trainer(config)
        values = trainer.train_step([synthetic_batch((1,))])
        shown.append(shown_losses(values))
        assert shown[-1]["loss"] == values["total"]
    assert [list(losses) for losses in shown] == [["loss", "hard", "soft"], ["loss"]]


def test_a_value_of_the_distillation_that_nothing_uses_is_said_once(
    distilled_config: ExperimentConfig, make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    section = {"terms": [{"kind": "at"}], "temperature": 2.0}
    trainer = make_trainer(derive(distilled_config, name="unused", distillation=section))
    values = trainer.train_step([synthetic_batch((1,))])
    for _ in range(2):
        trainer._warn(values, 0.7, None)
    assert [record.message for record in caplog.records if "distillation.temperature: no effect" in record.message]
    assert caplog.text.count("no effect beside these") == 1


def test_the_line_of_an_epoch_shows_what_the_loss_is_the_sum_of() -> None:
    progress, metrics = TrainingProgress(epoch=2), {"miou": 0.5, "iou_nontarget": None, "full_image_iou": None}
    taught = epoch_line(progress, 9, {"total": 1.0, "hard": 0.75, "soft": 0.25}, metrics, is_best=True)
    assert taught == "epoch 2/9: loss 1.0000 (hard 0.7500 + soft 0.2500), val miou 0.5000 (best)"
    alone = epoch_line(progress, 9, {"total": 1.0, "hard": 1.0}, metrics, is_best=False)
    assert alone == "epoch 2/9: loss 1.0000, val miou 0.5000"


def test_teaching_leaves_the_teacher_as_it_is(distilled_config: ExperimentConfig, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(distilled_config)
    assert trainer.parts.distiller is not None
    assert trainer.parts.distiller.teacher is not None
    teacher = trainer.parts.distiller.teacher.frozen.model
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student = {name: value.clone() for name, value in trainer.state.student.state_dict().items()}
    for _ in range(3):
        trainer.train_step([synthetic_batch((2, 1))])
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not any(torch.equal(student[name], value) for name, value in trainer.state.student.named_parameters())
    learning = {id(value) for group in trainer.state.optimizer.param_groups for value in group["params"]}
    assert not learning & {id(value) for value in teacher.parameters()}


@pytest.mark.parametrize("change", [{}, {"loss": {"full_image": 0.0}}], ids=["full image", "nothing"])
def test_a_batch_without_anybody_is_a_step_like_any_other(
    change: dict[str, Any], tiny_config: ExperimentConfig, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(derive(tiny_config, name="nobody", **change))
    values = trainer.train_step([synthetic_batch((0, 0))])
    assert trainer.progress.step == 1
    assert (values["total"] > 0.0) is (not change)
    assert not change or values["gradient_norm"] == 0.0


def make_not_finite(patch: pytest.MonkeyPatch, step: int, spoil: Callable[[LossOutput], LossOutput]) -> None:
    batch_loss = Trainer.batch_loss

    def spoiled(self: Trainer, batch: Batch, strength: Strength | None) -> LossOutput:
        loss = batch_loss(self, batch, strength)
        return spoil(loss) if self.progress.step + 1 == step else loss

    patch.setattr(Trainer, "batch_loss", spoiled)


def _with_nan(loss: LossOutput) -> LossOutput:
    return _changed(loss, lambda value: value * float("nan"))


def _with_nan_gradient(loss: LossOutput) -> LossOutput:
    # The root of zero is zero and its slope infinite.
    return _changed(loss, lambda value: (value * 0.0).sqrt())


def _changed(loss: LossOutput, change: Callable[[Tensor], Tensor]) -> LossOutput:
    terms = (term._replace(value=change(term.value)) if term.name == "main/ce" else term for term in loss.terms)
    return LossOutput(tuple(terms))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_with_nan, r"loss is not finite in epoch 2, step 6 \(total nan, .*main/ce nan.*; likeliest .*lower --learn"),
        (_with_nan_gradient, r"gradient is not finite in epoch 2, step 6 \(loss .*; likeliest .*lower --learn"),
    ],
    ids=["loss", "gradient"],
)
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(
    spoil: Callable[[LossOutput], LossOutput],
    words: str,
    tiny_config: ExperimentConfig,
    train: Train,
    tmp_path: Path,
) -> None:
    paths = RunPaths(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError, match=words) as caught:
        make_not_finite(patch, 6, spoil)
        train(tiny_config, paths)
    checkpoint, _ = read_checkpoint(paths.latest)
    assert checkpoint.epoch == 1
    assert all(value.isfinite().all() for value in checkpoint.model.values())
    status = json.loads(paths.status.read_text())
    assert (status["state"], status["epoch"], status["error"]) == ("failed", 1, str(caught.value))
    assert not paths.result.exists()


def test_a_temperature_that_no_number_survives_is_named_first(
    distilled_config: ExperimentConfig, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(derive(distilled_config, name="cold", distillation={"temperature": 1e-40}))
    words = r"main/ce [\d.]+, .*distill/main nan.*; likeliest cause first: raise --distillation_temperature \(now 1e-40"
    before = [parameter.detach().clone() for parameter in trainer.state.student.parameters()]
    with pytest.raises(TrainingError, match=words):
        trainer.train_step([synthetic_batch((2, 1))])
    assert all(map(torch.equal, before, trainer.state.student.parameters())), "weights stay good"


@pytest.fixture(scope="module")
def pretrained(tiny_config: ExperimentConfig, train: Train, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A U-Net alone, as `peopleseg_*` trains it."""
    paths = RunPaths(tmp_path_factory.mktemp("pretrained") / "run")
    config = derive(tiny_config, name="tiny_peopleseg", model={"head": "none"}, training={"epochs": 1})
    assert train(config, paths).metrics["full_image_iou"] is not None
    return paths


def test_a_frozen_unet_does_not_learn_until_it_is_free(
    tiny_config: ExperimentConfig, pretrained: RunPaths, train: Train, tmp_path: Path
) -> None:
    # Batches of one: the picture without anybody then gives no gradient at all while the U-Net is frozen.
    config = derive(
        tiny_config,
        name="frozen",
        model={"pretrained_unet": str(pretrained.best), "freeze_unet_epochs": 1},
        training={"batch_size": 1},
    )
    paths = RunPaths(tmp_path / "run")
    train(config, paths)
    start, first, second = (
        read_checkpoint(path)[0].model
        for path in (pretrained.best, paths.epoch_checkpoint(1), paths.epoch_checkpoint(2))
    )
    unet = [name for name in first if name.startswith("unet.")]
    assert all(torch.equal(start[name], first[name]) for name in unet)
    assert not any(torch.equal(first[name], second[name]) for name in unet if "num_batches" not in name)
    untrained = read_checkpoint(paths.untrained)[0].model
    head = [name for name in first if name.startswith("head.") and name.endswith("conv.weight")]
    assert not any(torch.equal(untrained[name], first[name]) for name in head)


def scores(patch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Every validation answers with the next of these mIoU."""
    remaining = iter(values)
    patch.setattr(
        "human_edge_detection.engine.training.trainer.evaluate",
        lambda *args, **options: evaluate(*args, **options) | {"miou": next(remaining)},
    )


def test_early_stopping_ends_the_run_and_the_best_epoch_is_reported(
    tiny_config: ExperimentConfig, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = derive(
        tiny_config, name="early", training={"epochs": 9, "batch_size": 8, "early_stopping": {"patience": 2}}
    )
    scores(monkeypatch, [0.3, 0.5, 0.4, 0.5])
    result = train(config, RunPaths(tmp_path / "run"))
    assert (result.epochs, result.best_epoch, result.early_stopped, result.metrics["miou"]) == (4, 2, True, 0.5)
    # Killed before it could say so, the run does not train on when it is started again.
    assert train(config, RunPaths(tmp_path / "run")) == result


def test_the_last_epoch_is_no_early_stop(
    tiny_config: ExperimentConfig, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = derive(tiny_config, name="late", training={"batch_size": 8, "early_stopping": {"patience": 1}})
    scores(monkeypatch, [0.5, 0.4])
    assert not train(config, RunPaths(tmp_path / "run")).early_stopped


def test_the_learning_rate_follows_the_schedule_for_each_group(
    tiny_config: ExperimentConfig, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(derive(tiny_config, name="rates", training={"encoder_lr_scale": 0.1}))
    rate = trainer.train_step([synthetic_batch((1,))])["learning_rate"]
    rates = sorted({group["lr"] for group in trainer.state.optimizer.param_groups})
    assert rates == pytest.approx([0.1 * rate, rate])


def test_the_moving_average_is_what_is_kept(tiny_config: ExperimentConfig, train: Train, tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    train(derive(tiny_config, name="ema", training={"epochs": 1, "ema": {"decay": 0.9}}), paths)
    checkpoint, _ = read_checkpoint(paths.latest)
    assert checkpoint.training is not None
    student = checkpoint.training["student"]
    assert not torch.equal(student["head.correction.weight"], checkpoint.model["head.correction.weight"])
    best, _ = read_checkpoint(paths.best)
    assert best.training is None
    assert all(torch.equal(best.model[name], value) for name, value in checkpoint.model.items())


def test_bf16_trains(tiny_config: ExperimentConfig, train: Train, tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    train(derive(tiny_config, name="bf16", training={"epochs": 1, "precision": "bf16"}), paths)
    model = read_checkpoint(paths.latest)[0].model
    assert all(value.dtype != torch.bfloat16 for value in model.values())
    assert json.loads(paths.provenance.read_text())["precision"] == "bf16"


def test_a_resumed_run_keeps_its_precision(
    tiny_config: ExperimentConfig, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine, or measured again, ``auto`` may come out differently."""
    paths = RunPaths(tmp_path / "run")
    for epochs, fastest in ((1, "bf16"), (2, "fp32")):
        monkeypatch.setattr("human_edge_detection.engine.device.precision_of_cpu", lambda fastest=fastest: fastest)
        train(derive(tiny_config, name="auto", training={"epochs": epochs, "precision": "auto"}), paths)
        assert json.loads(paths.provenance.read_text())["precision"] == "bf16"


def test_weights_and_biases_decay_differently(tiny_config: ExperimentConfig, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(tiny_config)
    decayed = {
        id(value)
        for group in trainer.state.optimizer.param_groups
        if group["weight_decay"]
        for value in group["params"]
    }
    for module in trainer.state.student.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert id(module.weight) not in decayed
        if isinstance(module, nn.Conv2d):
            assert id(module.weight) in decayed
            assert module.bias is None or id(module.bias) not in decayed


def for_ever(*batches: Batch) -> Iterator[Batch]:
    """``batches``, and then none and no end, as of workers that wait for a dead disk; a signal comes meanwhile."""
    yield from batches
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    until = time.monotonic() + 30.0
    while time.monotonic() < until:
        time.sleep(0.02)
    raise AssertionError("it would have waited for ever")


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("phase", ["training", "validation"])
def test_a_signal_ends_the_waiting_for_data_and_the_state_is_saved(
    tiny_config: ExperimentConfig, make_trainer: MakeTrainer, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(tiny_config)
    if phase == "training":
        first = next(trainer._stream())
        assert first is not None
        monkeypatch.setattr(trainer, "_stream", lambda: for_ever(first))
    else:
        validation = list(trainer.parts.validation)[:1]
        monkeypatch.setattr(BatchLoader, "__iter__", lambda loader: for_ever(*validation))
        monkeypatch.setattr(trainer, "_stream", lambda: iter_batches(trainer))
    with pytest.raises(Terminated):
        trainer.fit()
    kept, _ = read_checkpoint(trainer.paths.latest)
    assert kept.training is not None
    done = TrainingProgress.from_state(kept.training["progress"])
    assert (done.epoch, done.step) == ((0, 1) if phase == "training" else (0, 4))


def iter_batches(trainer: Trainer) -> Iterator[Batch]:
    """The first epoch, whatever became of loaders."""
    for start in range(0, len(trainer.parts.training_set), 2):
        yield collate([trainer.parts.training_set[(0, index)] for index in (start, start + 1)])


def test_an_update_that_fp16_skips_for_ever_stops_the_run_in_one_line(
    tiny_config: ExperimentConfig, make_trainer: MakeTrainer, small_networks: None
) -> None:
    trainer = make_trainer(tiny_config)
    scaler = trainer.state.scaler = torch.amp.GradScaler("cpu")
    weight = trainer.state.optimizer.param_groups[0]["params"][0]

    def update(gradient: float) -> float:
        scaler.scale(torch.zeros(()))
        weight.grad = torch.full_like(weight, gradient * scaler.get_scale())
        norm = float(trainer._update(torch.zeros(1)))
        trainer._check_norm(norm, {"total": 1.0})
        return norm

    for _ in range(99):
        update(math.inf)
    assert update(1.0) > 0.0  # one that is made ends the row
    for _ in range(99):
        update(math.inf)
    with pytest.raises(TrainingError, match=r"fp16 overflowed in 100 updates in a row.*give --precision bf16 or fp32"):
        update(math.inf)
