import logging

import numpy as np
from annotated_folders import (
    HEIGHT,
    PERSONS,
    WIDTH,
    assert_as_drawn,
    coco_file,
    cvat_file,
    cvat_points,
    draw,
    element,
    iou,
    prepared_masks,
    said,
    write,
    write_cvat,
)

from human_edge_detection.cli.main import main


def prepare(root, output, *flags):
    assert main(["prepare-data", "--data_root", str(root), "--output", str(output), *flags]) == 0
    return prepared_masks(output, "train") | prepared_masks(output, "val")


def one_image(tmp_path, *shapes):
    """What becomes of the shapes on ``p1.png``, in an export without subsets."""
    root = tmp_path / "cvat"
    for name in ("p0.png", "p1.png"):
        draw(root / "images" / name)
    good = [element("polygon", label="person", points=cvat_points(p.polygon())) for p in PERSONS["p0.png"]]
    write(root / "annotations.xml", cvat_file({"p0.png": good, "p1.png": shapes}))
    return prepare(root, tmp_path / "out", "--val_fraction", "0.5")["p1.png"]


def test_polygons_and_masks_of_a_task(tmp_path, capsys):
    root = write_cvat(tmp_path / "cvat")
    assert_as_drawn(prepare(root, tmp_path / "out"))
    shown = said(capsys)
    assert f"recognised CVAT ({root / 'annotations.xml'}): 5 train images; as person: 'person' (8 annotations)" in shown
    assert "1 of 5 images are val now" in shown


def test_subsets_of_a_project_are_splits(tmp_path):
    root, parts = tmp_path / "cvat", []
    for subset, name in (("Validation", "p1.png"), ("Train", "p0.png")):
        draw(root / "images" / subset / name)
        shapes = [element("polygon", label="person", points=cvat_points(p.polygon())) for p in PERSONS[name]]
        parts.append(cvat_file({name: shapes}, subset=subset).splitlines()[4:-1])
    write(root / "annotations.xml", "\n".join(["<annotations>", *parts[0], *parts[1], "</annotations>"]))
    assert_as_drawn(prepare(root, tmp_path / "out"))
    assert prepared_masks(tmp_path / "out", "val").keys() == {"p1.png"}


def test_groups_ellipses_and_turned_shapes(tmp_path):
    persons, ignored = one_image(
        tmp_path,
        element("polygon", label="person", points="20,20;40,20;40,60;20,60", group_id=3),
        element("ellipse", label="person", cx=30, cy=70, rx=20, ry=6, rotation=90, group_id=3),
        element("ellipse", label="person", cx=100, cy=60, rx=30, ry=10, rotation=30),
    )
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    first, second = np.zeros((2, HEIGHT, WIDTH), bool)
    first[20:60, 20:40] = True
    first |= ((x - 30) / 6) ** 2 + ((y - 70) / 20) ** 2 <= 1
    cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
    along, across = (x - 100) * cosine + (y - 60) * sine, (y - 60) * cosine - (x - 100) * sine
    second = (along / 30) ** 2 + (across / 10) ** 2 <= 1  # turned clockwise: its right end is lower
    assert [iou(a, b) > 0.96 for a, b in zip(persons, (first, second), strict=True)] == [True, True]
    assert not ignored.any()


def test_a_box_is_ignored_and_what_has_no_area_is_left_out(tmp_path, caplog):
    skeleton = element("skeleton", element("points", label="nose", points="5,5"), label="person")
    with caplog.at_level(logging.WARNING):
        persons, ignored = one_image(
            tmp_path,
            element("polygon", label="person", points="20,20;40,20;40,60;20,60"),
            element("box", label="person", xtl="90.00", ytl="20.00", xbr="134.00", ybr="100.00"),
            element("polyline", label="person", points="1,1;9,9"),
            skeleton,
            element("tag", label="blurred"),
        )
    truth = np.zeros_like(ignored)
    truth[20:100, 90:134] = True
    assert len(persons) == 1 and iou(ignored, truth) > 0.97
    assert "person annotations have a box and no mask" in caplog.text and "annotations.xml, line 11)" in caplog.text
    assert "2 shapes of persons are points, lines or something else" in caplog.text


def test_its_coco_export_is_read(tmp_path, capsys):
    root = tmp_path / "cvat"
    for name in PERSONS:
        draw(root / "images" / "default" / name)
    write(root / "annotations" / "instances_default.json", coco_file(PERSONS, 2, [(1, "car"), (2, "Pedestrian")]))
    assert_as_drawn(prepare(root, tmp_path / "out", "--category", "pedestrian"))
    assert "recognised CVAT" in said(capsys)
    (root / "images" / "default").rename(root / "moved")
    (root / "images").rmdir()
    (root / "moved").rename(root / "images")
    assert_as_drawn(prepare(root, tmp_path / "out", "--category", "pedestrian"))
