"""Makes ``run_of_1509fe6.tar.xz`` and what is recorded of it, with the code and the command line of commit 1509fe6.

    git worktree add ../old 1509fe6 && cd ../old && uv sync
    uv run python <this file> NEW_FOLDER     # a few minutes; then copy NEW_FOLDER/*_of_1509fe6.* here

The networks are real ones, and yet the archive is small: nearly all weights of their U-Net are zero, and it stays as it
is (``freeze_unet_epochs``), so a compressor makes nothing of it; only heads of eight channels learn. All paths are
relative, as a checkpoint repeats them, and its checksum forbids to edit it.
"""

# ruff: noqa: I001 - modules of that commit, some of which have moved since

import hashlib
import json
import lzma
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from human_edge_detection.advanced.hierarchical_segmentation_unet import PersonUNet
from human_edge_detection.engine.build import build_model
from human_edge_detection.engine.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from human_edge_detection.engine.trained import load_trained
from human_edge_detection.engine.version import git_commit
from human_edge_detection.experiments.paths import RunPaths, list_runs
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema import ModelConfig, derive

COMMIT = "1509fe6"
UNET = Path("pretrained_unet.pth")
RUNS = Path("experiments")
BEST_TEACHER = RUNS / "teacher/checkpoints/best_model.pth"
TEACHER = "rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r80x60m160x120_disttrans_contdet_baware"
STUDENT = "rgb_hierarchical_unet_v2_student_b0"
DISTILLED = "rgb_hierarchical_unet_v2_distillation_b0_from_b3"
SHARED = [
    *("--pretrained_unet", str(UNET), "--encoder_weights", "none", "--device", "cpu", "--precision", "fp32"),
    *("--num_workers", "0", "--learning_rate", "0.01", "--cache_views", "2"),
    *("--set", "model.freeze_unet_epochs=1000", "--set", "model.head_channels=8"),
    *("--set", "model.image_size=[64,64]", "--set", "model.roi_size=[16,12]", "--set", "model.mask_size=[32,24]"),
    *("--set", "data.sample={train_images: 8, val_images: 4, image_size: [96, 128]}"),
    *("--set", "data.max_rois_per_image=2", "--set", "training.visualize_images=0"),
]
TAUGHT = ["--teacher_checkpoint", str(BEST_TEACHER), *SHARED]
STORED = ["--config", f"{DISTILLED}_temp_prog", "--soft_labels", "answers_{seed}", "--epochs", "8", *TAUGHT]
COMMANDS = {
    "teacher": ["run", "--configs", f"{TEACHER}_b0", "--run_name", "teacher", "--epochs", "16", *SHARED],
    "control": ["train", "--config", STUDENT, "--epochs", "8", *SHARED],
    "soft labels": ["soft-labels", *STORED],
    "taught by soft labels": ["train", *STORED],
    # All that changes over the epochs, and an adapter, whose weights and moments are in the checkpoint too.
    "taught by the teacher": [
        *("train", "--config", f"{DISTILLED}_feat", "--epochs", "8", *TAUGHT),
        *("--set", "distillation.temperature_schedule={curve: cosine}", "--set", "distillation.alpha_schedule={}"),
    ],
    "unfinished": [
        *("train", "--config", f"{DISTILLED}_adaptive", "--run_name", "unfinished", "--epochs", "6", *TAUGHT),
        *("--set", "distillation.adaptive_alpha={tuning_share: 0.3}", "--set", "training.ema={decay: 0.9}"),
        *("--batch_size", "1"),
    ],
}
PRESETS = (TEACHER, STUDENT, DISTILLED, "baseline", "peopleseg_unet_b0", "peopleseg_unet_b3")


def main() -> None:
    """Runs everything in the folder that the command line names."""
    if not (git_commit() or "").startswith(COMMIT):
        sys.exit(f"this is commit {git_commit()}; check {COMMIT} out (see the head of {Path(__file__).name})")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(Path("caches").resolve())
    write_json(Path(f"weights_of_{COMMIT}.json"), {name: names_and_shapes(name) for name in PRESETS})
    save_pretrained_unet()
    for name, command in COMMANDS.items():
        if name == "unfinished":
            interrupt_within_an_epoch(command, RunPaths(RUNS / "unfinished"))
        else:
            hed(*command)
    write_json(Path(f"run_of_{COMMIT}.json"), {"commands": COMMANDS, **record()})
    for run in list_runs(RUNS):
        strip(run)
    pack(Path(f"run_of_{COMMIT}.tar.xz"))


def names_and_shapes(preset: str) -> dict[str, Any]:
    """Number of the weights of ``preset``, and a digest of what they are called and how they are shaped."""
    weights = build_model(get_config(preset).model).state_dict()
    names = sorted((name, list(weight.shape)) for name, weight in weights.items())
    return {"entries": len(names), "sha256": hashlib.sha256(json.dumps(names).encode()).hexdigest()}


def save_pretrained_unet() -> None:
    """A U-Net of sparse weights in few bits. Its features are alive, and rounding does not grow from layer to layer, as
    it does where many weights of either sign cancel each other.
    """
    model = ModelConfig(image_size=(64, 64), head="none", encoder_weights="none")
    config = derive(get_config("peopleseg_unet_b0"), name="peopleseg_unet_b0", model=model.model_dump(mode="json"))
    # Without the fast layers of a whole model, which do not call the normalisation, and so no hook of it.
    unet = PersonUNet(model.encoder).eval()
    for module in unet.modules():
        if isinstance(module, nn.Conv2d):
            fill(module.weight.data)
            if module.bias is not None:
                module.bias.data.zero_()
        elif isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(normalise_what_comes)
    generator = torch.Generator().manual_seed(0)
    sketches = [torch.rand(8, 3, side, side, generator=generator) for side in (4, 8, 16)]
    pictures = [functional.interpolate(sketch, size=model.image_size, mode="bilinear") for sketch in sketches]
    with torch.no_grad():
        unet(unet.normalise(torch.cat(pictures)))
    network = build_model(config.model)
    network.unet.load_state_dict(unet.state_dict())
    save_checkpoint(UNET, Checkpoint(config, network.state_dict(), 1, {}, "made up"))


def fill(weight: Tensor) -> None:
    """Each output channel is one input channel, smoothed, less half of another one from the other half of them."""
    weight.zero_()
    outputs, taps = torch.arange(weight.shape[0]), torch.arange(weight[0, 0].numel())
    inputs = outputs * weight.shape[1] // len(outputs)
    for number, sign in enumerate((1.0, -0.5)):
        kernels = sign / 4 * (1 + (outputs[:, None] + 3 * taps + number) % 4)
        others = (inputs + number * (weight.shape[1] // 2)) % weight.shape[1]
        weight[outputs, others] += kernels.view(-1, *weight.shape[2:]) * power_of_two(torch.tensor(len(taps) ** -0.5))


def normalise_what_comes(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    """Sets the statistics of ``norm`` to those of its inputs, in few bits, before it uses them."""
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    var, mean = torch.var_mean(inputs[0], dim=(0, 2, 3))
    norm.running_var.copy_(power_of_two(var))
    step = norm.running_var.sqrt() / 2
    norm.running_mean.copy_((mean / step).round() * step)


def power_of_two(values: Tensor) -> Tensor:
    """About the nearest power of two of each."""
    return torch.exp2(values.clamp(min=1e-6).log2().round())


def hed(*command: str) -> None:
    """Runs ``hed COMMAND`` as a user does."""
    subprocess.run(line(command), check=True)


def line(command: Sequence[str]) -> list[str]:
    """The command line of ``hed COMMAND``."""
    return [str(Path(sys.executable).with_name("hed")), *command]


def interrupt_within_an_epoch(command: Sequence[str], run: RunPaths) -> None:
    """Starts a training and ends it as a scheduler does, again until that hits it after the first epoch, within one."""
    batch = 0
    while not batch:
        epochs = epochs_of(run)
        process = subprocess.Popen(line(command))
        while process.poll() is None and epochs_of(run) == epochs:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        if process.wait() != 75:
            sys.exit(f"the unfinished run ended with exit code {process.returncode}, not as it was asked to")
        training = read_checkpoint(run.latest)[0].training
        assert training is not None
        batch = training["progress"]["batch"]


def epochs_of(run: RunPaths) -> int:
    """Epochs that ``run`` has completed."""
    return len(run.metrics.read_bytes().splitlines()) if run.metrics.is_file() else 0


def record() -> dict[str, Any]:
    """What this commit says of what it has made."""
    runs = {}
    for run in list_runs(RUNS):
        if run.result.is_file():
            evaluate = ("evaluate", "--checkpoint", str(run.best), "--precision", "fp32", "--device", "cpu")
            hed(*evaluate, "--json", "evaluation.json")
            hed("export", "--checkpoint", str(run.best))
            runs[run.root.name] = {
                "total_parameters": json.loads(run.result.read_bytes())["total_parameters"],
                "metrics": json.loads(Path("evaluation.json").read_bytes())["metrics"],
                "answers": answers(run.best),
            }
    hed("compare")
    rows = json.loads(Path("experiment_comparison.json").read_bytes())
    columns = ("status", "miou", "teacher_miou_share", "gain_over_control", "compression")
    return {"runs": runs, "comparison": {row["run"]: {column: row[column] for column in columns} for row in rows}}


@torch.no_grad()
def answers(checkpoint: Path) -> dict[str, list[float]]:
    """A few values of each output for one drawn picture and two boxes."""
    y, x = torch.meshgrid(torch.arange(64) / 64, torch.arange(64) / 64, indexing="ij")
    image = torch.stack([torch.sin(20 * x + 9 * y), torch.sin(25 * y - 7 * x), torch.sin(40 * x * y)]) / 2 + 0.5
    rois = torch.tensor([[0, 0.1, 0.2, 0.7, 0.8], [0, 0.4, 0.0, 1.0, 1.0]])
    output = load_trained(checkpoint).model(image[None], rois)
    named = {"logits": output.logits, **output.aux}
    # Not a whole number of rows apart, so not all in one column.
    return {name: values.flatten()[:: values.numel() // 16 + 1].tolist() for name, values in sorted(named.items())}


def strip(run: RunPaths) -> None:
    """Leaves what a later command reads, and nothing that tells on which machine it was made."""
    kept = {run.config, run.status, run.provenance, run.result, run.metrics, run.per_image, run.parity}
    for checkpoint in (run.best, run.latest):
        kept |= {checkpoint, checkpoint.with_suffix(".json")}
    for path in run.root.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()
    write_json(run.status, json.loads(run.status.read_bytes()) | {"host": "golden", "pid": 1})
    provenance = json.loads(run.provenance.read_bytes())
    provenance["command"][0] = "hed"
    write_json(run.provenance, provenance | {"platform": "Linux"})


def write_json(path: Path, content: Any) -> None:
    """As the tool writes it."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def pack(archive: Path) -> None:
    """One file, without owners, times and locks; all that is alike lies within reach of one dictionary."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return None if Path(entry.name).name.startswith(".") else entry

    with tarfile.open(archive, "w:xz", preset=9 | lzma.PRESET_EXTREME) as tar:
        for name in (str(UNET), "answers_0", "sample_data", str(RUNS)):
            tar.add(name, filter=plain)


if __name__ == "__main__":
    main()
