"""Counts of a data set, and the class weights that follow from them."""

import json

import numpy as np
import pytest

from human_edge_detection.data.statistics import Statistics, suggested_class_weights


def filled():
    statistics = Statistics()
    roi_masks = np.array([[[0, 1], [2, 255]], [[0, 0], [1, 255]]], np.uint8)
    statistics.add([32**2 - 1, 32**2, 96**2 - 1, 96**2], crowds=1, roi_masks=roi_masks, exhaustive=True)
    statistics.add([], crowds=0, roi_masks=np.zeros((0, 2, 2), np.uint8), exhaustive=False)
    return statistics


def test_sizes_have_the_limits_of_coco():
    statistics = filled()
    assert (statistics.small, statistics.medium, statistics.large) == (1, 2, 1)


def test_images_persons_and_crowd_regions_are_counted():
    statistics = filled()
    assert (statistics.images, statistics.images_without_persons, statistics.images_not_exhaustive) == (2, 1, 1)
    assert (statistics.persons, statistics.crowds, statistics.most_persons) == (4, 1, 4)


def test_ignored_pixels_are_not_counted():
    statistics = filled()
    assert statistics.class_pixels.tolist() == [3, 2, 1]
    assert statistics.class_shares.sum() == pytest.approx(1.0)


def test_statistics_are_json_even_when_empty():
    for statistics in (Statistics(), filled()):
        assert json.loads(json.dumps(statistics.as_json())) == statistics.as_json()
    assert Statistics().as_json()["persons_per_image"] == {"mean": 0.0, "most": 0}


def test_each_data_set_counts_for_itself():
    filled()
    assert Statistics().class_pixels.tolist() == [0, 0, 0]


def test_rare_classes_weigh_more_by_the_square_root():
    common, rare = suggested_class_weights(np.array([0.8, 0.2]))
    assert rare / common == pytest.approx(2.0, abs=0.01)
    assert common + rare == pytest.approx(2.0, abs=0.01)


def test_a_class_that_does_not_occur_weighs_1():
    weights = suggested_class_weights(np.array([0.5, 0.5, 0.0]))
    assert weights == [1.0, 1.0, 1.0]
