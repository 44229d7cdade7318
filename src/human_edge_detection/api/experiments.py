"""Experiments: which there are, what one consists of, how to make one's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from human_edge_detection.api.request import overrides_of
from human_edge_detection.errors import ConfigError

if TYPE_CHECKING:
    from human_edge_detection.engine.model_cost import Compression, ModelDescription
    from human_edge_detection.experiments.named import Given
    from human_edge_detection.experiments.overrides import Overrides
    from human_edge_detection.experiments.schema.experiment import ExperimentConfig
    from human_edge_detection.runs.records import Probe


def list_configs() -> tuple[ExperimentConfig, ...]:
    """All experiments: those that come with this package, then those that this program has registered.

    Example:
        for config in hed.list_configs():
            print(config.name, config.description)
    """
    from human_edge_detection.experiments import registry

    return registry.list_configs()


def get_config(config: str | Path) -> ExperimentConfig:
    """The experiment of a name, or of a YAML or JSON file that is based on one. It is frozen; see :func:`derive`.

    Raises:
        ConfigError: There is no such experiment or file (names the nearest), or the file is wrong.

    Example:
        config = hed.get_config("quickstart_student_b0")
        print(config.training.epochs, config.model.encoder)
    """
    from human_edge_detection.experiments.named import resolve_given

    return resolve_given(config)


def derive(parent: Given, *, name: str, description: str = "", **changes: Any) -> ExperimentConfig:
    """A new experiment that states only its difference from ``parent``; every mistake is found here.

    Args:
        parent: Name of an experiment, path of a config file, or a config.
        name: Of the new one: letters, digits and ``_ . + -``.
        description: In a sentence.
        **changes: Sections with the fields that differ; None turns an optional section off, ``{}`` turns it on.

    Raises:
        ConfigError: Names each wrong field, and the nearest known one.

    Example:
        mine = hed.derive("quickstart_student_b0", name="mine", training={"epochs": 3, "learning_rate": 5e-4})
    """
    from human_edge_detection.experiments.named import resolve_given
    from human_edge_detection.experiments.schema import experiment

    return experiment.derive(resolve_given(parent), name=name, description=description, **changes)


def register(config: ExperimentConfig) -> ExperimentConfig:
    """Makes ``config`` known by its name in this program, so that others can name it as their teacher; returns it.

    Without it a config can be trained all the same: give the config itself instead of its name.

    Raises:
        ConfigError: Another experiment has this name.

    Example:
        teacher = hed.register(hed.derive("quickstart_teacher_b3", name="my_teacher", training={"epochs": 4}))
    """
    from human_edge_detection.experiments import registry

    return registry.register(config)


@dataclass(frozen=True)
class Description:
    """An experiment in numbers.

    Attributes:
        config: Resolved, with all changes.
        model: Parameters, GFLOPs, shapes.
        teacher_name: Experiment that teaches; None without distillation.
        teacher: Its network.
        compression: How many times smaller the model is than its teacher.
        probe: What some of its training steps take on this machine; None where that was not asked for.
        epoch: How many images an epoch has, in words, where some have no labels; else None.
        views: The figure of its training views; None where that was not asked for.
    """

    config: ExperimentConfig
    model: ModelDescription
    teacher_name: str | None = None
    teacher: ModelDescription | None = None
    compression: Compression | None = None
    probe: Probe | None = None
    epoch: str | None = None
    views: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        teacher = None if self.teacher is None else {"experiment": self.teacher_name, **self.teacher.to_json()}
        return {
            "config": self.config.model_dump(mode="json"),
            "model": self.model.to_json(),
            "teacher": teacher,
            "compression": None if self.compression is None else asdict(self.compression),
            "probe": None if self.probe is None else _with_totals(self.probe),
            "epoch": self.epoch,
            "views": None if self.views is None else str(self.views),
        }


def describe(
    config: Given | None = None,
    *,
    changes: Mapping[str, Any] | Overrides | None = None,
    probe: bool = False,
    views: str | Path | None = None,
) -> Description:
    """What an experiment resolves to and what its networks cost; no weights are kept, and only ``views`` is written.

    Args:
        config: Name of an experiment, path of a config file, or a config; None: that of a file among ``changes``.
        changes: Dotted paths of fields to their values.
        probe: Also train it for a few steps on its data, in a process of its own, to see what that takes here.
        views: A ``.png`` file to draw training views of some of its images into, with what was done to each.

    Raises:
        ConfigError: Anything is unknown, out of range or contradictory, or keeps a probe from training.
        DataError: The images for ``views`` are missing or bad.
        StorageError: ``views`` cannot be written.
        CheckpointError: The teacher's checkpoint that it names cannot be read.
        TrainingError: The training does not fit into memory.

    Example:
        cost = hed.describe("quickstart_student_b0", changes={"model.image_size": [128, 128]})
        print(cost.model.total_parameters, cost.model.gflops.total)
    """
    from human_edge_detection.experiments.named import resolve_given
    from human_edge_detection.runs.model_facts.unlabelled import epoch_in_words

    if views is not None and Path(views).suffix.lower() != ".png":
        raise ConfigError(f"--views {views}: expected a file that ends in .png, such as views.png")
    overrides = overrides_of(changes)
    resolved = resolve_given(config, overrides)
    teacher, epoch = _teacher_of(resolved, overrides), epoch_in_words(resolved.data)
    probed = _probe(resolved, teacher) if probe else None
    drawn = None if views is None else _draw_views(resolved, Path(views))

    from human_edge_detection.engine.model_cost import compression, describe_model  # slow: mistakes come before

    model = describe_model(resolved.model)
    if teacher is None:
        return Description(resolved, model, probe=probed, epoch=epoch, views=drawn)
    large = describe_model(teacher.model)
    return Description(resolved, model, teacher.name, large, compression(model, large), probed, epoch, drawn)


def _probe(config: ExperimentConfig, teacher: ExperimentConfig | None) -> Probe:
    """What five training steps of ``config`` take here, on the data that a run of it would use."""
    from human_edge_detection.runner.probe import measure_training

    return measure_training(_with_data(config), teacher)


def _draw_views(config: ExperimentConfig, file: Path) -> Path:
    """Training views of some of the images that a run of ``config`` would use, drawn into ``file``."""
    located = _with_data(config)
    from human_edge_detection.engine.evaluation.view_figure import draw_training_views  # slow: mistakes come before
    from human_edge_detection.engine.evaluation.visualize import encode_png
    from human_edge_detection.files.write import write_atomically

    with TemporaryDirectory() as folder:  # for drawn images
        figure = draw_training_views(located, Path(folder) / "drawn")
    write_atomically(file, encode_png(figure))
    return file


def _with_data(config: ExperimentConfig) -> ExperimentConfig:
    """``config`` with the data that a run of it would use, which are there, and views that can be made."""
    from human_edge_detection.runner.execution.plan import check_views
    from human_edge_detection.runs.checks import check_data_paths
    from human_edge_detection.runs.data_source import locate_data

    located = locate_data(config, environment=os.environ, folder=Path()).config
    check_data_paths(located)
    check_views(located)
    return located


def _with_totals(probe: Probe) -> dict[str, Any]:
    """As plain data, with what follows from it."""
    seconds = probe.seconds_per_epoch
    return {**probe.model_dump(mode="json"), "seconds_per_epoch": seconds, "seconds": seconds * probe.epochs}


def _teacher_of(config: ExperimentConfig, overrides: Overrides) -> ExperimentConfig | None:
    """The network that would teach a run of ``config``: its checkpoint's, or the experiment that trains it."""
    if config.distillation is None:
        return None
    if config.distillation.own_teacher_paths:
        from human_edge_detection.engine.checkpoints.checkpoint import read_checkpoint

        return read_checkpoint(config.distillation.own_teacher_paths[0])[0].config
    from human_edge_detection.experiments.flags import TEACHER_CHECKPOINT
    from human_edge_detection.runs.dependencies import dependencies, dependency_config

    needed = (one for one in dependencies(config) if one.field == TEACHER_CHECKPOINT)
    return next((dependency_config(one, overrides)[0] for one in needed), None)  # None: no network that we know
