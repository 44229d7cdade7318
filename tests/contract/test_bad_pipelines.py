"""A file that cannot make views is refused in the plan: one line, exit code 2, nothing written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pipelines import transform, write_pipeline

from human_edge_detection.cli.main import main

STUDENT = "quickstart_student_b0"
COMMANDS = {
    "train": ("train", "--config", STUDENT),
    "run": ("run", "--configs", STUDENT),
    "dry run": ("run", "--configs", STUDENT, "--dry_run"),
    "describe": ("describe", STUDENT, "--views"),
}
FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "none": (lambda path: None, "file: cannot be read (No such file or directory)"),
    "a folder": (lambda path: path.mkdir(), "file: cannot be read (Is a directory)"),
    "a pipe": (os.mkfifo, "file: cannot be read (Not a regular file)"),
    "no pipeline": (lambda path: path.write_text("base: x\n"), "file: not a pipeline of albumentations"),
    "floats": (lambda path: write_pipeline(path, transform("Normalize")), "transforms.0: Normalize: images stay uint8"),
    "an unknown one": (lambda path: write_pipeline(path, transform("os.system")), "no transform of albumentations"),
    "one that needs more": (lambda path: write_pipeline(path, transform("Mosaic")), "Mosaic requires"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_pipeline(
    name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, words = FILES[name]
    prepare(tmp_path / "file")
    before = {*tmp_path.rglob("*")}
    assert main([*COMMANDS[command], "--set", "data.augmentation.pipeline=file"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: data.augmentation.pipeline file: ") and err.count("\n") == 1
    assert words in err
    assert {*tmp_path.rglob("*")} == before


def test_a_path_of_two_lines_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", STUDENT, "--set", "data.augmentation.pipeline=|\n a\n b"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
