import pickle
from collections import Counter

import numpy as np
import pytest
from pipelines import transform, write_pipeline

from human_edge_detection.data.views.pipeline import Pipeline, check_pipeline, tight_box
from human_edge_detection.errors import ConfigError, DataError

SIZE = (60, 80)


def image_and_masks():
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    masks = np.zeros((3, *SIZE), np.uint8)
    masks[0, 10:50, 5:25] = masks[1, 20:60, 20:60] = 1  # the third is empty
    return image, masks


@pytest.fixture
def make(tmp_path):
    def make(*transforms, **arguments):
        return Pipeline(write_pipeline(tmp_path / "pipeline.json", *transforms, **arguments))

    return make


def apply(pipeline, seed=0):
    return pipeline.apply(*image_and_masks(), np.random.default_rng(seed))


def test_image_and_masks_change_together_and_the_border_is_known(make):
    image, masks = image_and_masks()
    made = apply(make(transform("HorizontalFlip"), transform("Affine", translate_px={"x": [20, 20], "y": [0, 0]})))
    np.testing.assert_array_equal(made.image[:, 20:], image[:, ::-1][:, :-20])
    np.testing.assert_array_equal(made.masks[:, :, 20:], masks[:, :, ::-1][:, :, :-20])
    assert not made.inside[:, :20].any() and made.inside[:, 20:].all()
    assert [name for name, _ in made.applied] == ["HorizontalFlip", "Affine"]


def test_what_is_mirrored_at_the_border_is_inside_with_its_persons(make):
    made = apply(make(transform("PadIfNeeded", min_height=120, min_width=80, border_mode=4)))
    assert made.image.shape == (120, 80, 3)
    assert made.inside.all()
    assert made.masks[1].sum() > image_and_masks()[1][1].sum()


def test_transforms_that_look_for_boxes_see_those_of_the_masks(make):
    pipeline = make(transform("BBoxSafeRandomCrop"))
    for seed in range(5):
        made = apply(pipeline, seed)
        assert (made.masks.sum((1, 2)) == image_and_masks()[1].sum((1, 2))).all()


RANDOM = (
    transform("HorizontalFlip", p=0.5),
    transform("VerticalFlip", p=0.5),
    transform("OneOf", transforms=[transform("Rotate"), transform("GaussNoise"), transform("RandomRain")]),
    transform("CoarseDropout"),
    transform("ElasticTransform", p=0.5),
)


def test_equal_seeds_give_equal_views_whatever_came_before_also_in_a_copy(make):
    pipeline = make(*RANDOM)
    copied = pickle.loads(pickle.dumps(pipeline))
    expected = [apply(pipeline, seed) for seed in range(6)]
    for seed in reversed(range(6)):
        again = apply(copied, seed)
        for one, other in zip(again[:3], expected[seed][:3], strict=True):
            np.testing.assert_array_equal(one, other)
        assert [name for name, _ in again.applied] == [name for name, _ in expected[seed].applied]
    assert len({made.image.tobytes() for made in expected}) == 6


def test_transforms_draw_numbers_of_their_own(make):
    """``set_random_seed`` of albumentations gives each transform the same numbers: both flips, or neither."""
    pipeline = make(transform("HorizontalFlip", p=0.5), transform("VerticalFlip", p=0.5))
    drawn = Counter(frozenset(name for name, _ in apply(pipeline, seed).applied) for seed in range(80))
    assert len(drawn) == 4
    assert min(drawn.values()) > 8


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (transform("ToGray", num_output_channels=1), r"makes uint8 \(\d+, \d+\), expected uint8 \(H, W, 3\)"),
        (transform("FDA"), "requires"),
        (transform("MaskDropout"), "requires"),
        (transform("RandomCrop", height=9000, width=10), "exceeds image dimensions"),
        (transform("OneOf", transforms=[transform("NoOp"), transform("CoarseDropout3D")]), "'volume'"),
    ],
)
def test_a_transform_that_makes_no_view_is_refused_however_rare_it_is(make, node, said):
    with pytest.raises(ConfigError, match=said) as caught:
        make(transform("NoOp"), node | {"p": 1e-9})
    assert "transforms.1" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_crop_larger_than_an_image_is_an_error_of_that_image(make):
    pipeline = make(transform("RandomCrop", height=70, width=70))
    with pytest.raises(DataError, match=r"pipeline\.json: Crop size .* exceeds .*; change the pipeline"):
        apply(pipeline)


def test_a_file_is_tried_again_when_it_has_changed(tmp_path):
    file = write_pipeline(tmp_path / "pipeline.json", transform("NoOp"))
    check_pipeline(file)
    write_pipeline(file, transform("Normalize"))
    with pytest.raises(ConfigError, match="Normalize"):
        check_pipeline(file)


def test_tight_box():
    assert [tight_box(mask) for mask in image_and_masks()[1]] == [(5, 10, 25, 50), (20, 20, 60, 60), (0, 0, 0, 0)]
