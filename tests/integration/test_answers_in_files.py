"""A teacher of another framework, from its files to the comparison: COCO results and maps, by the command line."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from external_answers import training_people, true_results, write_maps, write_results

from human_edge_detection.cli.main import main
from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.drawn.data_set import write_drawn_data
from human_edge_detection.files.data_folder import find_splits

STUDENT = shlex.split(
    "--data_root data --encoder_weights none --batch_size 2 --epochs 1 --num_workers 0 --precision fp32 --device cpu "
    "--set model.image_size=[64,64] --set model.roi_size=[16,12] --set model.mask_size=[32,24] --cache_views 1 "
    "--set distillation.teacher_config=null"
)
NAME = "quickstart_distilled_b0_from_b3"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with drawn data, results and maps of their training images, in which commands are given."""
    monkeypatch.chdir(tmp_path)
    write_drawn_data(Path("data"), train_images=6, val_images=3, image_size=(96, 96))
    people = training_people(Path("data"))
    write_results(Path("results.json"), true_results(people))
    write_maps(Path("maps"), people)
    return tmp_path


def soft_labels(source: str, folder: str, *more: str) -> int:
    return main(["soft-labels", "--config", NAME, "--from", source, "--soft_labels", folder, *STUDENT, *more])


@pytest.mark.slow
def test_results_teach_a_student_and_are_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert soft_labels("results.json", "labels") == 0
    said = capsys.readouterr().out
    assert "results.json: answers to 6 of 6 training images, IoU of the person map 1.000, " in said
    assert main(["run", "--configs", NAME, "--soft_labels", "labels", *STUDENT]) == 0
    assert main(["compare"]) == 0
    capsys.readouterr()
    result = json.loads(next(Path("experiments").glob("*/result.json")).read_text())
    assert (result["teacher_experiment"], result["teacher_kind"]) == ("results.json", "results")
    assert result["teacher_miou"] is result["teacher_encoder"] is result["teacher_parameters"] is None
    assert result["last_soft_loss"] > 0
    with Path("experiment_comparison.csv").open(newline="") as table:
        (row,) = csv.DictReader(table)
    assert (row["teacher"], row["teacher_miou_share"]) == ("results.json", "")
    assert soft_labels("maps", "labels") == 2
    assert "soft labels in labels are of another training: external is results.json (sha256 " in capsys.readouterr().err


@pytest.mark.slow
def test_maps_teach_a_student_alone_and_beside_a_teacher_of_ours(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Maps of all persons of both splits: what they score on val is known, and is that of the truth."""
    for split in find_splits(Path("data"))[:2]:
        for persons in (False, True):
            write_maps(Path("maps"), read_annotations(*split), persons=persons)
    assert soft_labels("maps", "labels") == 0
    assert "16 of 16 persons matched (mean IoU 1.000)" in capsys.readouterr().out
    assert main(["run", "--configs", NAME, "--soft_labels", "labels", *STUDENT]) == 0
    (file,) = Path("experiments").glob("*/result.json")
    alone = json.loads(file.read_text())
    assert (alone["teacher_experiment"], alone["teacher_kind"]) == ("maps", "maps")
    assert alone["teacher_miou"] > 0.9
    assert alone["teacher_full_image_iou"] > 0.9
    beside = ("--teacher_checkpoint", str(file.parent / "checkpoints" / "best_model.pth"))
    assert soft_labels("maps", "both", *beside) == 0
    assert main(["run", "--configs", NAME, "--soft_labels", "both", *STUDENT, *beside]) == 0
    (both,) = (json.loads(other.read_text()) for other in Path("experiments").glob("*/result.json") if other != file)
    assert both["teacher_kind"] is None
    assert both["teacher_sha256"].split("+")[1] == alone["teacher_sha256"]
    assert main(["compare"]) == 0
    with Path("experiment_comparison.csv").open(newline="") as table:
        shares = {row["teacher"]: float(row["teacher_miou_share"]) for row in csv.DictReader(table)}
    assert shares["maps"] == pytest.approx(alone["metrics"]["miou"] / alone["teacher_miou"], abs=1e-3)
    assert shares[NAME] == pytest.approx(both["metrics"]["miou"] / both["teacher_miou"], abs=1e-3)


@pytest.mark.usefixtures("small_networks", "here")
def test_a_folder_of_person_maps_speaks_for_two_heads(capsys: pytest.CaptureFixture[str]) -> None:
    assert soft_labels("maps", "labels") == 0
    assert "persons matched" not in capsys.readouterr().out
    metadata = json.loads(Path("labels", "soft_labels_metadata.json").read_text())
    assert list(metadata["heads"]) == ["bg_fg_logits", "full_image_logits"]
    assert metadata["external"]["coverage"]["answered"] == 6
    before = {path: path.stat().st_mtime_ns for path in Path("labels").rglob("*.safetensors")}
    assert soft_labels("maps", "labels") == 0
    assert {path: path.stat().st_mtime_ns for path in Path("labels").rglob("*.safetensors")} == before
    Path("maps", next(iter(Path("maps").iterdir())).name).write_bytes(b"no map")
    capsys.readouterr()
    assert soft_labels("maps", "labels") == 2  # other content, so another teacher
    assert re.search(
        r"external is maps \(sha256 (\w{12})\) there, maps \(sha256 (?!\1)\w{12}\) here", capsys.readouterr().err
    )
    assert soft_labels("maps", "others") == 2
    error = capsys.readouterr().err
    assert "map maps/" in error
    assert "Traceback" not in error
    assert not Path("others").exists()


@pytest.mark.usefixtures("small_networks", "here")
def test_sources_that_cannot_teach_end_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    write_results(Path("other.json"), [{"image_id": 10**6, "category_id": 1, "segmentation": [], "score": 1}])
    Path("empty").mkdir()
    for source, message in {
        "gone.json": "gone.json: no such file",
        "other.json": "other.json: results of 1 other images",
        "empty": "empty: no maps in it",
        "data/annotations": "data/annotations: no maps in it",
    }.items():
        assert soft_labels(source, "labels") == 2
        assert message in capsys.readouterr().err
    assert not Path("labels").exists()


def test_a_source_that_is_not_there_is_found_before_data_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = shlex.split("--drawn_data --soft_labels labels --cache_views 1 --set distillation.teacher_config=null")
    for source, message in {
        "gone.json": "gone.json: no such file; give COCO results (JSON), or a folder of maps",
        "model.tflite": "model.tflite: a model file and no answers; give it as --teacher_checkpoint model.tflite",
    }.items():
        assert main(["soft-labels", "--config", NAME, "--from", source, *flags]) == 2
        assert capsys.readouterr().err == f"error: {message}\n"
    assert not any(tmp_path.iterdir())
