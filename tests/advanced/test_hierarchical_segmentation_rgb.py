"""What every model promises, whatever its encoder and its head."""

import pytest
import torch
from torch import Tensor

from human_edge_detection.advanced.hierarchical_segmentation_rgb import RgbPersonSegmenter, aligned_channels
from human_edge_detection.advanced.hierarchical_segmentation_unet import (
    IMAGENET_MEAN,
    HierarchicalHead,
    PersonUNet,
    PlainHead,
    compose_logits,
)
from human_edge_detection.structures import DECODER_FEATURES

ROI_SIZE, MASK_SIZE = (16, 12), (32, 24)
ROIS = torch.tensor([[0.0, 0.1, 0.1, 0.6, 0.9], [1.0, 0.0, 0.0, 1.0, 1.0], [1.0, 0.5, 0.2, 0.9, 0.7]])
HIERARCHICAL = {"bg_fg_logits": 2, "target_nontarget_logits": 2}
HEADS: dict[str, dict[str, int]] = {
    "hierarchical": HIERARCHICAL,
    "contour": HIERARCHICAL | {"contour_logits": 1},
    "distance": HIERARCHICAL | {"distance": 1},
    "both": HIERARCHICAL | {"contour_logits": 1, "distance": 1},
    "plain": {},
    "none": {},
}
"""Further answers of each head, with their channels."""


def build_head(name: str, channels: int = 8) -> HierarchicalHead | PlainHead | None:
    if name == "none":
        return None
    if name == "plain":
        return PlainHead(aligned_channels(16), channels, MASK_SIZE)
    optional = {"both": ["contour", "distance"], "contour": ["contour"], "distance": ["distance"]}.get(name, [])
    return HierarchicalHead(aligned_channels(16), channels, MASK_SIZE, optional=optional)


def build(head: str, unet: PersonUNet) -> RgbPersonSegmenter:
    return RgbPersonSegmenter(unet, build_head(head), roi_size=ROI_SIZE, mask_size=MASK_SIZE)


@pytest.fixture(scope="module")
def unet() -> PersonUNet:
    torch.manual_seed(0)
    return PersonUNet("mobilenet_v2")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def images(count: int = 2, side: int = 64) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def check_shapes(model: RgbPersonSegmenter, head: str) -> None:
    output = model.eval()(images(), ROIS)
    rois = 0 if head == "none" else 3
    assert output.logits.shape == (rois, 3, *MASK_SIZE)
    expected = {name: (3, channels, *MASK_SIZE) for name, channels in HEADS[head].items()}
    expected["full_image_logits"] = (2, 1, 64, 64)
    assert {name: tuple(prediction.shape) for name, prediction in output.aux.items()} == expected
    assert all(prediction.dtype == torch.float32 for prediction in (output.logits, *output.aux.values()))


@pytest.mark.parametrize("head", HEADS)
def test_shapes_and_an_absent_head_has_no_key(head: str, unet: PersonUNet) -> None:
    check_shapes(build(head, unet), head)


@pytest.mark.parametrize("encoder", ["resnet18", "timm-efficientnet-b0"])
def test_shapes_do_not_depend_on_the_encoder(encoder: str) -> None:
    check_shapes(build("both", PersonUNet(encoder)), "both")


@pytest.mark.parametrize("head", HEADS)
def test_a_batch_without_rois_trains_and_leaves_the_head_alone(head: str, unet: PersonUNet) -> None:
    model = build(head, unet).train()
    before = {name: value.clone() for name, value in model.state_dict().items() if name.startswith("head.")}
    output = model(images(), torch.zeros(0, 5))
    assert output.logits.shape == (0, 3, *MASK_SIZE)
    assert set(output.aux) == {"full_image_logits"}
    output.aux["full_image_logits"].mean().backward()
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("head", ["hierarchical", "both"])
def test_the_main_logits_start_as_exact_log_probabilities(head: str, unet: PersonUNet) -> None:
    output = build(head, unet).eval()(images(), ROIS)
    torch.testing.assert_close(output.logits.exp().sum(1), torch.ones(3, *MASK_SIZE))
    composed = compose_logits(output.aux["bg_fg_logits"], output.aux["target_nontarget_logits"])
    assert torch.equal(output.logits, composed)


def test_the_correction_learns_from_the_first_step_on(unet: PersonUNet) -> None:
    model = build("hierarchical", unet).train()
    model(images(), ROIS).logits.square().mean().backward()
    assert isinstance(model.head, HierarchicalHead)
    gradient = model.head.correction.weight.grad
    assert gradient is not None
    assert gradient.any()


def test_composition_by_hand() -> None:
    # p(fg) = 3/4, p(target | fg) = 2/3: background 1/4, target 1/2, non-target 1/4.
    bg_fg = torch.tensor([1.0, 3.0]).log().view(1, 2, 1, 1)
    target = torch.tensor([2.0, 1.0]).log().view(1, 2, 1, 1)
    torch.testing.assert_close(compose_logits(bg_fg, target).exp().flatten(), torch.tensor([0.25, 0.5, 0.25]))


def test_composition_stays_finite_for_sure_answers() -> None:
    sure = torch.tensor([1000.0, -1000.0]).view(1, 2, 1, 1)
    assert compose_logits(sure, sure).isfinite().all()


def test_distance_is_between_minus_one_and_one(unet: PersonUNet) -> None:
    distance = build("distance", unet).eval()(images() * 100.0, ROIS).aux["distance"]
    assert bool((distance.abs() <= 1.0).all())


@pytest.mark.parametrize(("part", "key"), [("contour", "contour_logits"), ("distance", "distance")])
def test_a_further_head_reaches_the_main_logits_once_it_has_learnt(part: str, key: str, unet: PersonUNet) -> None:
    model = build(part, unet).eval()
    assert isinstance(model.head, HierarchicalHead)
    torch.nn.init.ones_(model.head.correction.weight)
    before = model(images(), ROIS)
    branch = getattr(model.head, part)
    with torch.no_grad():
        branch.features[0].weight.add_(0.5)
    after = model(images(), ROIS)
    assert not torch.allclose(before.aux[key], after.aux[key])
    assert not torch.allclose(before.logits, after.logits)


@pytest.mark.parametrize(("encoder", "millions"), [("timm-efficientnet-b0", 6.25), ("timm-efficientnet-b3", 13.16)])
def test_parameters_of_the_unet(encoder: str, millions: float) -> None:
    with torch.device("meta"):
        unet = PersonUNet(encoder)
    assert sum(parameter.numel() for parameter in unet.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize("head", [name for name in HEADS if name != "none"])
def test_the_head_is_light(head: str) -> None:
    built = build_head(head, channels=32)
    assert built is not None
    assert sum(parameter.numel() for parameter in built.parameters()) < 0.6e6


def test_normalisation_is_inside_the_model(unet: PersonUNet) -> None:
    grey = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(unet.normalise(grey), torch.zeros(1, 3, 4, 4))
    assert not any("mean" in name.split(".")[:1] or "std" in name.split(".")[:1] for name in unet.state_dict())
    model = build("none", unet).eval()
    raw = unet.eval()((images() - unet.mean) / unet.std)[1]
    torch.testing.assert_close(model(images(), ROIS).aux["full_image_logits"], raw)


def test_what_a_roi_shows_decides_its_mask(unet: PersonUNet) -> None:
    model = build("plain", unet).eval()
    pictures = torch.zeros(1, 3, 64, 64)
    pictures[:, :, :, :32] = 1.0
    rois = torch.tensor([[0.0, 0.0, 0.0, 0.4, 1.0], [0.0, 0.6, 0.0, 1.0, 1.0]])
    left, right = model(pictures, rois).logits
    assert not torch.allclose(left, right, atol=1e-3)
    torch.testing.assert_close(model(pictures, rois[:1]).logits[0], left, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("head", ["hierarchical", "plain", "none"])
def test_decoder_features_are_handed_out_on_demand_only(head: str, unet: PersonUNet) -> None:
    model = build(head, unet).eval()
    plain, asked = model(images(), ROIS), model(images(), ROIS, features=True)
    assert asked.aux.keys() - plain.aux.keys() == {DECODER_FEATURES}
    assert asked.aux[DECODER_FEATURES].shape == (2, 16, 64, 64)
    person = unet.unet.segmentation_head(asked.aux[DECODER_FEATURES])
    torch.testing.assert_close(person, plain.aux["full_image_logits"])
    assert torch.equal(asked.logits, plain.logits)
