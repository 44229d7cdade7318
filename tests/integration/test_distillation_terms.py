"""Terms, adapters and several teachers in whole runs: they learn, are kept, and resume to the same bits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from human_edge_detection.data.dataset import PersonDataset, collate
from human_edge_detection.data.images.read import read_image
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from human_edge_detection.engine.loading import Loading
from human_edge_detection.engine.teaching.teacher import check_teacher, load_teacher, load_teachers
from human_edge_detection.engine.training.trainer import Trainer
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.distillation import TERM_CONFIGS
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult
from human_edge_detection.selfcheck.bitwise import first_difference
from human_edge_prediction.resampling import resize

pytestmark = pytest.mark.usefixtures("small_networks")

CPU = torch.device("cpu")
Train = Callable[..., RunResult]
MakeTrainer = Callable[[ExperimentConfig], Trainer]
EVERY_TERM = [{"kind": kind} for kind in TERM_CONFIGS]


def with_terms(config: ExperimentConfig, *terms: dict[str, Any], **training: Any) -> ExperimentConfig:
    return derive(config, name="by_terms", distillation={"terms": list(terms)}, training=training)


@pytest.fixture
def second_teacher(trained_teacher: RunPaths, tmp_path: Path) -> Path:
    """Another network of the same sizes, untrained."""
    config = read_checkpoint(trained_teacher.best)[0].config
    torch.manual_seed(5)
    path = tmp_path / "second_teacher.pth"
    save_checkpoint(path, Checkpoint(config, build_model(config.model).state_dict(), 0, {}, ""))
    return path


def test_every_term_takes_part_in_a_step(distilled_config: ExperimentConfig, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(with_terms(distilled_config, *EVERY_TERM))
    assert isinstance(trainer.parts.training_set, PersonDataset)
    trainer.parts.training_set.augmentation = None
    batch = collate([trainer.parts.training_set[(0, index)] for index in (0, 1)])
    adapter = trainer.state.adapter
    assert isinstance(adapter, nn.Conv2d)
    before = adapter.weight.detach().clone()
    values = trainer.train_step([batch])
    of_heads = [f"distill/{kind}/full_image" for kind in ("dkd", "dist", "cwd", "bpkd")]
    expected = ["distill/main", "distill/full_image", *of_heads, "distill/std/main", "distill/feat", "distill/at"]
    assert all(values[name] > 0.0 for name in expected)
    shares = trainer.progress.gradient_shares
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(shares[f"gradient_share/{name}"] > 0.0 for name in expected)
    assert not torch.equal(adapter.weight, before)


def test_features_and_adapters_reach_no_model_and_no_export(
    distilled_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    config = with_terms(distilled_config, {"kind": "feat"}, epochs=1)
    paths = RunPaths(tmp_path / "run")
    train(config, paths)
    latest, best = (read_checkpoint(path)[0] for path in (paths.latest, paths.best))
    assert latest.training is not None
    assert set(latest.training["adapter"]) == {"weight", "bias"}
    assert best.training is None
    model = build_model(config.model)
    assert best.model.keys() == model.state_dict().keys()
    output = model.eval()(torch.rand(1, 3, 64, 64), torch.tensor([[0.0, 0.1, 0.1, 0.9, 0.9]]))
    assert "decoder_features" not in output.aux


def test_a_run_with_every_term_resumes_to_the_same_bits(
    distilled_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    config = with_terms(distilled_config, *EVERY_TERM, ema={"decay": 0.9})
    straight, halves = RunPaths(tmp_path / "straight" / "run"), RunPaths(tmp_path / "halves" / "run")
    train(config, straight)
    train_step, steps = Trainer.train_step, 0

    def stopping(self: Trainer, group: Any) -> dict[str, float]:
        nonlocal steps
        steps += 1
        if steps == 6:
            self.interruption.requested = 2
        return train_step(self, group)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "train_step", stopping)
        train(config, halves)
    assert not halves.result.exists()
    train(config, halves)
    assert first_difference(straight, halves) is None


def test_a_state_without_the_adapter_is_refused(
    distilled_config: ExperimentConfig, train: Train, tmp_path: Path
) -> None:
    config = with_terms(distilled_config, {"kind": "feat"}, epochs=1)
    paths = RunPaths(tmp_path / "run")
    train(config, paths)
    checkpoint = read_checkpoint(paths.latest)[0]
    assert checkpoint.training is not None
    without = {name: value for name, value in checkpoint.training.items() if name != "adapter"}
    wrong = {**checkpoint.training, "adapter": {"weight": torch.zeros(16, 16, 1, 1)}}
    for state, words in ((without, "adapter is missing"), (wrong, "not the adapter of by_terms: 1 tensors missing")):
        path = tmp_path / "changed.pth"
        save_checkpoint(path, replace(checkpoint, training=state))
        with pytest.raises(CheckpointError, match=words):
            train(config, RunPaths(tmp_path / "other"), resume=path)


def test_several_teachers_are_each_and_together_measured(
    trained_teacher: RunPaths, second_teacher: Path, make_trainer: MakeTrainer, distilled_config: ExperimentConfig
) -> None:
    teachers = load_teachers([trained_teacher.best, second_teacher], CPU)
    first, second = (load_teacher(path, CPU) for path in (trained_teacher.best, second_teacher))
    assert teachers.fingerprint == f"{first.sha256}+{second.sha256}"
    assert first.fingerprint == first.sha256
    trainer = make_trainer(distilled_config)
    people = trainer.parts.validation.dataset.people
    options = {"device": CPU, "precision": "fp32", "loading": Loading(0, False, 2)}
    together, alone = (check_teacher(teacher, people, **options)["miou"] for teacher in (teachers, first))  # type: ignore[arg-type]
    assert together is not None
    assert alone is not None
    assert 0.0 < together < alone
    batch = collate([trainer.parts.training_set[(0, 0)]])
    mean, *each = (
        teacher.predict_batch(batch, mask_size=(32, 24)).logits.softmax(1) for teacher in (teachers, first, second)
    )
    torch.testing.assert_close(mean, (each[0] + each[1]) / 2, atol=1e-3, rtol=1e-3)


def test_the_same_teacher_twice_is_refused(trained_teacher: RunPaths) -> None:
    with pytest.raises(CheckpointError, match="a mean needs different teachers"):
        load_teachers([trained_teacher.best, trained_teacher.best], CPU)


def test_a_run_goes_on_with_all_its_teachers_only(
    distilled_config: ExperimentConfig, second_teacher: Path, train: Train, tmp_path: Path
) -> None:
    more = {"more_teacher_checkpoints": [str(second_teacher)]}
    config = derive(distilled_config, name="two_teachers", distillation=more, training={"epochs": 1})
    paths = RunPaths(tmp_path / "run")
    train(config, paths)
    longer = derive(config, name="two_teachers", training={"epochs": 2})
    alone = derive(longer, name="two_teachers", distillation={"more_teacher_checkpoints": []})
    with pytest.raises(CheckpointError, match="was taught by another teacher"):
        train(alone, paths)
    train(longer, paths)


def test_a_teacher_of_larger_images_sees_their_detail(
    distilled_config: ExperimentConfig, make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(derive(distilled_config, name="a", data={"augmentation": None}))
    assert trainer.parts.config.model.image_size == (64, 64)
    assert trainer.parts.distiller is not None
    assert trainer.parts.distiller.teacher is not None
    model, seen = trainer.parts.distiller.teacher.frozen.model, []

    def remember(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen.append(arguments[0])

    handle = model.register_forward_pre_hook(remember)
    data = trainer.parts.training_set
    trainer.train_step([collate([data[(0, 0)]])])
    handle.remove()
    image = data.people.images[0]
    path = data.people.images_dir / image.file_name
    full = resize(read_image(path, (image.height, image.width)), (96, 96)).transpose(2, 0, 1) / 255
    torch.testing.assert_close(seen[0][0], torch.from_numpy(full).float())


def test_a_teacher_of_images_no_larger_costs_nothing(
    trained_teacher: RunPaths, make_trainer: MakeTrainer, distilled_config: ExperimentConfig
) -> None:
    teacher = load_teacher(trained_teacher.best, CPU)
    assert [teacher.wanted_size(size) for size in ((96, 96), (128, 96), (64, 128))] == [None, None, (96, 96)]
    config = derive(distilled_config, name="a", model={"image_size": [96, 96]})
    assert collate([make_trainer(config).parts.training_set[(0, 0)]]).teacher_images is None
