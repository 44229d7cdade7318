"""Preparing data from Python."""

from pathlib import Path
from typing import Any

import pytest
from annotated_folders import write_yolo

import human_edge_detection as hed
from human_edge_detection.errors import ConfigError
from human_edge_detection.files.data_folder import find_splits


def test_a_folder_is_made_and_nothing_printed(
    tiny_coco: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "human_edge_detection.api.data"):
        prepared = hed.prepare_data(tiny_coco, output=tmp_path / "out", max_side=64, max_images=3)
    assert {split: one.images for split, one in prepared.statistics.items()} == {"train": 3, "val": 3}
    assert len(prepared.class_weights) == 3
    assert find_splits(tmp_path / "out")
    assert capfd.readouterr() == ("", "")
    assert f"recognised COCO ({tiny_coco}/annotations/instances_train.json)" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "no data given"),
        ({"data_root": "x", "format": "yollo"}, r"--format yollo: expected .*\(did you mean 'yolo'\?\)"),
        ({"data_root": "x", "crowds": "drop"}, "--crowds drop: expected ignore, remove"),
        ({"data_root": "x", "train": ("a.json", "b")}, "--data_root: give it alone"),
        ({"train": ("a.json", None)}, "give both or none"),
    ],
)
def test_mistakes_are_named_as_the_command_line_names_them(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        hed.prepare_data(output=tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_unit_is_asked_only_where_a_format_leaves_it_open(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--outlines percent: YOLO segmentation says what its numbers are"):
        hed.prepare_data(write_yolo(tmp_path / "data"), output=tmp_path / "out", outlines="percent")
