import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.model_cost import compression, describe_model
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.experiments.schema.model import ModelConfig


def test_operations_are_counted_by_part(tiny_config: ExperimentConfig) -> None:
    # The small encoder: 3 -> 4 channels on 32 x 32, then 4 -> 8 on 16 x 16, kernels of 9, a multiply-add is 2.
    encoder = 2 * 9 * (3 * 4 * 32 * 32 + 4 * 8 * 16 * 16)
    small = describe_model(tiny_config.model)
    assert small.gflops.encoder == pytest.approx(encoder / 1e9)
    # On "meta", as on a GPU and in an exported graph, RoIAlign is an operator; on a CPU it is matrix products.
    with torch.device("meta"), FlopCounterMode(display=False) as whole:
        build_model(tiny_config.model).eval()(torch.rand(1, 3, 64, 64), torch.tensor([[0, 0.1, 0.1, 0.9, 0.9]]))
    assert small.gflops.total == pytest.approx(whole.get_total_flops() / 1e9)
    wider = derive(tiny_config, name="wider", model={"image_size": [64, 128]})
    large = describe_model(wider.model)
    assert large.gflops.encoder == pytest.approx(2 * small.gflops.encoder)
    assert large.gflops.decoder == pytest.approx(2 * small.gflops.decoder)
    assert large.gflops.head_per_roi == pytest.approx(small.gflops.head_per_roi), "a roi costs the same in any image"
    assert small.gflops.head_per_roi > 0


def test_parameters_are_those_of_the_model_that_is_trained(tiny_config: ExperimentConfig) -> None:
    model = build_model(tiny_config.model)
    description = describe_model(tiny_config.model)
    assert description.total_parameters == sum(weight.numel() for weight in model.parameters())
    assert description.unet_parameters == sum(weight.numel() for weight in model.unet.parameters())
    assert description.to_json()["total_parameters"] == description.total_parameters


def test_shapes_name_images_and_rois(tiny_config: ExperimentConfig) -> None:
    model = {"contour": {"loss_weight": 0.5}}
    description = describe_model(derive(tiny_config, name="contoured", model=model).model)
    assert description.inputs == {"images": ("B", 3, 64, 64), "rois": ("N", 5)}
    assert description.outputs == {
        "logits": ("N", 3, 32, 24),
        "full_image_logits": ("B", 1, 64, 64),
        "bg_fg_logits": ("N", 2, 32, 24),
        "target_nontarget_logits": ("N", 2, 32, 24),
        "contour_logits": ("N", 1, 32, 24),
    }


def test_a_model_without_roi_head_has_no_roi_cost(tiny_config: ExperimentConfig) -> None:
    unet = describe_model(derive(tiny_config, name="unet", model={"head": "none"}).model)
    assert (unet.head_parameters, unet.gflops.head_per_roi) == (0, 0.0)
    assert list(unet.inputs) == ["images"]
    assert list(unet.outputs) == ["full_image_logits"]


def test_compression_is_how_many_times_larger_the_teacher_is(tiny_config: ExperimentConfig) -> None:
    student = describe_model(tiny_config.model)
    teacher = describe_model(derive(tiny_config, name="teacher", model={"encoder": "resnet18"}).model)
    ratios = compression(student, teacher)
    assert ratios.unet_parameters == teacher.unet_parameters / student.unet_parameters > 1
    assert compression(student, student).gflops == 1


def test_a_detector_is_counted_for_each_image_and_not_for_each_roi(tiny_config: ExperimentConfig) -> None:
    fields = tiny_config.model.model_dump() | {"detector": {}}
    plain, detecting = describe_model(tiny_config.model), describe_model(ModelConfig.model_validate(fields))
    assert detecting.gflops.detector > 0
    assert detecting.detector_parameters > 0
    assert detecting.total_parameters == plain.total_parameters + detecting.detector_parameters
    assert detecting.gflops.head_per_roi == plain.gflops.head_per_roi
    assert detecting.gflops.decoder == plain.gflops.decoder
