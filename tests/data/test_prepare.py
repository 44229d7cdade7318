import json

import cv2
import numpy as np
import pytest
from PIL import Image

from human_edge_detection.data.annotations.coco import check_annotations, decode_mask, read_annotations, read_split
from human_edge_detection.data.images.read import read_image
from human_edge_detection.data.prepare import Preparation, prepare
from human_edge_detection.data.statistics import suggested_class_weights
from human_edge_detection.errors import DataError
from human_edge_detection.files.data_folder import find_split


@pytest.fixture
def splits(write_coco):
    return {"val": read_split(*write_coco())}


def test_people_crowds_and_extra_fields_are_kept(splits, tmp_path):
    out = tmp_path / "out"
    prepared = prepare(splits, out, Preparation())
    before, after = check_annotations(splits["val"]), read_annotations(*find_split(out, "val"))
    assert after.images == before.images
    data = json.loads((out / "annotations/instances_val_person.json").read_text())
    assert data["images"][0]["license"] == 3 and "exhaustive" not in data["images"][0]
    assert data["categories"] == [{"id": 1, "name": "person", "supercategory": "person"}]
    assert (out / "images/val/a.png").read_bytes() == (splits["val"].images_dir / "a.png").read_bytes()
    counted = prepared.statistics["val"]
    assert (counted.images, counted.images_without_persons, counted.persons, counted.crowds) == (2, 1, 2, 1)
    assert (counted.small, counted.medium, counted.large) == (2, 0, 0)


def test_segmentations_are_written_as_they_stand_in_the_file(splits, tmp_path):
    prepare(splits, tmp_path / "out", Preparation())
    files = splits["val"].source, find_split(tmp_path / "out", "val").annotations
    before, after = (json.loads(file.read_text()) for file in files)
    written = {entry["id"]: json.dumps(entry["segmentation"]) for entry in after["annotations"]}
    assert written == {entry["id"]: json.dumps(entry["segmentation"]) for entry in before["annotations"][:3]}


def test_crowds_can_be_removed(splits, tmp_path):
    prepared = prepare(splits, tmp_path / "out", Preparation(crowds="remove"))
    assert prepared.statistics["val"].crowds == 0
    assert read_annotations(*find_split(tmp_path / "out", "val")).images[0].crowds == ()


def test_shrinking_keeps_images_and_masks_together(splits, tmp_path):
    prepare(splits, tmp_path / "out", Preparation(max_side=20))
    image = read_annotations(*find_split(tmp_path / "out", "val")).images[0]
    assert (image.height, image.width) == (15, 20)
    written = cv2.imread(str(tmp_path / "out/images/val/a.png"))
    assert written is not None
    assert written.shape == (15, 20, 3)
    assert image.persons[0].box == (2, 2, 7, 7)
    mask = decode_mask(image.persons[0].segmentation, 15, 20)
    assert mask[2:7, 2:7].all() and mask.sum() == 25
    crowd = decode_mask(image.crowds[0].segmentation, 15, 20)
    assert crowd[:, 6:12].all() and crowd.sum() == 90


def test_subset_is_seeded(sample_root, tmp_path):
    splits = {"train": read_split(*find_split(sample_root, "train"))}
    chosen = []
    for number, seed in enumerate((0, 0, 1)):
        prepare(splits, tmp_path / str(number), Preparation(max_images=4, seed=seed))
        people = read_annotations(*find_split(tmp_path / str(number), "train"))
        chosen.append([image.id for image in people.images])
    assert chosen[0] == chosen[1] != chosen[2]
    assert len(chosen[0]) == 4


def test_own_output_is_replaced_and_other_folders_are_left_alone(splits, tmp_path):
    out = tmp_path / "out"
    prepare(splits, out, Preparation())
    prepare(splits, out, Preparation(max_side=20))
    assert json.loads((out / "statistics.json").read_text())["preparation"]["max_side"] == 20
    (out / "mine.txt").touch()
    with pytest.raises(DataError, match="not empty and not made by"):
        prepare(splits, out, Preparation())
    assert (out / "mine.txt").exists() and (out / "images/val/a.png").exists()
    with pytest.raises(DataError, match="holds the input"):
        prepare(splits, splits["val"].images_dir.parent, Preparation())


def test_what_a_killed_preparation_took_out_of_its_place_is_put_back(splits, tmp_path):
    out = tmp_path / "out"
    prepare(splits, out, Preparation())
    out.rename(tmp_path / ".out.0a_bcdef.old")
    (splits["val"].images_dir / "b.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match="is not an image"):
        prepare(splits, out, Preparation())
    assert (out / "statistics.json").exists() and not list(tmp_path.glob(".*"))


def test_output_through_a_link_is_replaced_and_the_link_stays(splits, tmp_path):
    out = tmp_path / "link"
    out.symlink_to(tmp_path / "big_disk")
    for max_side in (None, 20):
        prepare(splits, out, Preparation(max_side=max_side))
    assert out.is_symlink()
    assert json.loads((tmp_path / "big_disk/statistics.json").read_text())["preparation"]["max_side"] == 20


def test_damaged_image_leaves_nothing_behind(splits, tmp_path):
    (splits["val"].images_dir / "b.png").write_bytes(b"<html>")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"b\.png' \(is not an image"):
        prepare(splits, tmp_path / "out", Preparation())
    assert sorted(tmp_path.iterdir()) == before


def test_pixel_shares_and_class_weights(splits, tmp_path):
    shares = prepare(splits, tmp_path / "out", Preparation()).statistics["val"].class_shares
    np.testing.assert_allclose(shares, [0, 1, 0], atol=0.01)  # both boxes are filled by their person
    weights = suggested_class_weights(np.array([0.64, 0.32, 0.04]))
    assert np.mean(weights) == pytest.approx(1.0, abs=1e-3)
    assert weights[2] / weights[0] == pytest.approx(4.0, abs=0.02)
    assert suggested_class_weights(np.array([0.5, 0.5, 0.0])) == [1.0, 1.0, 1.0]


def strict(path):
    def refuse(word):
        raise AssertionError(f"{path} holds {word}")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_numbers_that_json_has_no_word_for_are_null_and_counted(write_coco, tmp_path, caplog):
    def edit(data):
        data["images"][0]["date_captured"] = float("nan")
        data["info"] = {"year": float("inf")}
        for entry in data["annotations"]:
            entry["area"] = float("nan")

    prepare({"val": read_split(*write_coco(edit))}, tmp_path / "out", Preparation())
    data = strict(tmp_path / "out/annotations/instances_val_person.json")
    assert data["images"][0]["date_captured"] is data["info"]["year"] is None
    assert strict(tmp_path / "out/statistics.json")["made_by"] == "hed prepare-data"
    assert "2 numbers are NaN or infinite; written as null" in caplog.text


def test_copies_have_no_personal_metadata_and_still_lie_the_right_way(write_coco, tmp_path):
    splits = {"val": read_split(*write_coco())}
    source = splits["val"].images_dir / "a.png"
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Jane Doe"
    with Image.open(source) as image:
        image.rotate(90, expand=True).save(source, exif=exif)
    before = source.read_bytes()
    for side, folder in ((None, "whole"), (20, "small")):
        prepare(splits, tmp_path / folder, Preparation(max_side=side))
        copy = tmp_path / folder / "images/val/a.png"
        assert b"Jane" not in copy.read_bytes()
        with Image.open(copy) as image:
            assert image.getexif().get(0x0112) == (6 if side is None else None)
        assert read_image(copy).shape == ((30, 40, 3) if side is None else (15, 20, 3))
    assert source.read_bytes() == before
    assert (tmp_path / "whole/images/val/b.png").samefile(splits["val"].images_dir / "b.png"), "nothing to take out"
