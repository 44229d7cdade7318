import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.schema.data import AugmentationConfig
from human_edge_detection.experiments.schema.experiment import build_config


def test_built_in_views_that_a_pipeline_replaces_are_unused_where_they_differ_from_the_default() -> None:
    assert list(AugmentationConfig(rotate=20.0).unused) == []
    assert list(AugmentationConfig(rotate=20.0, blur=0.1, box_jitter=0.3, pipeline="file").unused) == ["rotate"]


def test_persons_are_not_pasted_into_the_views_of_a_pipeline() -> None:
    both = {"copy_paste": {}, "pipeline": "file"}
    with pytest.raises(
        ConfigError, match=r"data\.augmentation\.copy_paste: is for built-in views, .*; give one of them"
    ):
        build_config({"name": "both", "data": {"augmentation": both}})
