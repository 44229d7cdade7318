from collections.abc import Callable

import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from human_edge_detection.advanced.encoder_stages import encoder_stages, open_stages, stage_scales
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive

pytestmark = pytest.mark.usefixtures("small_networks")

MakeTrainer = Callable[[ExperimentConfig], Trainer]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("timm-efficientnet-b0", 7),
        ("mobilenet_v2", 18),
        ("resnet18", 4),
        ("resnet34", 4),
        ("tu-mobilenetv4_conv_small", 5),
    ],
)
def test_stages_hold_every_weight_once(name: str, count: int) -> None:
    encoder = get_encoder(name, weights=None)
    stages = encoder_stages(encoder)
    assert len(stages) == count
    weights = [id(weight) for stage in stages for part in stage for weight in part.parameters()]
    assert sorted(weights) == sorted(id(weight) for weight in encoder.parameters())


def test_the_first_stage_is_where_the_image_comes_in() -> None:
    encoder = get_encoder("timm-efficientnet-b0", weights=None)
    assert encoder_stages(encoder)[0][0] is encoder.conv_stem


def test_one_stage_more_opens_every_few_epochs() -> None:
    assert [open_stages(epoch, stages=3, epochs_per_stage=2) for epoch in range(8)] == [1, 1, 2, 2, 3, 3, 3, 3]


def test_learning_rates_fall_with_depth() -> None:
    assert stage_scales(3, 0.5) == [0.25, 0.5, 1.0]


def test_a_closed_stage_stays_as_it_is_until_it_opens(tiny_config: ExperimentConfig, make_trainer: MakeTrainer) -> None:
    config = derive(
        tiny_config, name="unfrozen", training={"unfreezing": {"epochs_per_stage": 1, "lr_scale": 0.1}, "epochs": 4}
    )
    trainer = make_trainer(config)
    encoder = trainer.state.student.unet.unet.encoder
    first, *_, last = stages = encoder_stages(encoder)
    rates = {group["base_lr"] for group in trainer.state.optimizer.param_groups}
    assert [min(rates), max(rates)] == pytest.approx([2e-3 * 0.1 ** (len(stages) - 1), 2e-3])

    def learns(epoch: int, stage: list[nn.Module]) -> bool:
        trainer.progress.epoch = epoch
        trainer._freeze()
        before = [value.clone() for part in stage for value in part.state_dict().values()]
        trainer.train_step([batch for batch in [next(trainer._stream())] if batch is not None])
        after = [value for part in stage for value in part.state_dict().values()]
        return not all(torch.equal(one, other) for one, other in zip(before, after, strict=True))

    assert (learns(0, first), learns(0, last)) == (False, True)
    assert not learns(len(stages) - 2, first)
    assert (learns(len(stages) - 1, first), learns(len(stages) - 1, last)) == (True, True)
