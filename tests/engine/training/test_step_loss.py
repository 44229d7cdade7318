"""What can be known of a GPU without one: devices of every tensor, and that a step never waits for the device.

Fake CUDA tensors have shapes, types and devices and no values: an operator that mixes devices fails, and so does
reading a value. The autograd engine wants a real context, so a whole step runs on ``meta``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from human_edge_detection.advanced.knowledge_distillation import FrozenTeacher
from human_edge_detection.engine.build import build_distillation_loss, build_loss, build_model, build_optimizer
from human_edge_detection.engine.device import autocast
from human_edge_detection.engine.precision import Precision
from human_edge_detection.engine.teaching.head_targets import head_targets
from human_edge_detection.engine.training import trainer as trainer_module
from human_edge_detection.engine.training.state import TrainingState
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.distillation import TERM_CONFIGS
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.metrics.boundary import boundary_f1
from human_edge_detection.metrics.segmentation import target_iou
from human_edge_detection.structures import Batch

CUDA, META = torch.device("cuda"), torch.device("meta")


class NoCopies(TorchDispatchMode):
    """Fails where a tensor goes from main memory to the device, or back, in a way that waits.

    A single number may: an operator takes it as an argument. To copy it there waits, too.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        before = {one.device.type for one in given if one.ndim or "copy" in str(func)}
        after = {one.device.type for one in tree_leaves(result) if isinstance(one, Tensor)}
        if ("cpu" in before and after - {"cpu"}) or (before - {"cpu"} and "cpu" in after):
            pytest.fail(f"{func} takes {before} to {after}: the step waits for it")
        return result


@pytest.fixture
def all_terms(tiny_config: ExperimentConfig) -> ExperimentConfig:
    """With every head, every term of the distillation and every weight of the losses."""
    return derive(
        tiny_config,
        name="all",
        model={"contour": {}, "distance": {}, "detector": {}},
        loss={"class_weights": [0.5, 1.0, 2.0], "boundary": {}},
        distillation={
            "teacher_checkpoint": "teacher.pth",
            "confidence_threshold": 0.6,
            "terms": [{"kind": kind} for kind in TERM_CONFIGS],
        },
    )


@contextmanager
def cuda_is_there() -> Iterator[None]:
    """As autocast asks; when a module is built, the answer would make PyTorch look for a driver."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
        patch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
        yield


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def batch_of(config: ExperimentConfig, device: torch.device) -> Batch:
    size, masks = config.model.image_size, config.model.mask_size
    made = Batch(
        images=torch.zeros(2, 3, *size, dtype=torch.uint8, device=device),
        rois=torch.zeros(6, 5, device=device),
        roi_masks=torch.zeros(6, *masks, dtype=torch.uint8, device=device),
        person_masks=torch.zeros(2, *size, dtype=torch.uint8, device=device),
        image_ids=(1, 2),
        annotation_ids=(1, 2, 3, 4, 5, 6),
        person_boxes=torch.zeros(2, 3, 4, device=device),
    )
    return made.to(device)


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize(("precision", "repeatable"), [("fp32", False), ("bf16", False), ("fp32", True)])
def test_losses_and_metrics_of_a_batch_stay_on_the_gpu(
    precision: Precision, repeatable: bool, all_terms: ExperimentConfig, request: pytest.FixtureRequest
) -> None:
    if repeatable:
        request.getfixturevalue("deterministic")
    config, mask_size = all_terms, all_terms.model.mask_size
    assert config.distillation is not None
    with FakeTensorMode(), CUDA:
        student, taught = build_model(config.model).train(), build_model(config.model)
        teacher = FrozenTeacher(taught, image_size=config.model.image_size)
        base, distilled = build_loss(config), build_distillation_loss(config.distillation)
        batch = batch_of(config, CUDA)
        with NoCopies():
            with cuda_is_there(), autocast(CUDA, precision):
                assert torch.is_autocast_enabled("cuda") == (precision != "fp32")
                output = student(batch.images, batch.rois, features=True)
                soft_labels = teacher(batch.images, batch.rois, mask_size=mask_size, features=True)
            targets = head_targets(batch, output, soft_labels)
            loss = distilled(output, soft_labels, targets, base(output, batch), temperature=4.0, alpha=0.5)
            total = loss.total
            found = [boundary_f1(output.logits.argmax(1), batch.roi_masks, 2), target_iou(torch.zeros(6, 3, 3).long())]
    assert len(loss.terms) > len(TERM_CONFIGS)
    assert {term.value.device.type for term in loss.terms} | {one.device.type for one in found} == {"cuda"}
    assert total.dtype == torch.float32 and total.requires_grad


@pytest.mark.usefixtures("small_networks")
def test_a_step_reads_from_the_device_once_and_at_its_end(
    all_terms: ExperimentConfig,
    untrained_teacher: Any,
    make_trainer: Callable[[ExperimentConfig], Trainer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = derive(all_terms, name="meta", distillation={"teacher_checkpoint": str(untrained_teacher)})
    trainer = _on_meta(make_trainer(config))
    read: list[Tensor] = []

    def once(numbers: Tensor) -> list[float]:
        read.append(numbers)
        return [0.5] * len(numbers)

    monkeypatch.setattr(trainer_module, "read_once", once)
    done: list[bool] = []
    monkeypatch.setattr(trainer.state.optimizer, "step", lambda: done.append(bool(read)))
    trainer.progress.batch = 1  # the shares of the gradient are measured, and read, in the first step of an epoch
    batch = batch_of(config, META)
    with NoCopies():
        values = trainer.train_step([batch])
    assert done == [False], "the update is queued before anything is read"
    assert [numbers.device.type for numbers in read] == ["meta"]
    assert {"total", "hard", "soft", "gradient_norm"} <= values.keys()


def _on_meta(trainer: Trainer) -> Trainer:
    """The same trainer with everything that a step uses on ``meta``, and a moving average."""
    parts, student = trainer.parts, trainer.state.student.to(META)
    distiller = parts.distiller
    assert distiller is not None and distiller.teacher is not None and distiller.distillation_loss.adapter is not None
    distiller.teacher.frozen.model.to(META)
    adapter = distiller.distillation_loss.adapter.to(META)
    optimizer = build_optimizer(student, parts.config.training, beside=adapter.parameters())
    state = TrainingState(student, optimizer, precision="fp32", ema_decay=0.9, adapter=adapter)
    return Trainer(replace(parts, device=META), state, trainer.paths)
