from annotated_folders import assert_as_drawn, coco_file, draw, prepared_masks, said, write

from human_edge_detection.cli.main import main

SPLITS = {"train": ["p0.png", "nobody.png"], "valid": ["p1.png"], "test": ["p2.png"]}


def write_export(root, categories, splits=SPLITS):
    for folder, names in splits.items():
        for name in names:
            draw(root / folder / name)
        write(root / folder / "_annotations.coco.json", coco_file(names, 1, categories))
    return root


def prepare(root, output, *flags):
    assert main(["prepare-data", "--data_root", str(root), "--output", str(output), *flags]) == 0


def test_its_folders_are_splits(tmp_path, capsys):
    out = tmp_path / "out"
    prepare(write_export(tmp_path / "export", [(0, "person-x7"), (1, "person")]), out)
    for split, names in (("train", SPLITS["train"]), ("val", SPLITS["valid"]), ("test", SPLITS["test"])):
        assert [*prepared_masks(out, split)] == names
        assert_as_drawn(prepared_masks(out, split))
    shown = said(capsys)
    assert "recognised Roboflow COCO" in shown and "2 train, 1 val, 1 test images" in shown
    assert "not used" not in shown
    assert f"use it with --data_root {out}" in shown


def test_a_root_category_called_person_is_not_mistaken_for_one(tmp_path, capsys):
    root = write_export(tmp_path / "export", [(0, "person"), (1, "human")])
    assert main(["prepare-data", "--data_root", str(root), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "found 'human' (6 annotations); if these are persons, add --category human" in error
    prepare(root, tmp_path / "out", "--category", "human")
    assert_as_drawn(prepared_masks(tmp_path / "out", "train"))


def test_an_export_with_train_only_is_split(tmp_path, capsys):
    root = write_export(tmp_path / "export", [(1, "person")], {"train": ["p0.png", "p1.png", "p2.png"]})
    prepare(root, tmp_path / "out")
    assert len(prepared_masks(tmp_path / "out", "train")) == 2 and len(prepared_masks(tmp_path / "out", "val")) == 1
    prepare(root, tmp_path / "out", "--val_fraction", "0")
    assert len(prepared_masks(tmp_path / "out", "train")) == 3
    assert not (tmp_path / "out" / "images" / "val").exists()
