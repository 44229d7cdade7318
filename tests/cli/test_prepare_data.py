import json
import re

import pytest

from human_edge_detection.cli.main import main
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.formats.splits import SPLITS
from human_edge_detection.files.data_folder import find_split, find_test_split


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no data given"),
        (["--train_ann", "a.json"], "--train_ann and --train_images: give both or none"),
        (["--data_root", "x", "--val_ann", "a.json"], "--data_root: give it alone"),
        (["--data_root", "x", "--max_images", "0"], "--max_images: must be at least 1, got 0"),
        (["--data_root", "x", "--max_side", "-5"], "--max_side: must be at least 16, got -5"),
        (["--data_root", "nowhere"], "data folder nowhere does not exist"),
        (["--data_root", "x", "--format", "voc"], "argument --format: invalid choice: 'voc'"),
        (["--train_ann", "a", "--train_images", "b", "--format", "yolo"], "--format yolo: --train_ann and --val_ann"),
        (["--data_root", "x", "--val_fraction", "1"], "--val_fraction: must be from 0 to below 1, got 1.0"),
        (["--data_root", "x", "--val_fraction", "nan"], "--val_fraction: must be from 0 to below 1, got nan"),
    ],
)
def test_wrong_flags_are_one_line_and_exit_code_2(tmp_path, capsys, flags, message):
    assert main(["prepare-data", "--output", str(tmp_path / "out"), *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--category", "persons"], "has no annotations of 'persons' (did you mean 'person'?); found 'person' ("),
        (["--val_fraction", "0.2"], "--val_fraction 0.2: the data set has a validation split; leave the flag out"),
        (["--test_fraction", "1.5"], "--test_fraction: must be from 0 to below 1, got 1.5"),
        (["--format", "cvat"], "is not recognised; looked for CVAT: annotations.xml"),
    ],
)
def test_flags_that_do_not_fit_the_data_are_refused(tiny_coco, tmp_path, capsys, flags, message):
    assert main(["prepare-data", "--data_root", str(tiny_coco), "--output", str(tmp_path / "out"), *flags]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert not (tmp_path / "out").exists()


def test_statistics_and_class_weights_are_shown(tiny_coco, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["prepare-data", "--data_root", str(tiny_coco), "--output", str(out), "--max_side", "64"]) == 0
    shown, logged = capsys.readouterr()
    suggested = re.search(r"--set loss\.class_weights=(\[.*\])", shown)
    assert suggested is not None
    weights = json.loads(suggested[1])
    report = json.loads((out / "statistics.json").read_text())
    assert weights == pytest.approx(report["class_weights"], abs=1e-3)
    assert "images without persons" in shown
    assert f"recognised COCO ({tiny_coco}/annotations/instances_train.json): 8 train, 4 val images" in logged
    assert set(report["splits"]) == {"train", "val"}
    assert f"--data_root {out}" in shown
    assert main(["prepare-data", "--data_root", str(out), "--output", str(tmp_path / "again")]) == 0


def test_a_test_split_is_cut_from_train_once_and_then_kept(tiny_coco, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["prepare-data", "--data_root", str(tiny_coco), "--test_fraction", "0.25", "--output", out]) == 0
    assert "2 of 8 training images are test now, drawn with seed 0" in capsys.readouterr().err
    counts = {split: len(read_annotations(*find_split(tmp_path / "out", split)).images) for split in SPLITS}
    assert counts == {"train": 6, "val": 4, "test": 2}
    again = ["prepare-data", "--data_root", out, "--output", str(tmp_path / "again")]
    assert main([*again, "--test_fraction", "0.25"]) == 2
    assert "--test_fraction 0.25: the data set has a test split; leave the flag out" in capsys.readouterr().err
    assert main(again) == 0
    assert find_test_split(tmp_path / "again") is not None
    test = find_split(tmp_path / "out", "test")
    given = ["prepare-data", "--test_ann", str(test.annotations), "--test_images", str(test.images)]
    assert main([*given, "--output", str(tmp_path / "alone")]) == 0
    assert find_test_split(tmp_path / "alone") is not None
