"""Files of other tools, judged as a whole: what is refused, what is warned about, what the flag makes of it.

``KINDS`` has the kinds and the cases tried in each; each runs through ``hed prepare-data``'s checks, with and without
its mend, and what is refused or warned about there is so by training's reading as well.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Literal

import pytest
import whole_files as w

from human_edge_detection.cli.main import main
from human_edge_detection.data.annotations.coco import decode_mask, read_annotations, read_split
from human_edge_detection.data.annotations.scan import scan_images
from human_edge_detection.data.formats.coco import CocoDataset
from human_edge_detection.data.images.read import read_image
from human_edge_detection.data.judgement.images import judge_images
from human_edge_detection.data.judgement.mend import categories_listed
from human_edge_detection.data.judgement.whole_split import JudgedSplit, Mending, judge_all
from human_edge_detection.data.prepare import Preparation, prepare
from human_edge_detection.engine.build import read_splits
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.files.data_folder import find_split


def prepared(folder: Path, change: w.Change, crowds_are_persons: bool = False, **mending: Any) -> JudgedSplit:
    files = w.whole_file()
    change(files)
    split = {"train": read_split(*files.write(folder))}
    return judge_all(split, Mending(**mending), crowds_are_persons=crowds_are_persons)["train"]


def kinds(judged: JudgedSplit) -> list[str]:
    return [finding.kind for finding in judged.people.findings]


def nothing(files: w.Files) -> None:
    """A well-made data set."""


REFUSED: dict[str, tuple[w.Change, str, dict[str, Any] | None]] = {
    "corners": (w.corner_boxes, "8 of 8 boxes fit their masks as x1, y1, x2, y2", {"boxes": "from_masks"}),
    "centres": (w.centre_boxes, "8 of 8 boxes fit their masks as centre x, centre y", {"boxes": "from_masks"}),
    "rows first": (w.transposed_boxes, "boxes fit their masks as y, x, height, width", {"boxes": "from_masks"}),
    "fractions as boxes": (w.fraction_boxes, "as fractions of the image, x, y, width", {"boxes": "from_masks"}),
    "some corners": (w.some_corner_boxes, "3 of 8 boxes fit their masks as x1", {"boxes": "from_masks"}),
    "all crowds": (w.brush(1), "8 of 8 person annotations (100%) are crowd", {"crowds_are_persons": True}),
    "fractions": (w.scaled(1 / w.WIDTH, 1 / w.HEIGHT), "8 of 8 outlines lie within 0 and 1", {"outlines": "fractions"}),
    "half fractions": (w.scaled(1 / w.WIDTH, 1 / w.HEIGHT, 2), "4 of 8 outlines", {"outlines": "fractions"}),
    "stored sizes": (w.oriented(6), "4 of 4 images that EXIF turns by 90 degrees", {"exif": "stored"}),
    "mirrored stored sizes": (w.oriented(7), "4 of 4 images that EXIF turns by 90 degrees", {"exif": "stored"}),
    "shown with stored sizes": (w.shown_with_stored_sizes, "4 outlines reach beyond the images as", {"exif": "shown"}),
    "one category id": (w.category(0, 2), "4 of 8 annotations have a category_id that no category has: 0 (4", None),
    "every category id": (w.category(2, 1), "8 of 8 annotations have a category_id that no category has: 2 (8", None),
    "outside": (w.scaled(1.9, 1.9), "outlines (100%) lie outside", None),
    "two-point polygon": (w.stray_line, "--on_bad_sample skip", None),
    "one missing": (w.missing_images(1), "1 of 4 images are not in", None),
    "most missing": (w.missing_images(3), "take what is there: --only_present", None),
    "two files for a name": (w.two_files_for_one_name, "near to 'a/p0.jpg', 'b/p0.jpg'", None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_certainly_wrong_is_refused_and_mended_by_the_flag(name: str, tmp_path: Path) -> None:
    change, message, mending = REFUSED[name]
    with pytest.raises(DataError) as error:
        prepared(tmp_path, change)
    assert message in str(error.value)
    if mending is None:
        return
    assert "hed prepare-data --" in str(error.value)
    people = prepared(tmp_path, change, **mending).people
    assert people.images.person_counts.tolist() == [2, 2, 2, 2]
    for image in people.images:
        assert all(min(p.box[2] - p.box[0], p.box[3] - p.box[1]) > 35 for p in image.persons)


WARNED: dict[str, tuple[w.Change, str, dict[str, Any] | None]] = {
    "loose boxes": (w.loose_boxes, "boxes", {"boxes": "from_masks"}),
    "some crowds": (w.brush(2), "crowds", {"crowds_are_persons": True}),
    "percent": (w.scaled(100 / w.WIDTH, 100 / w.HEIGHT), "outlines", {"outlines": "percent"}),
    "half scale": (w.scaled(0.5, 0.5), "outlines", None),
    "half turn": (w.oriented(3), "exif", {"exif": "stored"}),
    "mirrored": (w.oriented(2), "exif", {"exif": "stored"}),
    "square": (w.oriented(6, w.HEIGHT, w.HEIGHT), "exif", {"exif": "stored"}),
    "person twice": (w.person_twice, "repeated", {"duplicates": "drop"}),
    "image twice": (w.image_twice, "repeated", {"duplicates": "drop"}),
    "no end markers": (w.without_ends, "files", None),
    "12 of 16 bits": (w.few_bits, "bits", None),
    "backslashes": (w.names("images\\p{}.jpg", "images/p{}.jpg"), "names", None),
    "folder in front": (w.names("images/p{}.jpg", "p{}.jpg"), "names", None),
    "folder behind": (w.names("p{}.jpg", "a/p{}.jpg"), "names", None),
    "absolute path": (w.names("/home/me/images/p{}.jpg", "p{}.jpg"), "names", None),
    "drive": (w.names("C:\\data\\p{}.jpg", "p{}.jpg"), "names", None),
    "path that climbs": (w.names("../images/p{}.jpg", "a/p{}.jpg"), "names", None),
    "address": (w.names("http://example.org/val/p{}.jpg", "p{}.jpg"), "names", None),
    "case": (w.names("P{}.JPG", "p{}.jpg"), "names", None),
    "percent sign": (w.names("my%20p{}.jpg", "my p{}.jpg"), "names", None),
    "Unicode form": (w.names("Jose\u0301 {}.jpg", "Jos\u00e9 {}.jpg"), "names", None),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_may_be_meant_is_warned_about_once_with_what_mends_it(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change, kind, mending = WARNED[name]
    with caplog.at_level(logging.WARNING):
        judged = prepared(tmp_path, change)
    assert kinds(judged) == [kind]
    finding = judged.people.findings[0]
    assert caplog.text.count(finding.text) == 1 and any(map(str.isdigit, finding.text))
    if mending is not None:
        assert "hed prepare-data --" in finding.mend
        assert kinds(prepared(tmp_path, change, **mending)) == []
    file, images = tmp_path / "people.json", tmp_path / "images"
    if kind in ("boxes", "crowds", "outlines", "names"):
        assert [one.kind for one in read_annotations(file, images).findings] == [kind]


@pytest.mark.parametrize("name", WARNED)
def test_what_is_warned_about_can_be_written_and_read(name: str, tmp_path: Path) -> None:
    change, kind, mending = WARNED[name]
    files = w.whole_file()
    change(files)
    options = dict(mending or {})
    crowds: Literal["ignore", "person"] = "person" if options.pop("crowds_are_persons", False) else "ignore"
    preparation = Preparation(crowds=crowds, mending=Mending(**options))
    prepare({"train": read_split(*files.write(tmp_path))}, tmp_path / "out", preparation)
    people = read_annotations(*find_split(tmp_path / "out", "train"))
    scan = scan_images(people)
    assert scan.bad == () and len(scan.facts) == len(people.images) == (3 if name == "image twice" else 4)
    if mending is not None or kind in ("names", "files"):  # then nothing is left to be said
        assert (*people.findings, *judge_images(people, scan)) == ()


ALIKE = {
    "well made": nothing,
    "no iscrowd": w.every_person(iscrowd=None),
    "float sizes": w.float_sizes,
    "float ids": w.float_ids,
    "unused root category": w.unused_root,
    "Person": w.capital,
    "no boxes": w.every_person(bbox=None),
    "EXIF, annotated as shown": w.oriented(6, shown=True),
}


KINDS = {
    "boxes in another order or unit": (
        *("corners", "centres", "rows first", "fractions as boxes", "some corners", "loose boxes", "no boxes"),
    ),
    "category ids that nobody has, names of categories": (
        *("one category id", "every category id", "unused root category", "Person"),
    ),
    "persons written as crowds": ("all crowds", "some crowds", "no iscrowd"),
    "outlines in another unit or scale": (
        *("fractions", "half fractions", "percent", "half scale", "outside", "two-point polygon"),
    ),
    "EXIF turns": (
        *("stored sizes", "mirrored stored sizes", "shown with stored sizes", "half turn", "mirrored", "square"),
        "EXIF, annotated as shown",
    ),
    "the same person or image twice": ("person twice", "image twice"),
    "names of files": (
        *("backslashes", "folder in front", "folder behind", "absolute path", "drive", "path that climbs", "address"),
        *("case", "percent sign", "Unicode form", "one missing", "most missing", "two files for a name"),
    ),
    "image files": ("no end markers", "12 of 16 bits"),
    "numbers written as floats": ("float sizes", "float ids"),
}


def test_every_case_is_of_a_kind_and_the_documents_have_their_numbers() -> None:
    named = [name for names in KINDS.values() for name in names]
    assert sorted([*named, "well made"]) == sorted([*REFUSED, *WARNED, *ALIKE])
    text = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    for kind, names in KINDS.items():
        counts = [sum(name in table for name in names) for table in (REFUSED, WARNED, ALIKE)]
        row = " | ".join([kind, *map(str, [len(names), *counts])])
        assert f"| {row} |" in text, row


@pytest.mark.parametrize("name", ALIKE)
def test_what_means_the_same_gives_the_same(name: str, tmp_path: Path) -> None:
    files = w.whole_file()
    ALIKE[name](files)
    people = read_annotations(*files.write(tmp_path))
    assert people.images.person_counts.tolist() == [2, 2, 2, 2]
    assert people.findings == ()


def test_a_mask_of_null_is_no_mask_and_no_malformed_one(tmp_path: Path) -> None:
    found: list[Any] = []
    values: list[object] = [None, []]
    for value in values:
        files = w.whole_file()
        w.every_person(segmentation=value)(files)
        found.append(read_annotations(*files.write(tmp_path)).images)
    assert found[0] == found[1]
    assert found[0].person_counts.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_annotations_are_turned_with_the_pixels(orientation: int, tmp_path: Path) -> None:
    def change(files: w.Files) -> None:
        w.oriented(orientation)(files)
        files.persons[0].update(segmentation=w.as_rle(files.persons[0]["segmentation"][0]))

    people = prepared(tmp_path, change, exif="stored").people
    image = people.images[0]
    pixels = read_image(people.images_dir / image.file_name)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 120)
    masks = [decode_mask(person.segmentation, image.height, image.width).astype(bool) for person in image.persons]
    assert (masks[0] | masks[1])[red].mean() > 0.96
    assert red[masks[0] | masks[1]].mean() > 0.96


def test_sizes_of_stored_pixels_on_images_that_were_annotated_as_shown(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"if it was annotated as stored: hed prepare-data --exif stored; .*--exif shown"
    ):
        prepared(tmp_path / "unclear", w.shown_or_stored)
    people = prepared(tmp_path, w.shown_with_stored_sizes, exif="shown").people
    image = people.images[0]
    pixels = read_image(people.images_dir / image.file_name)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 120)
    masks = [decode_mask(person.segmentation, image.height, image.width).astype(bool) for person in image.persons]
    assert (masks[0] | masks[1])[red].mean() > 0.96
    assert red[masks[0] | masks[1]].mean() > 0.96


@pytest.mark.parametrize("unit", [{"exif": "stored"}, {"outlines": "percent"}])
def test_the_box_of_a_person_without_a_mask_is_mended_too(unit: dict[str, Any], tmp_path: Path) -> None:
    change = w.oriented(6) if "exif" in unit else w.scaled(100 / w.WIDTH, 100 / w.HEIGHT)
    whole, boxes = w.whole_file(), w.whole_file()
    for files in (whole, boxes):
        change(files)
    boxes.persons[1]["segmentation"] = None
    wanted, found = (
        judge_all({"train": read_split(*files.write(tmp_path / name))}, Mending(**unit))["train"].people.images[0]
        for name, files in (("whole", whole), ("boxes", boxes))
    )
    assert found.crowds[0].box == pytest.approx(wanted.persons[1].box, abs=1)


@pytest.mark.parametrize(
    ("flag", "mending"),
    [
        ("--outlines fractions", {"outlines": "fractions"}),
        ("--exif stored", {"exif": "stored"}),
        ("--crowds person", {"crowds_are_persons": True}),
    ],
)
def test_a_flag_that_changes_nothing_is_named(
    flag: str, mending: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared(tmp_path / "well made", nothing, **mending)
    assert f"{flag} changes nothing" in caplog.text
    caplog.clear()
    asked = {"outlines": w.scaled(1 / w.WIDTH, 1 / w.HEIGHT), "exif": w.oriented(3), "crowds_are_persons": w.brush(2)}
    prepared(tmp_path, asked[next(iter(mending))], **mending)
    assert "changes nothing" not in caplog.text


def test_pixels_are_not_taken_for_percent(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"--outlines percent: 4 of 8 outlines have coordinates above 100 \(up to 132\)"
    ):
        prepared(tmp_path, nothing, outlines="percent")


@pytest.mark.parametrize("mending", [{"boxes": "from_masks"}, {"exif": "stored"}, {"crowds_are_persons": True}])
def test_a_malformed_mask_is_named_and_left_out_whatever_is_mended(mending: dict[str, Any], tmp_path: Path) -> None:
    def change(files: w.Files) -> None:
        w.oriented(6 if "exif" in mending else 1)(files)
        w.brush(2)(files)
        files.persons[0].update(segmentation={"size": [w.HEIGHT, w.WIDTH], "counts": [5]})

    with pytest.raises(
        DataError, match=r"json: 1 of 4 images .* 'p0.jpg' \(annotation 1 of image 1: RLE counts add up"
    ):
        prepared(tmp_path, change, **mending)
    people = prepared(tmp_path, change, **mending, on_bad_sample="skip").people
    assert [sample.file_name for sample in people.skipped] == ["p0.jpg"]


def test_categories_without_a_name_can_be_taken_and_left(tmp_path: Path) -> None:
    files = w.whole_file()
    w.category(0, 2)(files)
    dataset = CocoDataset({"train": read_split(*files.write(tmp_path))})
    assert dataset.categories == {"person": 4, "id 0": 4}
    for chosen, persons in ((["person", "id 0"], 8), (["person"], 4)):
        split = categories_listed(dataset.persons(chosen)["train"])
        assert judge_all({"train": split}, Mending())["train"].people.images.person_counts.sum() == persons


@pytest.mark.parametrize("spelling", ["./p0.jpg", "P0.jpg", "p%30.jpg"])
def test_one_image_under_two_spellings_is_one_image_with_the_persons_of_both(spelling: str, tmp_path: Path) -> None:
    people = prepared(tmp_path, w.two_spellings(spelling)).people
    assert people.images.file_names == ["p0.jpg", "p1.jpg", "p2.jpg", "p3.jpg"]
    assert people.images.person_counts.tolist() == [2, 2, 2, 2]


def test_bad_and_missing_images_are_left_out_on_demand(tmp_path: Path) -> None:
    people = prepared(tmp_path / "a", w.stray_line, on_bad_sample="skip").people
    assert people.images.file_names == ["p1.jpg", "p2.jpg", "p3.jpg"]
    assert [sample.file_name for sample in people.skipped] == ["p0.jpg"]
    people = prepared(tmp_path / "b", w.missing_images(3), only_present=True).people
    assert people.images.file_names == ["p3.jpg"]


@pytest.mark.parametrize("reencoded", [False, True])
def test_images_of_val_in_train_are_counted_and_can_be_dropped(reencoded: bool, tmp_path: Path) -> None:
    train, val = w.whole_file(4), w.whole_file(4, first=2)  # p0 and p1 of val are p2 and p3 of train
    if reencoded:
        val.images = {name: w.jpeg(w.scene(number + 20)) for number, name in enumerate(val.images)}
    splits = {name: read_split(*files.write(tmp_path / name)) for name, files in (("train", train), ("val", val))}
    (finding,) = judge_all(splits, Mending())["val"].people.findings
    assert finding.text.startswith("0 of 4 images of val" if reencoded else "2 of 4 images of val")
    assert ("and 2 more" in finding.text) == reencoded
    dropped = judge_all(splits, Mending(duplicates="drop"))
    assert dropped["train"].people.images.file_names == ["p0.jpg", "p1.jpg"]
    assert dropped["train"].dropped == {"images of val": 2}


def test_test_has_no_image_of_val(tmp_path: Path) -> None:
    firsts = {"train": 0, "val": 4, "test": 6}
    splits = {name: read_split(*w.whole_file(4, first=n).write(tmp_path / name)) for name, n in firsts.items()}
    judged = judge_all(splits, Mending())
    (finding,) = judged["test"].people.findings
    assert finding.text.startswith("2 of 4 images of test are also in val, byte for byte")
    assert "out of val" in finding.mend
    dropped = judge_all(splits, Mending(duplicates="drop"))
    assert (dropped["train"].dropped, dropped["val"].dropped) == ({}, {"images of test": 2})


def test_training_judges_too(tmp_path: Path) -> None:
    w.whole_file(4).write(tmp_path / "train")
    paths: dict[str, Any] = {f"{name}_ann": str(tmp_path / name / "people.json") for name in ("train", "val")}
    paths |= {f"{name}_images": str(tmp_path / name / "images") for name in ("train", "val")}
    val = w.whole_file(4, first=2)
    w.person_twice(val)
    val.write(tmp_path / "val")
    splits = read_splits(DataConfig(**paths), tmp_path, seed=0)
    assert [finding.kind for finding in splits.val.findings] == ["repeated", "splits"]
    w.oriented(6)(val)
    val.write(tmp_path / "val")
    with pytest.raises(DataError, match=r"annotated as stored .*hed prepare-data --exif stored"):
        read_splits(DataConfig(**paths), tmp_path, seed=0)


def test_the_command_mends_writes_a_report_and_shows_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = w.whole_file()
    w.brush(2)(files)
    file, images = files.write(tmp_path)
    command = ["prepare-data", "--train_ann", str(file), "--train_images", str(images), "--output", f"{tmp_path}/out"]
    for flags, persons, kinds_found in (([], 4, ["crowds"]), (["--crowds", "person"], 8, [])):
        assert main([*command, *flags]) == 0
        row = next(line for line in capsys.readouterr().out.splitlines() if "│ findings" in line)
        assert row.split()[-2] == (kinds_found or ["none"])[0]
        report = json.loads((tmp_path / "out/prepare_report.json").read_text())
        assert [finding["kind"] for finding in report["splits"]["train"]["findings"]] == kinds_found
        written = read_annotations(*find_split(tmp_path / "out", "train"))
        assert written.images.person_counts.sum() == persons
