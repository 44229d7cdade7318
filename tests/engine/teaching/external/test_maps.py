"""A folder of maps: which file is of which image and person, and what is no map."""

import io
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from external_answers import training_people, true_mask, write_maps

from human_edge_detection.data.annotations.annotation_set import AnnotationSet
from human_edge_detection.engine.teaching.external.maps import read_map, read_maps
from human_edge_detection.errors import DataError

SIZE = (96, 128)


@pytest.fixture
def people(tiny_coco: Path) -> AnnotationSet:
    return training_people(tiny_coco)


@pytest.fixture
def renamed(tiny_coco: Path, tmp_path: Path) -> AnnotationSet:
    """The first image, of persons 1 and 2, is called ``a.png``, the second ``a_1.png``, the third ``s/a.png``."""
    root = Path(shutil.copytree(tiny_coco, tmp_path / "data"))
    file, images = root / "annotations" / "instances_train.json", root / "images" / "train"
    (images / "s").mkdir()
    for old, new in (("000001.png", "a.png"), ("000002.png", "a_1.png"), ("000003.png", "s/a.png")):
        (images / old).rename(images / new)
        file.write_text(file.read_text().replace(old, new))
    return training_people(root)


@pytest.mark.parametrize("name", ["8 bit", "16 bit", "float16", "float64", "bool"])
def test_a_map_is_probabilities(name: str, tmp_path: Path) -> None:
    levels = np.linspace(0, 1, 96 * 128).reshape(SIZE)
    path = tmp_path / ("map.png" if "bit" in name else "map.npy")
    if name == "8 bit":
        cv2.imwrite(str(path), np.rint(levels * 255).astype(np.uint8))
    elif name == "16 bit":
        cv2.imwrite(str(path), np.rint(levels * 65535).astype(np.uint16))
    else:
        np.save(path, (levels > 0.5) if name == "bool" else levels.astype(name))
    read = read_map(path, SIZE)
    assert read.values.dtype == np.float32
    assert read.is_binary == (name == "bool")
    assert np.allclose(read.values, levels > 0.5 if name == "bool" else levels, atol=1 / 255)


@pytest.mark.parametrize(
    ("rows", "columns", "good"), [(48, 64, True), (96, 128, True), (77, 102, True), (50, 64, False)]
)
def test_a_map_has_the_proportions_of_its_image(rows: int, columns: int, good: bool, tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    cv2.imwrite(str(path), np.zeros((rows, columns), np.uint8))
    if good:
        assert read_map(path, SIZE).size == (rows, columns)
        return
    with pytest.raises(
        DataError, match=r"map .*map\.png: is 64 x 50 \(width x height\), expected the image's 128 x 96"
    ):
        read_map(path, SIZE)


BAD: dict[str, tuple[str, Any, str]] = {
    "values above 1": (
        "m.npy",
        np.full(SIZE, 1.5),
        r"has values from 1\.5 to 1\.5, expected probabilities in \[0, 1\]",
    ),
    "logits": ("m.npy", np.full(SIZE, -2.0), "no logits"),
    "NaN": ("m.npy", np.full(SIZE, np.nan), "no NaN"),
    "classes": ("m.npy", np.zeros(SIZE, np.int64), "holds int64, expected floats"),
    "two channels": ("m.npy", np.zeros((*SIZE, 2)), r"is of shape \(96, 128, 2\), expected"),
    "text": ("m.npy", b"no array", "is no array that numpy.save wrote"),
    "objects": ("m.npy", np.array([[None]]), "is no array that numpy.save wrote"),
    "colours": ("m.png", np.zeros((*SIZE, 3), np.uint8), "has 3 channels, expected one"),
    "cut off": ("m.png", b"\x89PNG\r\n\x1a\n", "map .*m.png: "),
    "empty": ("m.png", b"", "map .*m.png: "),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_map_is_named_in_one_line(case: str, tmp_path: Path) -> None:
    name, content, message = BAD[case]
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npy":
        np.save(path, content)
    else:
        cv2.imwrite(str(path), content)
    with pytest.raises(DataError, match=message) as raised:
        read_map(path, SIZE)
    assert "\n" not in str(raised.value)
    assert name in str(raised.value)


def test_names_say_which_image_and_which_person(people: AnnotationSet, tmp_path: Path) -> None:
    record = people.images[0]
    folder = write_maps(tmp_path / "maps", people, persons=True)
    np.save(folder / "000001.png.npy", true_mask(record).astype(np.float32))
    (folder / "notes.txt").write_text("no map")
    (folder / "of_another.png").write_bytes(b"")
    answers = read_maps(folder, people)
    assert (answers.has_instances, answers.others) == (True, 1)
    said = answers.of(0)
    assert said is not None
    assert said.person_map is not None
    assert [instance.annotation_id for instance in said.instances] == [person.id for person in record.persons]
    assert np.array_equal(said.instances[0].map.values, true_mask(record, record.persons[0].id))
    assert answers.of(2) is None  # nobody is there, and no map
    again = read_maps(folder, people)
    assert again.sha256 == answers.sha256
    cv2.imwrite(str(folder / "000001_1.png"), np.zeros(SIZE, np.uint8))
    assert read_maps(folder, people).sha256 != answers.sha256


def names_in(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros(SIZE, np.uint8))
    return folder


def test_a_name_that_may_be_two_things_is_not_guessed(renamed: AnnotationSet, tmp_path: Path) -> None:
    """``a_1`` is an image, and person 1 of image ``a``; ``a_2`` can only be person 2."""
    assert [person.id for person in renamed.images[0].persons] == [1, 2]
    maps = names_in(tmp_path / "maps", "a.png", "a_2.png", "s/a.png")
    assert read_maps(maps, renamed).files == {0: {None: "a.png", 2: "a_2.png"}, 2: {None: "s/a.png"}}
    with pytest.raises(DataError, match=r"a_1\.png: may be the person map of a_1\.png or person 1 of a\.png; name it"):
        read_maps(names_in(maps, "a_1.png"), renamed)
    (maps / "a_1.png").unlink()
    files = read_maps(names_in(maps, "a_1.png.png", "a.png_1.png"), renamed).files
    assert (files[0][1], files[1][None]) == ("a.png_1.png", "a_1.png.png")


def test_two_maps_of_one_thing_are_refused(people: AnnotationSet, tmp_path: Path) -> None:
    folder = names_in(tmp_path / "maps", "000001.png", "000001.png.png")
    with pytest.raises(DataError, match=r"000001\.png\.png: is the person map of 000001\.png, as 000001\.png is"):
        read_maps(folder, people)


def test_a_folder_without_maps_of_these_images_is_refused(people: AnnotationSet, tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    with pytest.raises(DataError, match=r"maps: no maps in it, expected <image>\.png"):
        read_maps(tmp_path / "maps", people)
    names_in(tmp_path / "maps", "x.png", "000001_999.png")
    with pytest.raises(DataError, match=r"none of its 2 maps \(000001_999\.png, x\.png\) is named after an image of"):
        read_maps(tmp_path / "maps", people)


def test_an_array_that_says_it_is_larger_than_memory_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.lib.format.write_array_header_1_0(
        stream := io.BytesIO(), {"descr": "<f4", "fortran_order": False, "shape": (10**8, 10**7)}
    )
    file.write_bytes(stream.getvalue() + b"few")
    with pytest.raises(DataError, match=r"map .*a\.npy: says of itself that it is larger than memory"):
        read_map(file, (96, 128))
