from human_edge_detection.experiments.schema.data import AugmentationConfig


def test_built_in_views_that_a_pipeline_replaces_are_unused_where_they_differ_from_the_default() -> None:
    assert list(AugmentationConfig(rotate=20.0).unused) == []
    assert list(AugmentationConfig(rotate=20.0, blur=0.1, box_jitter=0.3, pipeline="file").unused) == ["rotate"]
