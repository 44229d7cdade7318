"""The whole command, with a model that always finds the same two persons."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from human_edge_prediction.__main__ import main
from human_edge_prediction.writers import video, writer
from human_edge_prediction.writers.pictures import OverlayWriter

COCO = ["coco_boxes.json", "coco_images.json", "coco_results.json"]
BOXES = np.array([[0, 0.25, 0.0, 0.75, 0.5], [0, 0.5, 0.5, 1.0, 1.0]], np.float32)


@pytest.fixture
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    constant_model: Callable[..., Path],
    own_metadata: dict[str, str],
) -> Path:
    """``model.onnx``, which finds two persons, each its whole box, and images of 40x60 pixels."""
    masks = np.full((2, 3, 8, 8), -9.0, np.float32)
    masks[:, 1] = 9.0
    people = np.zeros((1, 1, 4, 6), np.float32)
    people[:, :, 2:] = 1.0
    scores = np.array([0.9, 0.4], np.float32)
    outputs = {"boxes": BOXES, "scores": scores, "masks": masks, "binary_masks": people}
    constant_model(outputs, metadata=own_metadata)
    for name in ("images/a.png", "images/b.jpg"):
        write_image(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_image(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((40, 60, 3), (200, 100, 50), np.uint8))


def write_clip(path: Path, frames: int = 5) -> None:
    encoder = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12.5, (60, 40))
    for number in range(frames):
        encoder.write(np.full((40, 60, 3), 40 * number, np.uint8))
    encoder.release()


def predict(*arguments: str) -> int:
    return main([*arguments, "--model", "model.onnx"])


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_usual_files_and_what_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("images") == 0
    assert files(folder / "predictions") == [*COCO, "overlay/a.jpg", "overlay/b.jpg"]
    out, err = capsys.readouterr()
    first, *written = out.splitlines()
    assert first.startswith("2 images, 4 persons; ")
    assert first.endswith(" images/s; boxes: own detector")
    assert written == ["written: predictions/overlay", "written: predictions/coco_results.json"]
    assert err == ""


def test_every_kind_of_file_says_the_same(folder: Path) -> None:
    kinds = ("overlay", "masks", "class_mask", "cutout", "coco", "yolo", "csv")
    assert predict("images/a.png", "--save", *kinds, "--show_steps") == 0
    made = folder / "predictions"
    expected = np.zeros((2, 40, 60), bool)
    expected[0, :20, 15:45] = expected[1, 20:, 30:] = True

    masks = [cv2.imread(str(made / f"masks/a/00{number}.png"), cv2.IMREAD_UNCHANGED) for number in range(2)]
    np.testing.assert_array_equal(masks, expected * np.uint8(255))

    images = json.loads((made / "coco_images.json").read_text())
    assert images["images"] == [{"id": 1, "file_name": "images/a.png", "height": 40, "width": 60}]
    results = json.loads((made / "coco_results.json").read_text())
    boxes = json.loads((made / "coco_boxes.json").read_text())
    assert [result["bbox"] for result in boxes] == [[15, 0, 30, 20], [30, 20, 30, 20]]
    assert "bbox" not in results[0], "pycocotools would take its area for that of the mask"
    np.testing.assert_array_equal([coco_mask.decode(result["segmentation"]) for result in results], expected)

    lines = [line.split() for line in (made / "yolo/a.txt").read_text().splitlines()]
    for line, mask in zip(lines, expected, strict=True):
        corners = np.array(line[1:], float).reshape(-1, 2) * (60, 40)
        filled = cv2.fillPoly(np.zeros((40, 60), np.uint8), [corners.astype(np.int32)], [1])
        assert line[0] == "0"
        np.testing.assert_array_equal(filled, mask)

    classes = cv2.imread(str(made / "class_mask/a.png"))
    assert classes is not None
    colours = {tuple(colour) for colour in classes.reshape(-1, 3).tolist()}
    assert colours == {(0, 0, 0), (0, 159, 230), (233, 180, 86)}, "background, persons, others, by the palette"

    cutout = cv2.imread(str(made / "cutout/a/001.png"), cv2.IMREAD_UNCHANGED)
    assert cutout is not None
    assert cutout.shape == (20, 30, 4)
    assert np.all(cutout == (200, 100, 50, 255))

    header, *rows = (made / "persons.csv").read_text().splitlines()
    assert header == "image,frame,person,x1,y1,x2,y2,score,area,share,boxes_from"
    assert rows == [
        "images/a.png,,0,15.00,0.00,45.00,20.00,0.9000,600,0.250000,own detector",
        "images/a.png,,1,30.00,20.00,60.00,40.00,0.4000,600,0.250000,own detector",
    ]
    for name in ("overlay/a.jpg", "steps/a.jpg"):
        assert cv2.imread(str(made / name)) is not None


def test_a_broken_image_is_said_and_the_rest_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "images/aa\n.jpg").write_bytes(b"\xff\xd8\xff no image")
    assert predict("images") == 1
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert err.startswith("failed: image images/aa\\n.jpg is cut off")
    assert out.startswith("2 images, 4 persons")
    assert "1 failed" in out


def test_a_list_on_standard_input(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"images/b.jpg\ngone.jpg\n")))
    assert predict("-") == 1
    assert capsys.readouterr().err == "failed: gone.jpg: no such file or folder; check the path\n"
    assert (folder / "predictions/overlay/b.jpg").is_file()


def test_a_video_becomes_a_video_of_the_same_rate(folder: Path) -> None:
    write_clip(folder / "clip.mp4")
    assert predict("clip.mp4", "images/a.png", "--save", "overlay", "video", "csv") == 0
    made = folder / "predictions"
    drawn = cv2.VideoCapture(str(made / "video/clip.mp4"))
    assert drawn.get(cv2.CAP_PROP_FPS) == 12.5
    assert sum(drawn.read()[0] for _ in range(9)) == 5
    assert len(list((made / "overlay/clip").iterdir())) == 5
    rows = (made / "persons.csv").read_text().splitlines()[1:]
    assert [row.split(",")[1] for row in rows] == [*"0011223344", "", ""]


def test_usually_frames_of_a_video_are_no_pictures(folder: Path) -> None:
    write_clip(folder / "clip.mp4")
    assert predict("clip.mp4", "images/a.png") == 0
    assert files(folder / "predictions") == [*COCO, "overlay/a.jpg", "video/clip.mp4"]


def test_another_codec_has_to_do_and_then_none(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(folder / "clip.mp4")
    monkeypatch.setattr(video, "CODECS", (("none", ".mp4"), ("MJPG", ".avi")))
    assert predict("clip.mp4") == 0
    assert capsys.readouterr().err == (
        "predictions/video/clip.avi: there is no encoder for .mp4 here; written as MJPG\n"
    )
    monkeypatch.setattr(video, "CODECS", (("none", ".mp4"),))
    assert predict("clip.mp4", "--output", "other") == 2
    assert "OpenCV has no encoder here" in capsys.readouterr().err
    assert not [path for path in files(folder) if ".tmp" in path]


def test_nothing_is_replaced_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("images", "--save", "masks", "coco") == 0
    before = (folder / "predictions/masks/a/000.png").stat().st_mtime_ns
    capsys.readouterr()
    assert predict("images/a.png", "--save", "masks") == 2
    assert capsys.readouterr() == (
        "",
        "error: predictions/masks/a is there already; give --overwrite, or another --output\n",
    )
    assert (folder / "predictions/masks/a/000.png").stat().st_mtime_ns == before
    assert predict("images/a.png", "--save", "masks", "--overwrite", "--min_score", "0.5") == 0
    assert files(folder / "predictions/masks/a") == ["000.png"], "the second person of before is gone"


def test_what_was_done_is_whole_after_an_interruption(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(folder / "clip.mp4")
    written = []

    def content(self: OverlayWriter, *arguments: object) -> bytes:
        written.append(arguments)
        if len(written) == 4:
            raise KeyboardInterrupt
        return b"x"

    monkeypatch.setattr(OverlayWriter, "content", content)
    assert predict("clip.mp4", "--save", "overlay", "coco", "video") == 130
    out, err = capsys.readouterr()
    assert out.startswith("3 frames, 6 persons")
    assert err == "interrupted; what is written is whole, and holds the images so far\n"
    made = folder / "predictions"
    assert len(json.loads((made / "coco_results.json").read_text())) == 6
    drawn = cv2.VideoCapture(str(made / "video/clip.mp4"))
    assert sum(drawn.read()[0] for _ in range(9)) == 3
    assert not [path for path in files(folder) if ".tmp" in path]


def test_ids_of_an_annotation_file(folder: Path) -> None:
    images = [{"id": 42, "file_name": "a.png", "height": 40, "width": 60}]
    coco = {"images": images, "categories": [{"id": 5, "name": "person"}], "annotations": []}
    (folder / "ann.json").write_text(json.dumps(coco))
    assert predict("images", "--image_ids", "ann.json") == 0
    results = json.loads((folder / "predictions/coco_results.json").read_text())
    assert [(result["image_id"], result["category_id"]) for result in results] == [(42, 5)] * 2 + [(43, 5)] * 2


def test_masks_grow(folder: Path) -> None:
    assert predict("images/a.png", "--save", "csv", "--dilate", "3") == 0
    row = (folder / "predictions/persons.csv").read_text().splitlines()[1]
    area = int(row.split(",")[8])
    assert 600 + 3 * 30 + 2 * 3 * 20 < area < 23 * 36, "a disk rounds the corners, and the image ends above"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.jpg"], "gone.jpg: no such file or folder"),
        (["images", "--save", "video"], "--save video: none of the sources is a video; leave it out"),
        (["images", "--save", "x"], "argument --save: invalid choice: 'x'"),
        (["images", "--output", "model.onnx"], "--output model.onnx: model.onnx is a file; give a folder"),
        (["images", "--output", "model.onnx/deep"], "--output model.onnx/deep: model.onnx is a file; give a folder"),
        (["images", "--min_score", "2"], "--min_score: expected 0 to 1, got 2.0"),
        (["images", "--min_score", "nan"], "--min_score: expected 0 to 1, got nan"),
        (["images", "--dilate", "-1"], "--dilate: expected 0 to 1000, got -1"),
        (["images", "--threads", "0"], "--threads: expected 1 to 1024, got 0"),
        (["images", "--boxes", "boxes.json"], "model.onnx finds persons itself and takes no boxes; leave out --boxes"),
        (["images", "--provider", "AzureExecutionProvider"], "provider 'AzureExecutionProvider' is not part of"),
        (["images", "--provider", "Gpu"], "provider 'Gpu' is not part of this ONNX Runtime"),
        (["images", "--adapter", "gone.json"], "--adapter gone.json: no such file"),
        (["images", "--adapter", "kind=person_mpa"], "model.onnx: adapter kind: expected one of 'person_map'"),
        (["images", "--adapter", "kind=person_map"], "model.onnx: adapter output: values is missing; expected"),
        (["images", "--adapter", "kind=boxes", "--adapter", "kind.x=1"], "--adapter kind.x=1: kind has a value and no"),
        (["images", "--detector", "gone.onnx"], "gone.onnx: no such file"),
        (["images", "--detector_adapter", "x.json"], "--detector_adapter describes a --detector, and none is given"),
        (
            ["images", "--boxes", "x.json", "--detector", "d.onnx"],
            "--boxes and --detector both say where the boxes are",
        ),
        (["images", "--ann", "x.json", "--image_ids", "y.json"], "--ann and --image_ids both say which image has"),
        (["images", "--boxes", "gone.json"], "gone.json: no such file; give a JSON file"),
        (["images", "--overwrit"], "unrecognized arguments: --overwrit"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    if "boxes.json" in arguments:
        (folder / "boxes.json").write_text('{"a.png": [], "b.jpg": []}')
    assert predict(*arguments) == 2
    (folder / "boxes.json").unlink(missing_ok=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {message}")
    assert len(err.splitlines()) == 1
    assert files(folder) == ["images/a.png", "images/b.jpg", "model.onnx"]


def test_fields_describe_a_model_of_others(
    folder: Path, constant_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    constant_model({"people": np.array([[[[0, 0, 3]], [[0, 0, 15]]]], np.float32).reshape(1, 2, 3)})
    assert predict("images") == 2
    assert "describe it in model.adapter.json beside it, or with kind=" in capsys.readouterr().err
    described = ["--adapter", "kind=person_map", "--adapter", "output.values=classes"]
    assert predict("images", *described, "--adapter", "output.person_class=15") == 0
    assert "2 images, 2 persons" in capsys.readouterr().out
    # A file with one field in place of another.
    (folder / "other.json").write_text('{"kind": "person_map", "output": {"values": "classes", "person_class": 2}}')
    assert predict("images", "--overwrite", "--adapter", "other.json", "--adapter", "output.person_class=15") == 0
    assert "2 images, 2 persons" in capsys.readouterr().out
    # What comes later counts: here the file, of whose class nothing is there.
    assert predict("images", "--overwrite", "--adapter", "output.person_class=15", "--adapter", "other.json") == 0
    assert "2 images, 0 persons" in capsys.readouterr().out


def test_a_detector_that_was_left_behind_is_missed(
    folder: Path, constant_model: Callable[..., Path], own_metadata: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {"masks": np.zeros((1, 3, 8, 8), np.float32), "binary_masks": np.zeros((1, 1, 4, 6), np.float32)}
    constant_model(outputs, metadata={**own_metadata, "detector": "elsewhere"}, rois=True)
    assert predict("images") == 0
    assert capsys.readouterr().err.startswith("model.onnx was exported beside a detector, which is not here: persons")
    assert predict("images", "--overwrite", "--detector", "model.onnx") == 2
    capsys.readouterr()
    constant_model(outputs, metadata=own_metadata, rois=True)
    assert predict("images", "--overwrite") == 0
    assert capsys.readouterr().err == ""


def test_a_source_is_never_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("images", "--save", "overlay") == 0
    capsys.readouterr()
    assert predict("predictions/overlay", "--save", "overlay", "--overwrite") == 2
    assert "predictions/overlay/a.jpg is read in this call and would be replaced" in capsys.readouterr().err


def test_a_full_disk_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert predict("images") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: predictions/")
    assert "cannot be written (No space left on device)" in error
    assert len(error.splitlines()) == 1
    assert not [path for path in files(folder) if ".tmp" in path]


def test_a_video_that_is_cut_off_by_a_full_disk_is_no_video(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV says nothing of it."""
    write_clip(folder / "clip.mp4")
    usual = cv2.VideoWriter

    class Full:
        def __init__(self, path: str, *arguments: Any) -> None:
            self._path, self._encoder = Path(path), usual(path, *arguments)
            self.isOpened, self.write = self._encoder.isOpened, self._encoder.write

        fourcc = usual.fourcc

        def release(self) -> None:
            self._encoder.release()
            self._path.write_bytes(self._path.read_bytes()[:500])

    monkeypatch.setattr(cv2, "VideoWriter", Full)
    assert predict("clip.mp4") == 2
    error = capsys.readouterr().err
    assert error == "error: predictions/video/clip.mp4 cannot be written; check free space and rights of its folder\n"
    assert not list((folder / "predictions/video").iterdir())
    assert (folder / "predictions/coco_results.json").is_file()


def test_an_image_too_long_for_a_picture_fails_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite("images/a.png", np.zeros((1, 66_000, 3), np.uint8))
    assert predict("images") == 1
    out, err = capsys.readouterr()
    assert out.startswith("1 image, 2 persons")
    assert err.startswith("failed: images/a.png: a picture of 66000 x 1 pixels is too long for a JPEG")


def test_kinds_of_two_flags_are_all_written(folder: Path) -> None:
    assert predict("images/a.png", "--save", "csv", "--save", "yolo") == 0
    assert files(folder / "predictions") == ["persons.csv", "yolo/a.txt"]


def test_a_folder_that_cannot_be_written_into_is_found_before_the_first_image(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refused)
    assert predict("images", "--save", "csv") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: predictions cannot be written (Read-only file system)")


def test_a_shorter_video_leaves_no_frame_of_the_longer_one(folder: Path) -> None:
    write_clip(folder / "clip.mp4", 5)
    assert predict("clip.mp4", "--save", "yolo", "masks") == 0
    write_clip(folder / "clip.mp4", 2)
    assert predict("clip.mp4", "--save", "yolo", "masks", "--overwrite") == 0
    made = files(folder / "predictions")
    masks = [f"masks/clip/00000{frame}/00{person}.png" for frame in range(2) for person in range(2)]
    assert made == [*masks, "yolo/clip/000000.txt", "yolo/clip/000001.txt"]


def test_many_targets_that_are_there_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(writer._SHOWN + 2):
        write_image(folder / f"images/{number}.png")
    assert predict("images", "--save", "yolo") == 0
    assert predict("images", "--save", "yolo") == 2
    assert "and 4 more are there already" in capsys.readouterr().err
