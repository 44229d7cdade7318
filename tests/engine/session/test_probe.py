"""What is measured of a training, and where measuring ends."""

from pathlib import Path
from typing import Any

import pytest

from human_edge_detection.engine.session import probe as module
from human_edge_detection.engine.session.probe import probe_training
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.records import Probe, ProbeRequest
from human_edge_detection.structures import Batch

pytestmark = pytest.mark.usefixtures("small_networks")


def found(config: ExperimentConfig, folder: Path, *batch_sizes: int, **options: Any) -> list[Probe]:
    return list(probe_training(ProbeRequest(config=config, batch_sizes=batch_sizes, steps=1, **options), folder))


def test_each_batch_size_has_its_time_and_memory_and_what_an_epoch_has(
    tiny_config: ExperimentConfig, tmp_path: Path
) -> None:
    one, two = found(tiny_config, tmp_path, 1, 2)
    assert (one.batch_size, one.steps_per_epoch, one.training_images, one.epochs) == (1, 8, 8, 2)
    assert (two.batch_size, two.steps_per_epoch, two.validation_batches) == (2, 4, 1)
    assert (two.device, two.precision) == ("cpu", "fp32")
    assert one.peak_bytes is not None and two.peak_bytes is not None and two.available_bytes is not None
    assert 50e6 < one.peak_bytes <= two.peak_bytes * 1.01 < two.available_bytes * 1.01
    assert two.seconds_per_epoch == pytest.approx(4 * two.seconds_per_step + two.seconds_per_validation_batch)
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_that_is_yet_to_be_trained_is_asked(
    tiny_config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms: list[set[str]] = []
    train_step = Trainer.train_step

    def spied(trainer: Trainer, group: list[Batch]) -> dict[str, float]:
        values = train_step(trainer, group)
        terms.append(set(values))
        return values

    monkeypatch.setattr(Trainer, "train_step", spied)
    teacher = derive(tiny_config, name="large", model={"encoder": "resnet18", "image_size": [96, 96]})
    config = derive(tiny_config, name="taught", distillation={"teacher_checkpoint": str(tmp_path / "later.pth")})
    (probe,) = found(config, tmp_path, 2, teachers=(teacher,))
    assert probe.batch_size == 2
    assert len(terms) == 2 and all("soft" in values for values in terms)


def test_the_images_with_the_most_persons_can_be_taken(
    tiny_config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    persons: list[int] = []
    train_step = Trainer.train_step

    def spied(trainer: Trainer, group: list[Batch]) -> dict[str, float]:
        persons.extend(len(batch.rois) for batch in group)
        return train_step(trainer, group)

    monkeypatch.setattr(Trainer, "train_step", spied)
    plain = derive(tiny_config, name="plain", data={"augmentation": None})
    found(plain, tmp_path, 1, crowded=True)
    assert persons == [3, 3]  # of 8 images two have three persons


def test_it_ends_at_the_first_that_does_not_fit(
    tiny_config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_step = Trainer.train_step

    def small(trainer: Trainer, group: list[Batch]) -> dict[str, float]:
        if trainer.settings.batch_size > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return train_step(trainer, group)

    monkeypatch.setattr(Trainer, "train_step", small)
    assert [probe.batch_size for probe in found(tiny_config, tmp_path, 1, 2, 4)] == [1]


def test_what_might_be_killed_is_not_tried(
    tiny_config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: 0)  # it has what it holds already, and no more
    assert [probe.batch_size for probe in found(tiny_config, tmp_path, 1, 2)] == [1]


def test_a_bug_is_no_want_of_memory(
    tiny_config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(trainer: Trainer, group: list[Batch]) -> dict[str, float]:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(Trainer, "train_step", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        found(tiny_config, tmp_path, 1)


def test_of_drawn_data_a_few_are_drawn_and_all_are_counted(tiny_config: ExperimentConfig, tmp_path: Path) -> None:
    config = derive(tiny_config, name="drawn", data={"root": None, "sample": {"image_size": [64, 64]}})
    (probe,) = found(config, tmp_path, 2)
    assert (probe.training_images, probe.steps_per_epoch) == (96, 48)
    assert len(list((tmp_path / "drawn").glob("images/train/*"))) == 16
