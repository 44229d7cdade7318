"""Soft labels on the disk: each comes back, none is computed twice, and what is cut off is not taken."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from soft_label_runs import IMAGES, VIEWS, files_of, interrupted_after, trainer_of, write

from human_edge_detection.engine.teaching import soft_label_writer as writer_module
from human_edge_detection.engine.teaching.soft_label_parts import is_whole, pack, part_file, unpack
from human_edge_detection.engine.teaching.soft_label_writer import split_output
from human_edge_detection.engine.teaching.soft_labels import metadata_path
from human_edge_detection.engine.teaching.teacher import Teacher
from human_edge_detection.errors import (
    BusyError,
    ConfigError,
    StorageError,
    TrainingError,
)
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.lock import hold
from human_edge_detection.files.write import write_atomically, write_json
from human_edge_detection.structures import Batch, SegmentationOutput

pytestmark = pytest.mark.usefixtures("small_parts")

HEADS = {"logits": (3, 2, 2), "full_image_logits": (1, 4, 4)}


def an_output(persons: int, start: int) -> dict[str, Any]:
    main = np.arange(start, start + 12 * persons, dtype=np.float16).reshape(persons, 3, 2, 2)
    return {"logits": main, "full_image_logits": np.full((1, 1, 4, 4), start, np.float16)}


def test_a_part_gives_back_each_answer(tmp_path: Path) -> None:
    outputs = [an_output(2, 1), an_output(0, 50), an_output(3, 100)]
    part = tmp_path / "part.safetensors"
    part.write_bytes(pack([2, 0, 3], outputs, HEADS))
    assert is_whole(part, 3, HEADS)
    for position, prediction in enumerate(outputs):
        persons, again = unpack(part, position, HEADS)
        assert persons == len(prediction["logits"])
        assert again.keys() == prediction.keys()
        for head, values in prediction.items():
            assert np.array_equal(again[head], values), (position, head)


def test_a_part_is_what_any_reader_of_safetensors_reads(tmp_path: Path) -> None:
    outputs = [an_output(2, 1), an_output(1, 50)]
    part = tmp_path / "part.safetensors"
    part.write_bytes(pack([2, 1], outputs, HEADS))
    content = load_file(part)
    assert content["persons"].tolist() == [2, 1]
    assert np.array_equal(content["logits"], np.concatenate([output["logits"] for output in outputs]))
    assert content["full_image_logits"].shape == (2, 1, 4, 4)


@pytest.mark.parametrize("kept", [0, 7, 23, 24, 100, -1])
def test_a_cut_off_part_is_not_whole(kept: int, tmp_path: Path) -> None:
    part = tmp_path / "part.safetensors"
    part.write_bytes(pack([2, 0, 3], [an_output(2, 1), an_output(0, 5), an_output(3, 9)], HEADS)[:kept])
    assert not is_whole(part, 3, HEADS)
    with pytest.raises(ValueError, match=r"\w"):
        unpack(part, 2, HEADS)


def test_a_part_of_something_else_is_not_whole(tmp_path: Path) -> None:
    part = tmp_path / "part.safetensors"
    part.write_bytes(pack([2, 1], [an_output(2, 1), an_output(1, 50)], HEADS))
    assert is_whole(part, 2, HEADS)
    assert not is_whole(part, 3, HEADS)
    assert not is_whole(part, 2, {"logits": (3, 2, 2)})
    assert not is_whole(part, 2, {**HEADS, "logits": (3, 2, 4)})
    assert not is_whole(tmp_path / "gone", 2, HEADS)


def test_answers_are_split_by_image(cached: ExperimentConfig) -> None:
    rois = torch.tensor([[0, 0, 0, 1, 1], [2, 0, 0, 1, 1], [2, 0, 0, 1, 1]], dtype=torch.float32)
    batch = Batch(torch.zeros(3, 3, 4, 4), rois, torch.zeros(3, 2, 2), torch.zeros(3, 4, 4), (1, 2, 3), (4, 5, 6))
    main = torch.arange(3.0)[:, None, None, None].expand(3, 3, 2, 2)
    output = SegmentationOutput(main, {"full_image_logits": torch.arange(3.0)[:, None, None, None].expand(3, 1, 4, 4)})
    persons, split = zip(*split_output(output, batch, HEADS), strict=True)
    assert persons == (1, 0, 2)
    assert [prediction["logits"][:, 0, 0, 0].tolist() for prediction in split] == [[0.0], [], [1.0, 2.0]]
    assert [prediction["full_image_logits"][:, 0, 0, 0].tolist() for prediction in split] == [[0.0], [1.0], [2.0]]
    with pytest.raises(TrainingError, match="beyond 65504"):
        list(split_output(SegmentationOutput(main * 1e5, output.aux), batch, HEADS))


def test_nothing_is_ever_computed_twice(
    cached: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the fourth part, and once more in the sixth: the same bytes as from one go."""
    asked: list[int] = []
    predict_batch = Teacher.predict_batch

    def counted(self: Teacher, batch: Batch, **options: Any) -> SegmentationOutput:
        asked.extend(batch.image_ids)
        return predict_batch(self, batch, **options)

    monkeypatch.setattr(Teacher, "predict_batch", counted)
    straight = write(cached, tmp_path).folder.rename(tmp_path / "straight")
    assert len(asked) == VIEWS * IMAGES
    asked.clear()
    for parts in (4, 1):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(writer_module, "write_atomically", interrupted_after(parts, write_atomically))
            write(cached, tmp_path)
        with pytest.raises(ConfigError, match="is not finished; to go on give hed soft-labels"):
            trainer_of(cached, tmp_path)
    asked.clear()
    write(cached, tmp_path)
    assert len(asked) == 2, "images of the last part of the second view"
    assert files_of(tmp_path / "labels") == files_of(straight)
    asked.clear()
    write(cached, tmp_path)
    assert asked == []


def test_a_part_cut_off_by_others_is_written_again(cached: ExperimentConfig, tmp_path: Path) -> None:
    stored = write(cached, tmp_path)
    whole = files_of(stored.folder)
    write_json(metadata_path(stored.folder), stored.metadata.model_copy(update={"parts": None}).model_dump(mode="json"))
    part = stored.folder / part_file(1, 1)
    part.write_bytes(part.read_bytes()[:-2])
    write(cached, tmp_path)
    assert files_of(stored.folder) == whole


def test_answers_without_metadata_are_not_taken_for_done(cached: ExperimentConfig, tmp_path: Path) -> None:
    stored = write(cached, tmp_path)
    whole = files_of(stored.folder)
    metadata_path(stored.folder).unlink()
    part = stored.folder / part_file(0, 0)
    part.write_bytes(part.read_bytes()[:-8] + bytes(8))
    write(cached, tmp_path)
    assert files_of(stored.folder) == whole


def test_it_is_refused_where_it_does_not_fit(
    cached: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(map(len, files_of(write(cached, tmp_path).folder).values()))
    (tmp_path / "labels").rename(tmp_path / "moved")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size // 2))
    with pytest.raises(StorageError, match=r"2 views need about \d+ MiB, and \d+ MiB are free"):
        write(cached, tmp_path)
    assert not (tmp_path / "labels").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size * 2))
    write(cached, tmp_path)


def test_two_writers_are_refused(cached: ExperimentConfig, tmp_path: Path) -> None:
    with hold(tmp_path / ".labels.lock", "x", advice="x"), pytest.raises(BusyError, match=r"soft labels .* is in use"):
        write(cached, tmp_path)
    assert not (tmp_path / "labels").exists()
