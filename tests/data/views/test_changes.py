import numpy as np
import pytest
from augmentations import only

from human_edge_detection.data.views.augment import ColorChange, View, draw_view, sample_seed
from human_edge_detection.data.views.changes import ranges_in_words, transforms_in_words, view_in_words
from human_edge_detection.experiments.schema.data import AugmentationConfig

SIZE = (60, 80)


def test_a_view_that_changes_nothing_has_no_words():
    view = draw_view(only(), SIZE, np.random.default_rng(sample_seed(0, 0, 0)))
    assert view_in_words(view, SIZE) == ()


def test_the_words_are_what_was_drawn():
    flip = np.array([[-1.0, 0.0, 80.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    angle = np.radians(30)
    turn = 1.2 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    around = np.eye(3)
    around[:2, :2] = turn
    around[:2, 2] = np.array([40, 30]) - turn @ (40, 30) + (8, -3)
    matrix = np.diag([1 / 80, 1 / 60, 1]) @ around @ flip
    words = view_in_words(View(matrix, ColorChange(1.1, 0.9, 0.8, 0.05), 0.7), SIZE)
    assert words == (
        "flip",
        "scale 1.20",
        "rotation +30.0 degrees",
        "shift +10.0% right, -5.0% down",
        "brightness 1.10, contrast 0.90",
        "saturation 0.80, hue +18 degrees",
        "blur, sigma 0.7 px",
    )


def test_every_setting_of_the_built_in_views_is_in_the_words():
    before = ranges_in_words(AugmentationConfig())
    changes = {"horizontal_flip": 0.3, "scale": (0.7, 1.1), "rotate": 4.0, "translate": 0.2, "color": 0.4, "blur": 0.6}
    for field, value in {**changes, "box_jitter": 0.3}.items():
        after = ranges_in_words(AugmentationConfig.model_validate({field: value}))
        assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"p": 0.5, "shape": (3, 4, 5), "interpolation": 1}, "Name p 0.5"),
        ({"rotate": (-10.0, 10.0), "scale": {"x": (0.8, 1.25), "y": (0.8, 1.25)}}, None),
        (
            {"matrix": np.eye(3), "noise": list(range(9)), "fit": np.True_, "mode": "fast", "none": None},
            "Name fit true",
        ),
    ],
)
def test_parameters_of_transforms_are_numbers_and_few_of_them(parameters, words):
    expected = words or "Name rotate (-10, 10) scale x (0.8, 1.25), y (0.8, 1.25)"
    assert transforms_in_words([("Name", parameters)]) == (expected,)
