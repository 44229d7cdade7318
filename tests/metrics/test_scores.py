import subprocess
import sys

import numpy as np
import pytest

from human_edge_detection.metrics.scores import METRICS, MetricCounts, dice_per_class, iou_per_class, mean_iou, scores

PROMISED = {
    "miou",
    "iou_background",
    "iou_target",
    "iou_nontarget",
    "target_iou_per_roi",
    "dice_target",
    "boundary_f1",
    "full_image_iou",
    "full_image_dice",
}
"""In the files of runs that exist; there may be more."""
CONFUSION = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]])


def test_hand_computed() -> None:
    assert iou_per_class(CONFUSION) == pytest.approx([1 / 2, 1 / 3, 1 / 2])
    assert dice_per_class(CONFUSION) == pytest.approx([2 / 3, 1 / 2, 2 / 3])
    assert mean_iou(CONFUSION) == pytest.approx(4 / 9)


def test_names_that_files_have_are_kept() -> None:
    assert set(METRICS) >= PROMISED


def test_the_mean_leaves_out_a_class_that_nobody_has_but_not_one_that_is_only_answered() -> None:
    absent = np.diag([1, 1, 0])
    assert np.isnan(iou_per_class(absent)[2])
    assert mean_iou(absent) == 1.0
    invented = np.array([[1, 0, 1], [0, 0, 0], [0, 0, 0]])
    assert iou_per_class(invented)[2] == 0.0
    assert mean_iou(invented) == pytest.approx(0.25)
    assert np.isnan(mean_iou(np.zeros((3, 3))))


def test_many_at_once_are_each_as_alone() -> None:
    rng = np.random.default_rng(0)
    sums = MetricCounts(
        rng.integers(0, 9, (4, 5, 3, 3)), rng.integers(0, 9, (4, 5, 2, 2)), rng.random((4, 5, 2)), rng.random((4, 5, 2))
    )
    sums.roi_confusion[1, 2] = 0
    together = scores(sums)
    assert tuple(together) == METRICS
    for at in np.ndindex(4, 5):
        alone = scores(MetricCounts(*(part[at] for part in sums)))
        np.testing.assert_equal({name: values[at] for name, values in together.items()}, alone)
    assert np.isnan(together["miou"][1, 2])


def test_reading_counts_takes_no_torch() -> None:
    code = "import sys, human_edge_detection.metrics.scores; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
