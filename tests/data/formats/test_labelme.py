import base64
import json
import logging

import cv2
import numpy as np
from annotated_folders import (
    PERSONS,
    assert_as_drawn,
    draw,
    iou,
    labelme_file,
    labelme_shape,
    prepared_masks,
    said,
    write,
    write_labelme,
)

from human_edge_detection.cli.main import main
from human_edge_detection.data.formats.labelme import FORMAT


def prepare(root, output, *flags):
    assert main(["prepare-data", "--data_root", str(root), "--output", str(output), *flags]) == 0
    return {split: prepared_masks(output, split) for split in ("train", "val")}


def prepared_shapes(tmp_path, *shapes):
    """What becomes of the shapes on an image beside one that is as drawn."""
    root = tmp_path / "labelme"
    for name in ("p0.png", "p1.png"):
        draw(root / name)
    write(root / "p0.json", labelme_file("p0.png", [labelme_shape(p.polygon()) for p in PERSONS["p0.png"]]))
    write(root / "p1.json", labelme_file("p1.png", shapes))
    return prepare(root, tmp_path / "out", "--val_fraction", "0.5")


def test_a_seeded_part_becomes_the_validation_split(tmp_path, capsys):
    root = write_labelme(tmp_path / "labelme")
    masks = prepare(root, tmp_path / "out", "--val_fraction", "0.4")
    assert (len(masks["train"]), len(masks["val"])) == (3, 2)
    assert_as_drawn(masks["train"] | masks["val"])
    shown = said(capsys)
    assert f"recognised LabelMe ({root / 'nobody.json'}): 5 train images" in shown
    assert "no validation split in it: 2 of 5 images are val now, drawn with seed 0; --val_fraction 0.4" in shown
    assert prepare(root, tmp_path / "again", "--val_fraction", "0.4")["val"].keys() == masks["val"].keys()
    others = [prepare(root, tmp_path / "out", "--seed", str(seed))["val"].keys() for seed in range(1, 5)]
    assert any(keys != masks["val"].keys() for keys in others)


def test_folders_named_as_splits_are_splits(tmp_path):
    root = tmp_path / "labelme"
    for name, folder in (("p0.png", "train"), ("p1.png", "Validation/monday")):
        draw(root / folder / name)
        shapes = [labelme_shape(person.polygon()) for person in PERSONS[name]]
        write(root / folder / name.replace("png", "json"), labelme_file(name, shapes))
    masks = prepare(root, tmp_path / "out")
    assert (masks["train"].keys(), masks["val"].keys()) == ({"p0.png"}, {"p1.png"})
    assert_as_drawn(masks["train"] | masks["val"])


def test_a_group_is_one_person_whatever_its_shapes_are(tmp_path):
    shapes = [
        labelme_shape([20, 20, 40, 20, 40, 60, 20, 60], group_id=7),
        labelme_shape([30, 10, 30, 18], "circle", group_id=7),
        labelme_shape([22, 60, 38, 100], "rectangle", group_id=7),
        labelme_shape([100, 20, 120, 20, 120, 60, 100, 60], group_id=8),
        labelme_shape([98, 18, 122, 62], "rectangle", group_id=8),  # around the person, so it says nothing new
    ]
    masks = prepared_shapes(tmp_path, *shapes)
    persons, ignored = (masks["train"] | masks["val"])["p1.png"]
    first, second = np.zeros((2, 120, 160), bool)
    first[20:60, 20:40] = first[60:100, 22:38] = True
    y, x = np.mgrid[:120, :160] + 0.5
    first |= (x - 30) ** 2 + (y - 10) ** 2 <= 64
    second[20:60, 100:120] = True
    assert [iou(a, b) > 0.97 for a, b in zip(persons, (first, second), strict=True)] == [True, True]
    assert not ignored.any()


def test_a_lone_rectangle_is_ignored_and_points_are_left_out(tmp_path, caplog):
    good = labelme_shape(PERSONS["p1.png"][0].polygon())
    rectangle = labelme_shape([134, 100, 90, 20], "rectangle")
    with caplog.at_level(logging.WARNING):
        masks = prepared_shapes(tmp_path, good, rectangle, labelme_shape([5, 5], "point"))
    persons, ignored = (masks["train"] | masks["val"])["p1.png"]
    truth = np.zeros_like(ignored)
    truth[20:100, 90:134] = True
    assert len(persons) == 1 and iou(ignored, truth) > 0.97
    assert "person annotations have a box and no mask" in caplog.text and "p1.json, shape 1)" in caplog.text
    assert "1 shapes of persons are points, lines or something else" in caplog.text


def test_masks_of_its_artificial_intelligence_are_read(tmp_path):
    mask = PERSONS["p1.png"][0].mask()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    _, png = cv2.imencode(".png", mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8))
    corners = [columns[0], rows[0], columns[-1], rows[-1]]
    shape = labelme_shape([float(value) for value in corners], "mask", mask=base64.b64encode(png.tobytes()).decode())
    masks = prepared_shapes(tmp_path, shape)
    persons, _ = (masks["train"] | masks["val"])["p1.png"]
    assert np.array_equal(persons[0], mask)


def test_early_and_foreign_files_are_read(tmp_path, caplog):
    root = write_labelme(tmp_path / "labelme")
    early = json.loads((root / "p0.json").read_text())
    del early["imageHeight"], early["imageWidth"]
    for shape in early["shapes"]:
        del shape["shape_type"], shape["group_id"]
    early["imagePath"] = "C:\\images\\p0.png"
    write(root / "p0.json", json.dumps(early))
    write(root / "notes.json", "{}")
    write(root / ".hidden" / "p0.json", "no JSON")
    write(root / "__MACOSX" / "._p0.json", "no JSON")
    draw(root / "more" / "p0.png")
    with caplog.at_level(logging.WARNING):
        masks = prepare(root, tmp_path / "out")
    assert_as_drawn(masks["train"] | masks["val"])
    assert f"1 JSON files are not LabelMe's (first: {root}/notes.json)" in caplog.text
    assert f"1 images have no JSON file and are left out (first: {root}/more/p0.png)" in caplog.text


def test_other_json_is_not_labelme(tmp_path):
    write(tmp_path / "a.json", '{"images": [], "shapes": []}')
    assert FORMAT.find(tmp_path) is None
