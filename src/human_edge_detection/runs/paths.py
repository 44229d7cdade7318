"""The shape of a run folder. No other file knows it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from human_edge_detection.experiments.schema.data import DataConfig

RUNS_FILE = "experiment_runs.json"
COMPARISON_FILE = "experiment_comparison.csv"
COMPARISON_JSON_FILE = "experiment_comparison.json"
PAIRED_FOLDER = "experiment_comparison"
"""Reports of ``hed compare RUN...``, beside the folder of all runs."""
SOFT_LABELS_METADATA = "soft_labels_metadata.json"
"""In a folder of soft labels: what they are to."""
OLDER_SOFT_LABELS_METADATA = "soft_labels.json"
"""Of versions whose soft labels were files of a format of their own."""
BATCH_LOCK = ".batch_lock"
"""In the folder of all runs, held by the process that runs a batch; a name that no run's lock can have: those end in
.lock."""


@dataclass(frozen=True)
class RunPaths:
    """Every path of one run below its folder ``root``."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by the process that trains this run. Beside the folder, as ``--restart`` deletes the folder."""
        return self.root.with_name(f".{self.root.name}.lock")

    @property
    def config(self) -> Path:
        return self.root / "config.json"

    @property
    def contents(self) -> Path:
        """What lay at the paths of the config when the run began."""
        return self.root / "contents.json"

    @property
    def resumed_from(self) -> Path:
        """The earlier checkpoint that the run went back to, if it did."""
        return self.root / "resumed_from.json"

    @property
    def provenance(self) -> Path:
        return self.root / "provenance.json"

    @property
    def status(self) -> Path:
        return self.root / "status.json"

    @property
    def result(self) -> Path:
        return self.root / "result.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def results(self) -> Path:
        """The same as a table, one row an epoch."""
        return self.root / "results.csv"

    @property
    def progress(self) -> Path:
        """The same as a figure."""
        return self.root / "progress.png"

    @property
    def per_image(self) -> Path:
        """What the best model predicted on each validation image."""
        return self.root / "per_image.json"

    @property
    def test_scores(self) -> Path:
        """What the best model scored on a test split, where that was asked for."""
        return self.root / "test_scores.json"

    @property
    def test_per_image(self) -> Path:
        """What it predicted on each image of that."""
        return self.root / "test_per_image.json"

    @property
    def predictions(self) -> Path:
        """Where the best model sees persons on validation images, for reports."""
        return self.root / "predictions.json"

    @property
    def training_views(self) -> Path:
        """Some images as training saw them, for reports."""
        return self.root / "training_views.json"

    @property
    def parity(self) -> Path:
        return self.root / "parity.json"

    @property
    def latency(self) -> Path:
        """How long the exported model takes."""
        return self.root / "latency.json"

    @property
    def quantization(self) -> Path:
        """What ``hed quantize`` measured of the exported model."""
        return self.root / "quantization.json"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def untrained(self) -> Path:
        return self.checkpoints / "untrained_model.pth"

    @property
    def best(self) -> Path:
        return self.checkpoints / "best_model.pth"

    @property
    def latest(self) -> Path:
        return self.checkpoints / "latest.pth"

    @property
    def onnx(self) -> Path:
        return self.checkpoints / "best_model.onnx"

    @property
    def detector_onnx(self) -> Path:
        """Beside it, of a model with a detector: the model that finds the persons itself."""
        return detector_path(self.onnx)

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def training_log(self) -> Path:
        return self.logs / "training_log.txt"

    @property
    def cluster(self) -> Path:
        """What a cluster keeps of the run's children: what they said, scripts, results."""
        return self.root / "cluster"

    @property
    def child_output(self) -> Path:
        """What children on nodes of a cluster have said, one after another."""
        return self.cluster / "output.txt"

    @property
    def own(self) -> tuple[Path, ...]:
        """All that a run writes into its folder, the checkpoints first; other files there are the user's."""
        files = (self.config, self.contents, self.provenance, self.status, self.result, self.metrics)
        exported = (self.parity, self.latency, self.quantization)
        seen = (self.results, self.progress, self.logs, self.root / "visualizations", self.cluster)
        further = (self.per_image, self.predictions, self.training_views, self.resumed_from, *seen)
        return (self.checkpoints, *files, *exported, self.test_scores, self.test_per_image, *further)

    def epoch_checkpoint(self, epoch: int) -> Path:
        return self.checkpoints / f"checkpoint_epoch_{epoch:04d}.pth"

    @staticmethod
    def epoch_of(checkpoint: Path) -> int:
        """The epoch of one of :meth:`epoch_checkpoints`."""
        return int(checkpoint.stem.removeprefix("checkpoint_epoch_"))

    def epoch_checkpoints(self) -> list[Path]:
        """Existing epoch checkpoints, oldest first."""
        return sorted(path for path in self.checkpoints.glob("checkpoint_epoch_*.pth") if path.stem[-1].isdigit())

    def visualizations(self, epoch: int) -> Path:
        return self.root / "visualizations" / f"epoch_{epoch:04d}"


def run_paths_of_checkpoint(checkpoint: Path) -> RunPaths:
    """The run folder that holds ``checkpoint``."""
    # Not Path.resolve, which raises for a link that leads in a circle.
    return RunPaths(Path(os.path.realpath(checkpoint)).parent.parent)


def summary_path(checkpoint: Path) -> Path:
    """The ``.json`` beside a checkpoint."""
    return checkpoint.with_suffix(".json")


def detector_path(onnx: Path) -> Path:
    """Where the export with the detector lies that belongs to the one at ``onnx``."""
    return onnx.with_suffix(".detect.onnx")


def quantized_path(onnx: Path) -> Path:
    """Where the export in 8-bit integers lies that was made of the one at ``onnx``."""
    return onnx.with_suffix(".int8.onnx")


def output_dir_of(run: RunPaths) -> Path:
    """The output folder that holds ``run``, one of several seeds or not."""
    several_seeds = run.root.name.startswith("seed_")
    return run.root.parent.parent if several_seeds else run.root.parent


def card_path(onnx: Path) -> Path:
    """Where the model card of the export at ``onnx`` lies."""
    return onnx.with_suffix(".md")


def run_name_of(run: RunPaths) -> str:
    """The name of ``run`` below its output folder."""
    return run.root.relative_to(output_dir_of(run)).as_posix()


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Best checkpoints of all runs below ``output_dir``, sorted."""
    return sorted(output_dir.glob("**/checkpoints/best_model.pth"))


def list_runs(output_dir: Path) -> list[RunPaths]:
    """All runs below ``output_dir``, by name, and by seed where a run has several; those too that cannot be read."""
    runs = []
    for root in _look_into(output_dir).folders:
        inside = _look_into(root)
        seeds = [seed for seed in inside.folders if seed.name.startswith("seed_") and _look_into(seed).has_run]
        runs += [RunPaths(folder) for folder in ([root, *seeds] if inside.has_run else seeds)]
    return sorted(runs, key=lambda run: (run.root.parts[:-1], len(run.root.name), run.root.name))


class _Inside(NamedTuple):
    """What is in a folder: folders, and whether a run of it has started, or that cannot be told."""

    folders: list[Path]
    has_run: bool


def _look_into(folder: Path) -> _Inside:
    """The folders in ``folder``, links that lead in a circle included; none when it cannot be read."""
    try:
        with os.scandir(folder) as found:  # tells folders from files without a look at each
            entries = list(found)
    except OSError:
        return _Inside([], has_run=True)
    folders = [folder / entry.name for entry in entries if not entry.name.startswith(".") and _may_be_folder(entry)]
    return _Inside(folders, any(entry.name == "status.json" for entry in entries))


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        return error.errno == errno.ELOOP


def sample_data_dir(output_dir: Path, data: DataConfig) -> Path:
    """Where the sample data of ``data`` lies: beside ``output_dir``, one folder for each way to draw it."""
    from human_edge_detection.experiments.schema.data import SampleDataConfig  # else all who name a folder wait for it

    sample = data.sample or SampleDataConfig()
    return output_dir.parent / "sample_data" / f"people_{_digest(sample.model_dump(mode='json', exclude_none=True))}"


def scan_cache(data: DataConfig) -> Path | None:
    """Where it is remembered which images of ``data`` were found good; None where there is no place for caches."""
    from human_edge_detection.files.cache import cache_folder

    caches = cache_folder()
    named = {"sample", "root", "train_ann", "val_ann", "train_images", "val_images"}
    files = data.model_dump(mode="json", include=named, exclude={"sample": {"test_images"}})
    return caches and caches / "scans" / f"{_digest(files)}.json"


def _digest(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]
