"""Whatever is wrong in a folder of YOLO, LabelMe, CVAT or Roboflow: one line that names file, place and what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotated_folders import (
    cvat_file,
    element,
    labelme_file,
    labelme_shape,
    write,
    write_cvat,
    write_labelme,
    write_yolo,
)

from human_edge_detection.data.annotations.coco import check_annotations
from human_edge_detection.data.formats.recognise import recognise
from human_edge_detection.errors import DataError

Case = tuple[Callable[[Path], Any], str]
"""How a folder is spoilt, and words of the refusal."""

SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]
POINTS = "10,10;30,10;30,30;10,30"


def text(file: str, content: str, words: str) -> Case:
    return lambda root: write(root / file, content), words


def raw(file: str, content: bytes, words: str) -> Case:
    return lambda root: (root / file).write_bytes(content), words


def gone(file: str, words: str) -> Case:
    return lambda root: (root / file).unlink(), words


def label_becomes_folder(root: Path) -> None:
    file = root / "labels/train/p0.txt"
    file.unlink()
    file.mkdir()


def label(line: str, words: str) -> Case:
    return text("labels/train/p0.txt", f"0 0 0 1 0 1 1\n{line}\n", f"labels/train/p0.txt, line 2: {words}")


def data_yaml(content: str, words: str) -> Case:
    return text("data.yaml", content, f"data.yaml{words}")


YOLO: dict[str, Case] = {
    "word": label("0 .1 .1 .2 x .3 .3", "'x', expected numbers: class x1 y1"),
    "comma": label("0,.1,.1,.2,.1,.3,.3", "'0,.1,.1,.2,.1,.3,.3', expected numbers"),
    "unknown class": label("2 0 0 1 0 1 1", "class 2, expected one of the 2 classes of"),
    "negative class": label("-1 0 0 1 0 1 1", "class -1, expected"),
    "fractional class": label("0.5 0 0 1 0 1 1", "class 0.5, expected"),
    "infinite class": label("inf 0 0 1 0 1 1", "class inf, expected"),
    "class alone": label("0", "0 numbers after the class, expected x and y of at least 3 points"),
    "two points and a confidence": label("0 0 0 1 0 1", "5 numbers after the class"),
    "odd polygon": label("0 0 0 1 0 1 1 .5", "7 numbers after the class"),
    "pixels": label("0 10 10 30 10 30 30", "coordinate 10, expected fractions of the image"),
    "percent": label("0 .9 .9 30 10 30 30", "coordinate 30, expected fractions"),
    "NaN": label("0 nan 0 1 0 1 1", "coordinate nan, expected fractions"),
    "infinity": label("0 0 0 1 0 1 inf", "coordinate inf, expected fractions"),
    "huge": label("0 0 0 1 0 1 1e308", "coordinate 1e+308, expected fractions"),
    "box in pixels": label("0 80 60 40 80", "coordinate 60, expected fractions"),
    "not text": raw("labels/train/p0.txt", b"\xff\xfe\x00", "p0.txt: not UTF-8 text"),
    "label is a folder": (
        label_becomes_folder,
        "labels/train/p0.txt: cannot be read (Is a directory)",
    ),
    "image is none": raw("images/train/p0.png", b"<html>", "p0.png is not an image"),
    "image of another kind": raw("images/train/p9.tif", b"II*\0", "p9.tif is not an image"),
    "broken YAML": data_yaml("names: [person\ntrain: x", ", line 2: "),
    "YAML with tags": data_yaml("names: !!python/object:x []", ", line 1: tags are not supported"),
    "YAML that grows": data_yaml("a: &a [1]\nb: *a", ", line 1: anchors are not supported"),
    "list": data_yaml("- train", ": holds a list, expected 'train', 'val' and 'names'"),
    "empty": data_yaml("", ": holds a NoneType"),
    "no names": data_yaml("train: images/train\nval: images/val", ": 'names' is None, expected a list of names"),
    "names is a file": data_yaml("names: coco.names\ntrain: images/train", ": 'names' is 'coco.names'"),
    "name is a list": data_yaml("names: [[person]]\ntrain: images/train", ": 'names' has 0: ['person']"),
    "names by name": data_yaml("names: {person: 0}\ntrain: images/train", ": 'names' has 'person': 0, expected"),
    "no split": data_yaml("names: [person]", ": has no 'train' and no 'val'"),
    "no such folder": data_yaml("names: [person]\ntrain: imgs", ": 'train' is 'imgs', which is no folder"),
    "a number": data_yaml("names: [person]\ntrain: 3", ": 'train' is 3, which is no folder"),
    "no images there": data_yaml("names: [person]\ntrain: labels", ": 'train' is 'labels', where no images are"),
    "key points": data_yaml("names: [person]\ntrain: images\nkpt_shape: [17, 3]", ": has kpt_shape"),
    "listed and not there": (
        lambda root: (
            write(root / "data.yaml", "names: [person]\ntrain: list.txt"),
            write(root / "list.txt", "images/train/p0.png\n\n/content/p1.png"),
        ),
        "list.txt, line 3: no image '/content/p1.png' below",
    ),
    "labels elsewhere": (lambda root: (root / "labels").rename(root / "annotations"), "none of 5 images has a label"),
    "boxes only": (
        lambda root: [write(file, "0 .5 .5 .2 .2") for file in (root / "labels").glob("*/*.txt")],
        "all 3 persons have a box and no mask",
    ),
    "the same person twice": data_yaml("names: {0: person, 0: person}", ", line 1: '0' is given twice"),
}


def labelme(words: str, **fields: Any) -> Case:
    """Changes fields of the file; ``shapes`` among them."""
    content = json.dumps({**json.loads(labelme_file("p0.png", [])), **fields})
    return text("p0.json", content, f"p0.json{words}")


def shape(words: str, **fields: Any) -> Case:
    return labelme(f", shape 1: {words}", shapes=[labelme_shape(SQUARE), {**labelme_shape(SQUARE), **fields}])


LABELME: dict[str, Case] = {
    "not JSON": text("p0.json", '{"shapes": [', "p0.json: not valid JSON (Expecting value: line 1 column 13"),
    "not text": raw("p0.json", b"\xff", "p0.json: not UTF-8 text"),
    "a list": text("p0.json", "[]", "p0.json: holds a JSON list, expected an object; give a file as LabelMe writes it"),
    "key twice": text("p0.json", '{"shapes": [], "shapes": []}', "p0.json: not valid JSON (an object has the key"),
    "shapes is an object": labelme(": 'shapes' is {}, expected a list of objects", shapes={}),
    "shape is text": labelme(": 'shapes' is ['x'], expected a list", shapes=["x"]),
    "no image named": labelme(": 'imagePath' is None, expected the path", imagePath=None),
    "image elsewhere": (
        lambda root: (root / "p0.png").unlink(),
        "images are not in",
    ),
    "size of text": labelme(": 'imageWidth' is '160', expected an integer", imageWidth="160"),
    "empty image": labelme(", shape 0: size 0 x 120", imageWidth=0, shapes=[labelme_shape(SQUARE)]),
    "huge image": labelme(
        ", shape 0: size 99999 x 99999", imageWidth=99999, imageHeight=99999, shapes=[labelme_shape(SQUARE)]
    ),
    "label of a number": shape("'label' is 3, expected a name", label=3),
    "group of a list": shape("'group_id' is [], expected an integer", group_id=[]),
    "kind of a number": shape("'shape_type' is 3, expected", shape_type=3),
    "no points": shape("'points' is None, expected a list", points=None),
    "flat points": shape("a point is 10, expected [x, y]", points=SQUARE),
    "three coordinates": shape("a point is [1, 2, 3], expected", points=[[1, 2, 3]]),
    "coordinate of text": shape("a point is ['1', 2], expected", points=[["1", 2]]),
    "coordinate of true": shape("a point is [True, 2], expected", points=[[True, 2]]),
    "NaN": shape("a point is [nan, 2], expected", points=[[float("nan"), 2], [3, 4], [5, 6]]),
    "huge integer": shape("a point is [1000000", points=[[10**400, 2]]),
    "two points": shape("polygon 0 has 4 coordinates", points=[[1, 1], [9, 9]]),
    "far away": shape("polygon 0 has the coordinate 5000 at position 0", points=[[5000, 1], [9, 9], [1, 9]]),
    "half a circle": shape("a circle has 1 points, expected 2", shape_type="circle", points=[[1, 1]]),
    "huge circle": shape("polygon 0 has the coordinate", shape_type="circle", points=[[1, 1], [9000, 1]]),
    "half a rectangle": shape("a rectangle has 1 points", shape_type="rectangle", points=[[1, 1]]),
    "mask without pixels": shape("'mask' is empty", shape_type="mask", points=[[1, 1], [9, 9]]),
    "mask of no base64": shape("'mask' is '%%', expected a PNG", shape_type="mask", mask="%%", points=[[1, 1], [9, 9]]),
    "mask of no PNG": shape("'mask' is not an image", shape_type="mask", mask="AAAA", points=[[1, 1], [9, 9]]),
    "an image twice": (
        lambda root: write(root / "q.json", labelme_file("p0.png", [])),
        "q.json: is about",
    ),
    "rectangles only": (
        lambda root: [
            write(root / f"p{n}.json", labelme_file(f"p{n}.png", [labelme_shape([1, 1, 9, 9], "rectangle")]))
            for n in range(4)
        ],
        "all 4 persons have a box and no mask",
    ),
}


def xml(words: str, *shapes: str, **attributes: object) -> Case:
    return text("annotations.xml", cvat_file({"p0.png": shapes}, **attributes), f"annotations.xml, line {words}")


def mask(words: str, **attributes: object) -> Case:
    given: dict[str, Any] = {"rle": "0, 4", "left": 1, "top": 1, "width": 2, "height": 2, **attributes}
    return xml(f"6: {words}", element("mask", label="person", **given))


CVAT: dict[str, Case] = {
    "not XML": text("annotations.xml", "<annotations>\n<image", "annotations.xml, line 2: not valid XML (unclosed"),
    "empty": text("annotations.xml", "", "annotations.xml, line 1: not valid XML (no element found)"),
    "not UTF-8": raw("annotations.xml", b"<annotations name='\xff'/>", "line 1: not valid XML (not well-formed"),
    "another encoding": raw(
        "annotations.xml", b"<?xml version='1.0' encoding='latin-1'?><a b='\xe9'/>", "line 1: not valid XML"
    ),
    "cut off": text("annotations.xml", cvat_file({"p0.png": []})[:-20], "annotations.xml, line 7: not valid XML"),
    "entities": text(
        "annotations.xml",
        '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "x">]>\n<annotations>&b;</annotations>',
        "annotations.xml, line 2: a document type, expected XML without one",
    ),
    "another file's text": text(
        "annotations.xml",
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations>&b;</annotations>',
        "line 1: a document type",
    ),
    "Pascal VOC": text("annotations.xml", "<annotation/>", "line 1: <annotation>, expected <annotations>"),
    "video": text(
        "annotations.xml",
        '<annotations>\n<track id="0" label="person"/></annotations>',
        "line 2: <track>, so these are annotations of a video; export as 'CVAT for images 1.1'",
    ),
    "no name": text(
        "annotations.xml", '<annotations><image width="9" height="9"/></annotations>', "line 1: no attribute 'name'"
    ),
    "name that leads out": text(
        "annotations.xml",
        '<annotations><image name="../p0.png" width="9" height="9"/></annotations>',
        "line 1: name is '../p0.png', which leads out",
    ),
    "size of text": text(
        "annotations.xml",
        '<annotations><image name="p0.png" width="9" height="x"/></annotations>',
        "line 1: height is 'x', expected an integer",
    ),
    "huge image": text(
        "annotations.xml",
        '<annotations>\n<image name="p0.png" width="9" height="99999">\n'
        '<polygon label="person" points="1,1;9,1;9,9"/></image></annotations>',
        "annotations.xml, line 3: size 9 x 99999",
    ),
    "images elsewhere": gone("images/p0.png", "annotations.xml: 1 of 5 images are not in"),
    "no label": xml("6: no attribute 'label'", element("polygon", points="1,1;9,1;9,9")),
    "no points": xml("6: no attribute 'points'", element("polygon", label="person")),
    "points of text": xml("6: points has 'x'", element("polygon", label="person", points="1,1;9,x;9,9")),
    "points of NaN": xml("6: points has 'nan'", element("polygon", label="person", points="1,1;9,nan;9,9")),
    "points in threes": xml("6: points are '1,1,1", element("polygon", label="person", points="1,1,1;9,9,9;9,9,1")),
    "two points": xml("6: polygon 0 has 4 coordinates", element("polygon", label="person", points="1,1;9,9")),
    "far away": xml("6: polygon 0 has the coordinate", element("polygon", label="person", points="1,1;9,1;9999,9")),
    "ellipse without radius": xml("6: no attribute 'ry'", element("ellipse", label="person", cx=9, cy=9, rx=5)),
    "turned by text": xml(
        "6: rotation has 'x'", element("ellipse", label="person", cx=9, cy=9, rx=5, ry=5, rotation="x")
    ),
    "box of text": xml("6: xtl has 'x'", element("box", label="person", xtl="x", ytl=1, xbr=9, ybr=9)),
    "mask too short": mask("rle has 3 pixels, expected width x height = 2 x 2", rle="0, 3"),
    "mask of text": mask("rle is '0, x', expected run lengths", rle="0, x"),
    "mask of negative runs": mask("rle is '5, -1', expected run lengths", rle="5, -1"),
    "mask of huge runs": mask("rle is '9999999999', expected run lengths", rle="9999999999"),
    "mask without box": xml("6: no attribute 'left'", element("mask", label="person", rle="0, 4")),
    "mask wider than the image": mask("rle has 4 pixels, expected width x height = 200 x 2", width=200),
    "mask at the edge": mask("a mask of 2 x 2 at x 159, y 1 does not lie in the image", left=159),
    "mask at a fraction": mask("left is '1.5', expected an integer", left=1.5),
    "boxes only": text(
        "annotations.xml",
        cvat_file({"p0.png": [element("box", label="person", xtl=1, ytl=1, xbr=9, ybr=9)]}),
        "all 1 persons have a box and no mask",
    ),
}

WRITERS = {"yolo": write_yolo, "labelme": write_labelme, "cvat": write_cvat}
CASES = {
    f"{name}: {case}": (name, *spoilt)
    for name, cases in (("yolo", YOLO), ("labelme", LABELME), ("cvat", CVAT))
    for case, spoilt in cases.items()
}


def test_the_table_is_long() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize("name", CASES)
def test_bad_folders_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    kind, spoil, words = CASES[name]
    root = WRITERS[kind](tmp_path / "data")
    spoil(root)
    with pytest.raises(DataError) as error:
        for split in recognise(root, kind).dataset.persons(["person"]).values():
            people = check_annotations(split)
            assert people.images
    message = str(error.value)
    assert words in message
    assert str(root) in message
    assert "\n" not in message and len(message) < 600


BAD_IMAGES: dict[str, Case] = {
    "yolo: line": (YOLO["odd polygon"][0], "line 2: 7 numbers after the class"),
    "yolo: unknown class": (YOLO["unknown class"][0], "line 2: class 2"),
    "yolo: coordinate": (YOLO["pixels"][0], "line 2: coordinate 10"),
    "yolo: cut image": raw("images/train/p0.png", b"\x89PNG\r\n\x1a\n", "is cut off"),
    "labelme: not JSON": raw("p0.json", b"{", "p0.json: not valid JSON"),
    "labelme: shape": (LABELME["huge image"][0], "shape 0: size 99999 x 99999"),
    "labelme: no image": gone("p0.png", "p0.png' (is missing)"),
    "cvat: points": text(
        "annotations.xml",
        cvat_file({f"p{k}.png": [element("polygon", label="person", points=p)] for k, p in enumerate(("x", POINTS))}),
        "annotations.xml, line 6: points are 'x', expected x,y",
    ),
    "cvat: no image": gone("images/p0.png", "p0.png' (is missing)"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_of_every_format_is_left_out_on_demand(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind = name.split(":")[0]
    spoil, words = BAD_IMAGES[name]
    root = WRITERS[kind](tmp_path / "data")
    spoil(root)
    split = recognise(root, kind).dataset.persons(["person"])["train"]
    people = check_annotations(split, skip_bad=True)
    (bad,) = people.skipped
    assert Path(bad.file_name).name == "p0.png"
    assert words in caplog.text
    assert people.images.person_counts.any()
