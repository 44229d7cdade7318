from importlib import import_module

import pytest
from annotated_folders import coco_file, draw, write, write_cvat, write_labelme, write_yolo

from human_edge_detection.data.formats import FORMATS
from human_edge_detection.data.formats.recognise import recognise
from human_edge_detection.errors import DataError


def write_coco(root):
    draw(root / "images" / "p0.png")
    write(root / "people.json", coco_file(["p0.png"]))
    return root


def write_roboflow(root):
    draw(root / "train" / "p0.png")
    write(root / "train" / "_annotations.coco.json", coco_file(["p0.png"]))
    return root


WRITERS = {
    "coco": write_coco,
    "yolo": write_yolo,
    "labelme": write_labelme,
    "roboflow": write_roboflow,
    "cvat": write_cvat,
}


def test_there_is_a_writer_for_every_format():
    assert {*FORMATS} == WRITERS.keys()


@pytest.mark.parametrize("name", WRITERS)
def test_each_is_recognised_as_itself_and_nothing_else(tmp_path, name):
    root = WRITERS[name](tmp_path / "data")
    expected = import_module(f"human_edge_detection.data.formats.{name}").FORMAT
    assert recognise(root).format == recognise(root, name).format == expected
    for other in WRITERS.keys() - {name}:
        with pytest.raises(DataError, match=f"data folder {root} is not recognised"):
            recognise(root, other)


def test_a_folder_in_two_formats_is_not_guessed(tmp_path):
    write_cvat(write_yolo(tmp_path))
    with pytest.raises(DataError, match=r"several formats: .*xml \(CVAT\), .*yaml \(YOLO segmentation\)") as error:
        recognise(tmp_path)
    assert "give --format cvat or --format yolo" in str(error.value)
    assert recognise(tmp_path, "yolo").dataset.image_counts == {"train": 3, "val": 2}


def test_where_it_is_not_and_where_it_is(tmp_path):
    (tmp_path / ".cache").mkdir()
    write_yolo(tmp_path / "unpacked" / "people")
    with pytest.raises(DataError, match=f"is not recognised; did you mean {tmp_path}/unpacked/people"):
        recognise(tmp_path / "unpacked")
    with pytest.raises(DataError, match=r"data\.yaml is a file; give the folder that it lies in, or unpack it"):
        recognise(tmp_path / "unpacked" / "people" / "data.yaml")
    with pytest.raises(DataError, match="data folder nowhere does not exist"):
        recognise(tmp_path.with_name("nowhere").relative_to(tmp_path.parent))
    with pytest.raises(DataError) as error:
        recognise(tmp_path / ".cache")
    for title in ("COCO:", "YOLO segmentation:", "LabelMe:", "Roboflow COCO:", "CVAT:"):
        assert title in str(error.value)
