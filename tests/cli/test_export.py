from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnxruntime
import pytest
import segmentation_models_pytorch as smp
import torch

from human_edge_detection.cli.main import main
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoints.checkpoint import Checkpoint, save_checkpoint
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive

Damage = Callable[[bytes], bytes]


@pytest.fixture
def checkpoint(tiny_config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A U-Net without roi head, shallow, because tracing takes time for each layer."""
    monkeypatch.setattr(smp, "Unet", partial(smp.Unet, encoder_depth=2, decoder_channels=(16, 16)))
    config = derive(tiny_config, name="unet", model={"head": "none"})
    path = tmp_path / "unet.pth"
    save_checkpoint(path, Checkpoint(config, build_model(config.model).state_dict(), 1, {}, "data"))
    return path


@pytest.mark.slow  # a whole export; that of a model with rois is in the default lane
def test_a_model_without_roi_head_takes_images_only(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "edge" / "model.onnx"
    assert main(["export", "--checkpoint", str(checkpoint), "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    for expected in (str(output), "MiB", "probabilities differ by at most", "(allowed 0.001)", "mask IoU"):
        assert expected in shown
    assert {file.name for file in output.parent.iterdir()} == {"model.onnx", "model.parity.json", "model.md"}
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["images"]
    (binary_masks,) = session.run(None, {"images": torch.rand(3, 3, 64, 64).numpy()})
    assert binary_masks.shape == (3, 1, 64, 64)
    assert 0 <= binary_masks.min() <= binary_masks.max() <= 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1000], "truncated"),
        (lambda content: content[:5000] + b"?" + content[5001:], "damaged"),
        (lambda content: b"not a checkpoint", "not a checkpoint"),
        (None, "No such file"),
    ],
)
def test_a_checkpoint_that_is_none(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], damage: Damage | None, message: str
) -> None:
    if damage is None:
        checkpoint.unlink()
    else:
        checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    assert main(["export", "--checkpoint", str(checkpoint)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not checkpoint.with_suffix(".onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "model.pth"], "ends in .onnx"),
        (["--val_ann", "a.json"], "--val_images"),
        (["--data_root", ".", "--val_ann", "a.json"], "give one"),
        (["--data_root", "gone"], "gone"),
        (["--min_score", "0.5"], "--min_score: unet has no detector and finds no persons"),
        (["--max_persons", "3"], "--max_persons: unet has no detector and finds no persons"),
        (["--min_score", "nan"], "--min_score: expected 0 to 1, got nan"),
        (["--max_persons", "101"], "--max_persons: expected 1 to 100, got 101"),
    ],
)
def test_mistakes_are_one_line(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["export", "--checkpoint", str(checkpoint), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
