"""The one training loop: with and without distillation, with and without mixed precision."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Final

import torch
from torch import Tensor, nn

from human_edge_detection.advanced.encoder_stages import encoder_stages, open_stages
from human_edge_detection.data.loader import BatchLoader, batches_per_epoch, training_parts
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint
from human_edge_detection.engine.checkpoints.counters import TrainingProgress
from human_edge_detection.engine.checkpoints.save_policy import Saver
from human_edge_detection.engine.device import autocast, seed_everything
from human_edge_detection.engine.evaluation.evaluate import Metrics, evaluate, predictor
from human_edge_detection.engine.evaluation.visualize import draw_comparison, encode_png, write_figures
from human_edge_detection.engine.ranks import ALONE, Ranks
from human_edge_detection.engine.teaching.distillation_schedule import TEACHER_TUNING_SCORE, TUNING_SCORE, Strength
from human_edge_detection.engine.tracker import open_tracker
from human_edge_detection.engine.training.distillation_warnings import distillation_warnings
from human_edge_detection.engine.training.gradient_shares import GRADIENT_SHARE, gradient_shares
from human_edge_detection.engine.training.interruption import Interruption
from human_edge_detection.engine.training.not_finite import not_finite_advice
from human_edge_detection.engine.training.overview import write_overview
from human_edge_detection.engine.training.parts import Parts
from human_edge_detection.engine.training.progress_bar import (
    TrainingDisplay,
    epoch_line,
    shown_losses,
    training_display,
)
from human_edge_detection.engine.training.schedules import learning_rate_factor
from human_edge_detection.engine.training.state import TrainingState
from human_edge_detection.engine.training.step_loss import Counts, StepLoss, counts_in, read_once, shares_in
from human_edge_detection.engine.training.writers import RunWriters, SilentWriters, write_metrics
from human_edge_detection.errors import DataError, StorageError, TrainingError
from human_edge_detection.runs.lookup.identity import flat, identity_fields
from human_edge_detection.runs.paths import RunPaths, run_name_of
from human_edge_detection.runs.records import EpochRecord
from human_edge_detection.structures import Batch, LossOutput, SegmentationOutput, Source

logger = logging.getLogger(__name__)

_MAX_OVERFLOWS: Final = 100
"""The loss scale is halved each time, so after 40 it cannot be the scale that overflows."""
_DRAWN_EPOCHS: Final = 20
"""Epochs of a run that are drawn, evenly spread: a figure is a megabyte, and a run may have hundreds of epochs."""


class Trainer:
    """Trains the student in ``state`` with ``parts`` in the run folder ``paths``.

    Args:
        parts: What it trains with.
        state: Where it goes on from.
        paths: The run folder.
        ranks: The processes that train this run; this one's parts of all batches are made, and the first one writes.
        on_progress: Called after each step, each validation batch, each epoch and what is drawn of it.
    """

    def __init__(
        self,
        parts: Parts,
        state: TrainingState,
        paths: RunPaths,
        *,
        ranks: Ranks = ALONE,
        on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    ) -> None:
        self.parts = parts
        self.ranks = ranks
        self.state = state
        self.paths = paths
        self.settings = parts.config.training
        self.progress = state.progress
        self._first_step = state.progress.step
        self.interruption = Interruption()
        self.saver = Saver(
            paths,
            keep_last=self.settings.keep_last,
            keep_every=self.settings.keep_every,
            minutes=self.settings.checkpoint_minutes,
            writes=ranks.is_first,
        )
        self._on_progress = on_progress
        self._overflows = 0
        """Updates in a row that the loss scaler of fp16 has skipped."""
        self._warned: set[str] = set()
        self._frozen: Sequence[nn.Module] = ()
        """Parts of the student that do not learn in the epoch under way, statistics of their normalisation included."""
        self._validation = parts.validation.part_of(ranks.number, ranks.count)
        holdout = parts.distiller.holdout if parts.distiller is not None else None
        self._holdout = holdout.batches.part_of(ranks.number, ranks.count) if holdout is not None else None
        self._student_is_set = False
        """Whether the student is in the mode to learn in; the validation leaves it in another one."""
        self._taught: set[str] = set()
        self._confident: set[str] = set()
        """Names of the terms that the teacher gave, and of the confident shares, in the steps of this process."""
        self.batches = batches_per_epoch(len(parts.training_set), self.settings.batch_size)
        self.total_steps = self.settings.epochs * -(-self.batches // self.settings.accumulation_steps)

    def fit(self) -> bool:
        """Trains to the last epoch; True when early stopping ended it before.

        Raises:
            KeyboardInterrupt: Ctrl-C or a scheduler's signal; the state is saved first.
            DataError: An image cannot be read; the state is saved first.
            TrainingError: A loss or gradient is not finite, or saving fails; the last checkpoint stays as it was. Or
                a data worker was killed, or none works any more; the state is saved first.
            StorageError: The disk does not take the last state of the run.
        """
        done = self.progress.step
        with (
            self.interruption,
            self._open_writers(done) as writers,
            training_display(
                self.parts.config.name, total_steps=self.total_steps, done=done, shown=self.ranks.is_first
            ) as display,
            contextlib.closing(self._stream()) as stream,
        ):
            while self.progress.epoch < self.settings.epochs and not self._out_of_patience():
                self._train_epoch(stream, writers, display)
                self._finish_epoch(writers, display)
            if self.ranks.is_first:
                self.saver.finish(self.checkpoint({}))
                write_metrics(self.paths.metrics, self.progress.history)
                write_overview(self.paths, self.progress.history)
                self._write_hyperparameters(writers)
        return self.progress.epoch < self.settings.epochs

    def _open_writers(self, done: int) -> RunWriters:
        if not self.ranks.is_first:
            return SilentWriters()
        tracker = open_tracker(self.parts.config, name=run_name_of(self.paths), log_dir=self.paths.logs)
        return RunWriters(self.paths.logs, first_step=done + 1, resumed=done > 0, tracker=tracker)

    def _stream(self) -> Generator[Batch | None]:
        return training_parts(
            self.parts.training_set,
            (self.ranks.number, self.ranks.count),
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            start_epoch=self.progress.epoch,
            start_batch=self.progress.batch,
            epochs=self.settings.epochs,
            num_workers=self.parts.loading.workers,
            pin=self.parts.loading.pin,
        )

    def _train_epoch(self, stream: Iterator[Batch | None], writers: RunWriters, display: TrainingDisplay) -> None:
        self._freeze()
        while self.progress.batch < self.batches:
            started = time.perf_counter()
            group = self._next_group(stream)
            values = self.train_step([batch for batch in group if batch is not None])
            self.progress.seconds += time.perf_counter() - started
            self.progress.images += self._images_in(len(group))
            self.progress.batch += len(group)
            self.progress.add(values)
            display.step(self.progress.epoch + 1, self.settings.epochs, shown_losses(values))
            if self.progress.step % self.settings.log_every_steps == 0:
                writers.scalars(self.progress.step, {f"step/{name}": value for name, value in values.items()})
            self._on_progress(self.progress)
            # Whoever is asked to end while others are not is heard at the next batch (:meth:`_next_group`).
            if (self.ranks.count == 1 and self.interruption.requested) or self.saver.due:
                self.saver.save(self.checkpoint({}))
            if self.ranks.count == 1:
                self.interruption.check()

    def _images_in(self, batches: int) -> int:
        """Images of the next ``batches`` batches, of all processes; the last batch of an epoch may be smaller."""
        size, length = self.settings.batch_size, len(self.parts.training_set)
        return min(length, (self.progress.batch + batches) * size) - self.progress.batch * size

    def _freeze(self) -> None:
        """Decides which parts of the student learn in the epoch under way."""
        unet, epoch, rule = self.state.student.unet, self.progress.epoch, self.settings.unfreezing
        self._frozen = ()
        if epoch < self.parts.config.model.freeze_unet_epochs:
            self._frozen = (unet,)
        elif rule is not None:
            stages = encoder_stages(unet.unet.encoder)
            learning = open_stages(epoch, stages=len(stages), epochs_per_stage=rule.epochs_per_stage)
            self._frozen = [part for stage in stages[: len(stages) - learning] for part in stage]
        unet.requires_grad_(True)
        for part in self._frozen:
            part.requires_grad_(False)
        self._student_is_set = False

    def _set_student(self) -> None:
        """Training mode, but for what does not learn; once an epoch, as it visits every module."""
        self.state.student.train()
        for part in self._frozen:
            part.eval()
        self._student_is_set = True

    def _strength(self) -> Strength | None:
        """Temperature and alpha of the epoch under way."""
        distiller = self.parts.distiller
        return None if distiller is None else distiller.strength(self.progress.history, epochs=self.settings.epochs)

    def _next_group(self, stream: Iterator[Batch | None]) -> list[Batch | None]:
        """The batches of the next update: this process's parts of them, None where it has none."""
        count = min(self.settings.accumulation_steps, self.batches - self.progress.batch)

        def take() -> list[Batch | None]:
            with self.interruption.at_once():
                return list(islice(stream, count))

        try:
            return self.ranks.agreed(take)
        except (KeyboardInterrupt, DataError, TrainingError):
            self.saver.save(self.checkpoint({}))
            raise

    def train_step(self, group: Sequence[Batch]) -> dict[str, float]:
        """One optimizer update from the batches of ``group`` (several with gradient accumulation).

        Each batch's terms are weighted by its share of the group's rois (or images), so that several batches give the
        gradient of one large batch for every term that is a mean over rois or images; of those that have a truth, for a
        term of the truth. So do the batches of several processes; each gives its own ``group``, or an empty one.
        """
        settings, ranks = self.settings, self.ranks
        # Not the same dropout everywhere; the first process draws as one alone does.
        seed_everything(settings.seed, self.progress.step, *([ranks.number] if ranks.number else []))
        factor = self._set_learning_rate()
        if not self._student_is_set:
            self._set_student()
        self.state.optimizer.zero_grad(set_to_none=True)
        strength = self._strength()
        # 1. Everything is queued on the device, and nobody waits for a number.
        counts = ranks.gather([counts_in(batch) for batch in group])
        found: list[StepLoss] = []
        for batch, shares in zip(group, shares_in(counts)[ranks.number], strict=True):
            loss = self.batch_loss(batch.to(self.parts.device), strength)
            total = LossOutput(tuple(term.scaled(shares.of(term)) for term in loss.terms)).total
            found.append(StepLoss(loss, total.detach().to(self.parts.device), shares))
            if self.progress.batch == 0 and batch is group[0]:
                self._measure_shares(found[0], counts)
            if total.requires_grad:
                self.state.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        if self.progress.batch == 0 and not group:
            self._measure_shares(None, counts)
        ranks.sum_gradients(self.state.parameters)
        losses = torch.cat([one.numbers for one in found] or [torch.zeros(0, device=self.parts.device)])
        norm = self._update(losses)
        # 2. All numbers come in one transfer, which waits for the step.
        *numbers, length = read_once(torch.cat([losses, norm.to(losses).reshape(1)]))
        values = self._values(found, numbers)
        self._check_norm(length, values)
        self.progress.step += 1
        length = length if math.isfinite(length) else 0.0
        return values | {"gradient_norm": length, "learning_rate": settings.learning_rate * factor}

    def _measure_shares(self, first: StepLoss | None, counts: Sequence[Sequence[Counts]]) -> None:
        """Of the first batch of an epoch, where the truth speaks of it; of several processes, of all their parts."""
        heads = [mine[:1] for mine in counts]
        if any(one.known.images for mine in heads for one in mine):
            shares = [*shares_in(heads)[self.ranks.number]]
            mine = first._replace(shares=shares[0]) if first is not None else None
            weight = self.state.student.unet.last_shared_weight()
            self.progress.gradient_shares = gradient_shares(mine, weight, self.ranks)

    def batch_loss(self, batch: Batch, strength: Strength | None) -> LossOutput:
        """The loss of one batch, distillation included where ``strength`` is given."""
        parts, distiller = self.parts, self.parts.distiller
        with autocast(parts.device, self.state.precision):
            images = batch.images.contiguous(memory_format=torch.channels_last)
            features = distiller is not None and distiller.needs_features
            output: SegmentationOutput = self.state.student(images, batch.rois, features=features)
            soft_labels = distiller.ask(batch) if distiller is not None and strength is not None else None
        # Losses are sums over many positions: in float32.
        base = parts.loss(output, batch)
        if distiller is None or strength is None or soft_labels is None:
            return base
        return distiller.loss(batch, output, soft_labels, base, strength)

    def _set_learning_rate(self) -> float:
        factor = learning_rate_factor(
            self.progress.step,
            self.total_steps,
            warmup_fraction=self.settings.warmup_fraction,
            final_fraction=self.settings.final_lr_fraction,
        )
        for group in self.state.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        return factor

    def _values(self, found: Sequence[StepLoss], numbers: Iterable[float]) -> dict[str, float]:
        """The losses of a step by name, summed over its batches, those of the other processes too.

        Args:
            found: The losses of this process's batches.
            numbers: Theirs, one after the other.

        Raises:
            TrainingError: One of them is not finite.
        """
        values: dict[str, float] = {}
        coming = iter(numbers)
        mine = [one.named(coming, with_soft=self.parts.distiller is not None) for one in found]
        for named in (one for rank in self.ranks.gather(mine) for one in rank):
            if named.not_finite is not None:
                shown = ", ".join(f"{name} {number:.4g}" for name, number in named.losses.items())
                raise TrainingError(
                    f"loss is not finite in epoch {self.progress.epoch + 1}, step {self.progress.step + 1} ({shown}); "
                    f"{self._advice(named.not_finite)}; the last checkpoint is kept"
                )
            self._taught |= named.taught
            self._confident |= named.confident
            for name, number in (named.losses | named.sums).items():
                values[name] = values.get(name, 0.0) + number
        return values

    def _advice(self, sources: Set[Source]) -> str:
        """What to change about a loss whose terms from ``sources`` are not finite."""
        strength = self._strength()
        return not_finite_advice(
            sources,
            precision=self.state.precision,
            learning_rate=self.settings.learning_rate,
            temperature=None if strength is None else strength.temperature,
            updates=self.progress.step,
        )

    def _update(self, losses: Tensor) -> Tensor:
        """Queues one update of the weights, which changes none of them when a loss or gradient is not finite.

        Args:
            losses: ``(n,)``, all that this step found.

        Returns:
            Scalar: the norm of the gradient before it is clipped.
        """
        parameters, optimizer, scaler = self.state.learning, self.state.optimizer, self.state.scaler
        norm = losses.new_zeros(())
        # There are none where only the head learns and nobody is on the images.
        if parameters:
            scaler.unscale_(optimizer)
            norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.gradient_clip or math.inf)
            if not scaler.is_enabled():
                # The fused update looks at this flag on the device, as it does for a scaler.
                flag = self.ranks.any_of((~(losses.isfinite().all() & norm.isfinite())).to(torch.float32))
                optimizer.found_inf = flag  # type: ignore[attr-defined]
            scaler.step(optimizer)
            scaler.update()
        if self.state.ema is not None:
            self.state.ema.update(self.progress.step + 1)
        return norm

    def _check_norm(self, norm: float, values: Mapping[str, float]) -> None:
        # With fp16 an overflow is expected now and then: the scaler skips that update and lowers its scale.
        if not math.isfinite(norm) and not self.state.scaler.is_enabled():
            raise TrainingError(
                f"gradient is not finite in epoch {self.progress.epoch + 1}, step {self.progress.step + 1} "
                f"(loss {values['total']:.4g}); {self._advice(frozenset())}; the last checkpoint is kept"
            )
        self._overflows = 0 if math.isfinite(norm) else self._overflows + 1
        if self._overflows >= _MAX_OVERFLOWS:
            raise TrainingError(
                f"fp16 overflowed in {self._overflows} updates in a row, up to epoch {self.progress.epoch + 1}, step "
                f"{self.progress.step + 1}: none of them was made, and the loss scale is down to "
                f"{self.state.scaler.get_scale():.2g}; give --precision bf16 or fp32, or a lower --learning_rate; the "
                "last checkpoint is kept"
            )

    def _finish_epoch(self, writers: RunWriters, display: TrainingDisplay) -> None:
        progress, config = self.progress, self.parts.config
        training = progress.means() | progress.gradient_shares
        holdout = self.parts.distiller.holdout if self.parts.distiller is not None else None
        # Each process has statistics of BatchNorm of its own images; those of the first are the model's.
        for model in {id(one): one for one in (self.state.student, self.state.model)}.values():
            self.ranks.share_buffers(model)
        try:
            metrics = self._validate(display, self._validation)
            tuning = self._validate(display, self._holdout) if self._holdout is not None else None
        except (KeyboardInterrupt, DataError, TrainingError):
            self.saver.save(self.checkpoint({}))
            raise
        score = metrics[config.model.monitored_metric]
        record: EpochRecord = {"epoch": progress.epoch + 1, "step": progress.step}
        record |= {f"train/{name}": value for name, value in training.items()}
        record |= {f"val/{name}": value for name, value in metrics.items()}
        strength = self._strength()
        if strength is not None:
            record |= strength._asdict()
            if self.ranks.is_first:
                self._warn(training, strength.alpha, metrics["miou"])
        if tuning is not None and holdout is not None:
            record |= {TUNING_SCORE: tuning["miou"], TEACHER_TUNING_SCORE: holdout.teacher_score}
        is_best = progress.finish_epoch(record, score if score is not None else float("-inf"))
        self.saver.save_epoch(self.checkpoint(metrics), is_best=is_best)
        if self.ranks.is_first:
            self._write_epoch(record, writers)
            logger.info(epoch_line(progress, self.settings.epochs, training, metrics, is_best=is_best))

    def _write_epoch(self, record: EpochRecord, writers: RunWriters) -> None:
        """What a person looks at after an epoch; when it cannot be written, the training goes on."""
        progress = self.progress
        self._on_progress(progress)
        writers.epoch(record, progress.step)
        try:
            write_metrics(self.paths.metrics, progress.history)
            write_overview(self.paths, progress.history)
            self._draw(writers)
        except StorageError as error:
            logger.warning("%s; training goes on", error)
        self._on_progress(progress)

    def _warn(self, training: Mapping[str, float], alpha: float, score: float | None) -> None:
        if self.parts.distiller is None or self.progress.step == self._first_step:
            return  # a process that resumed for the validation alone has seen no term
        shares = self.progress.gradient_shares
        found = distillation_warnings(
            unused=self.parts.distiller.config.unused,
            soft_terms=[training[name] for name in self._taught if name in training],
            confident_shares=[training[name] for name in self._confident if name in training],
            gradient_share=sum(shares.get(GRADIENT_SHARE + name, 0.0) for name in self._taught) if shares else None,
            alpha=alpha,
            student_score=score,
            teacher_score=self.parts.distiller.teacher_score,
        )
        for name, text in found:
            if name not in self._warned:
                self._warned.add(name)
                logger.warning("epoch %d: %s", self.progress.epoch + 1, text)

    def _validate(self, display: TrainingDisplay, data: BatchLoader) -> Metrics:
        parts = self.parts

        def after_batch() -> None:
            display.validated()
            self._on_progress(self.progress)
            self.interruption.check()

        with display.validating(len(data)):
            return evaluate(
                predictor(self.state.model),
                self._arriving(data),
                device=parts.device,
                precision=self.state.precision,
                mask_size=parts.config.model.mask_size,
                after_batch=after_batch,
                together=self.ranks.merged,
            )

    def _arriving(self, data: BatchLoader) -> Iterator[Batch]:
        """``data``; while it waits for a batch, a signal interrupts at once."""
        batches = iter(data)
        while True:
            with self.interruption.at_once():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def checkpoint(self, metrics: Metrics) -> Checkpoint:
        """The state as it is now."""
        return self.state.to_checkpoint(self.parts.config, self.parts.origin, metrics)

    def _draw(self, writers: RunWriters) -> None:
        preview, parts = self.parts.preview, self.parts
        interval = -(-self.settings.epochs // _DRAWN_EPOCHS)
        if preview is None or (self.progress.epoch % interval and self.progress.epoch != self.settings.epochs):
            return
        batch = preview.to(parts.device)
        with torch.no_grad(), autocast(parts.device, self.state.precision):
            student = predictor(self.state.model)(batch.images, batch.rois)
            size = parts.config.model.mask_size
            asked = parts.distiller.teacher if parts.distiller is not None else None
            teacher = asked.predict_batch(batch, mask_size=size) if asked is not None else None
        drawn = draw_comparison(batch, student, teacher, max_images=len(batch.images))
        figures = [(name, encode_png(figure)) for name, figure in drawn]
        write_figures(self.paths.visualizations(self.progress.epoch), figures)
        for name, figure in figures:
            writers.figure(self.progress.step, name, figure)

    def _write_hyperparameters(self, writers: RunWriters) -> None:
        """What the run was trained with, beside the scores of its best epoch."""
        config, best = self.parts.config, self.progress.history[self.progress.best_epoch - 1]
        settings = {"experiment": config.name, "training.epochs": self.settings.epochs, **flat(identity_fields(config))}
        scores = {key[4:]: value for key, value in best.items() if key[:4] == "val/" and value is not None}
        writers.hyperparameters(settings, scores, self.progress.step)

    def _out_of_patience(self) -> bool:
        rule = self.settings.early_stopping
        return rule is not None and self.progress.epochs_without_gain(rule.min_delta) >= rule.patience
