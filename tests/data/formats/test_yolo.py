import logging

import numpy as np
import pytest
from annotated_folders import PERSONS, assert_as_drawn, draw, iou, prepared_masks, said, write, write_yolo, yolo_line
from PIL import Image

from human_edge_detection.cli.main import main
from human_edge_detection.data.formats.yolo import FORMAT

TRAIN, VAL = {"p0.png", "p1.png", "nobody.png"}, {"p2.png", "p3.png"}


def prepare(root, output, *flags):
    assert main(["prepare-data", "--data_root", str(root), "--output", str(output), *flags]) == 0
    return {split: prepared_masks(output, split) for split in ("train", "val")}


def test_polygons_become_masks(tmp_path, capsys):
    masks = prepare(write_yolo(tmp_path / "yolo"), tmp_path / "out")
    assert (masks["train"].keys(), masks["val"].keys()) == (TRAIN, VAL)
    assert_as_drawn(masks["train"] | masks["val"])
    shown = said(capsys)
    assert f"recognised YOLO segmentation ({tmp_path / 'yolo' / 'data.yaml'}): 3 train, 2 val images" in shown
    assert "as person: 'person' (8 annotations)" in shown


@pytest.mark.parametrize(
    "data",
    [
        "path: /content/somebody/else\ntrain: images/train\nvalid: images/val\nnames: {0: Person, 1: dog}\n",
        "train: ../images/train\nval: ../images/val\nnc: 2\nnames:\n- person\n- dog\n",
        "path: .\ntrain: [images/train]\nval: val.txt\ntest: images/test\nnames:\n  0: person\n  1: dog\n",
    ],
    ids=["of another machine", "Roboflow's", "lists"],
)
def test_ways_to_say_where_the_images_are(tmp_path, data):
    root = write_yolo(tmp_path / "yolo", data)
    write(root / "val.txt", "./images/val/p2.png\n\nimages\\val\\p3.png\n")
    masks = prepare(root, tmp_path / "out")
    assert (masks["train"].keys(), masks["val"].keys()) == (TRAIN, VAL)
    assert_as_drawn(masks["train"] | masks["val"])


def test_a_split_may_have_its_own_images_and_labels(tmp_path):
    root = tmp_path / "yolo"
    write(root / "data.yaml", "train: train/images\nval: valid/images\ntest: test/images\nnames: [person]\n")
    for name, folder in (("p0.png", "train"), ("p1.png", "valid"), ("p2.png", "test")):
        draw(root / folder / "images" / name)
        lines = [yolo_line(person.polygon()) for person in PERSONS[name]]
        write(root / folder / "labels" / name.replace("png", "txt"), "\n".join(lines))
    masks = prepare(root, tmp_path / "out")
    assert_as_drawn(masks["train"] | masks["val"] | prepared_masks(tmp_path / "out", "test"))


def test_images_without_labels_have_nobody_and_are_counted(tmp_path, caplog):
    root = write_yolo(tmp_path / "yolo")
    (root / "labels/train/p1.txt").unlink()
    write(root / "labels/train/gone.txt", "0 0 0 1 0 1 1")
    with caplog.at_level(logging.WARNING):
        splits = FORMAT.read(root).persons(["person"])
    assert len(splits["train"].data["annotations"]) == 2
    assert f"1 of 5 images have no label file and so no persons (first: {root}/labels/train/p1.txt)" in caplog.text
    assert f"1 label files have no image (first: {root}/labels/train/gone.txt)" in caplog.text


def test_a_person_with_a_box_only_is_ignored_not_background(tmp_path, caplog):
    root = write_yolo(tmp_path / "yolo")
    first, second = PERSONS["p0.png"]
    box = [second.cx / 160, second.cy / 120, 2 * second.rx / 160, 2 * second.ry / 120]
    write(root / "labels/train/p0.txt", f"{yolo_line(first.polygon())}\n0 {' '.join(map(str, box))}\n1 .1 .1 .1 .1\n")
    with caplog.at_level(logging.WARNING):
        persons, ignored = prepare(root, tmp_path / "out")["train"]["p0.png"]
    assert len(persons) == 1 and iou(persons[0], first.mask()) > 0.97
    truth = np.zeros_like(ignored)
    truth[24:100, 90:134] = True
    assert iou(ignored, truth) > 0.97
    assert "person annotations have a box and no mask" in caplog.text
    assert f"(first: {root}/labels/train/p0.txt, line 2)" in caplog.text


def test_lines_of_other_classes_may_be_anything(tmp_path):
    root = write_yolo(tmp_path / "yolo")
    write(root / "labels/val/p3.txt", "\n".join(["1 9 9 9 9", *(yolo_line(p.polygon()) for p in PERSONS["p3.png"])]))
    assert_as_drawn(prepare(root, tmp_path / "out")["val"])


def test_a_part_of_the_outline_outside_of_the_image_is_cut_off(tmp_path):
    root = write_yolo(tmp_path / "yolo")
    write(root / "labels/val/p3.txt", "0 -0.05 0 0.25 0 0.25 1 -0.05 1")
    persons, _ = prepare(root, tmp_path / "out")["val"]["p3.png"]
    assert persons[0][:, :40].all() and not persons[0][:, 40:].any()


def test_another_yaml_is_found_by_what_is_in_it(tmp_path):
    root = write_yolo(tmp_path / "yolo")
    (root / "data.yaml").rename(root / "people-seg.yaml")
    write(root / "args.yaml", "epochs: 3")
    assert FORMAT.find(root) == root / "people-seg.yaml"
    (root / "people-seg.yaml").unlink()
    assert FORMAT.find(root) is None


def test_fractions_are_of_the_image_as_it_is_shown(tmp_path):
    root = write_yolo(tmp_path / "yolo")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.new("RGB", (160, 120)).save(root / "images/val/p3.png", exif=exif)
    write(root / "labels/val/p3.txt", "0 0 0 .5 0 .5 .25 0 .25")
    persons, _ = prepare(root, tmp_path / "out")["val"]["p3.png"]
    assert persons[0].shape == (160, 120)
    assert persons[0][:40, :60].all() and persons[0].sum() == 40 * 60
