"""What a user names as a model: an exported file, a checkpoint, a run, or an experiment that was never trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from human_edge_detection.errors import ConfigError, did_you_mean
from human_edge_detection.experiments.config_file import SUFFIXES
from human_edge_detection.experiments.named import resolve_given
from human_edge_detection.experiments.registry import list_configs
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.plain_yaml import line_of, parse_value, problem_of
from human_edge_detection.files.read import read_regular_file
from human_edge_detection.runs.checkpoint_config import config_in_checkpoint
from human_edge_detection.runs.lookup.find import best_checkpoints
from human_edge_detection.runs.paths import list_runs, run_paths_of_checkpoint
from human_edge_prediction import AdapterError
from human_edge_prediction.description_reader import kind_of
from human_edge_prediction.suffixes import MODEL_SUFFIXES

ADAPTER_SUFFIX: Final = ".adapter.json"
"""A description beside a model: ``deeplab.tflite`` has ``deeplab.adapter.json``."""
_MAX_ADAPTER_BYTES: Final = 1_000_000


@dataclass(frozen=True)
class Source:
    """A model to measure, before anything is exported.

    Attributes:
        name: To show.
        file: A file that can be run; None: one is exported.
        adapter: The description of a file that is not ours.
        checkpoint: The trained weights; None: of a file, or there are none.
        config: The experiment; None: of a file.
    """

    name: str
    file: Path | None = None
    adapter: Mapping[str, Any] | None = None
    checkpoint: Path | None = None
    config: ExperimentConfig | None = None

    @property
    def taught_by(self) -> tuple[Path, ...]:
        """The checkpoints of its teachers."""
        distillation = None if self.config is None else self.config.distillation
        return () if distillation is None else tuple(path.resolve() for path in distillation.teacher_paths)


def find_sources(models: list[str], adapters: Mapping[str, Any], output_dir: Path) -> list[Source]:
    """What each of ``models`` is, each once, with names that tell them apart.

    Args:
        models: ``.onnx``, ``.tflite`` and ``.xml`` (OpenVINO) files, checkpoints, names and folders of runs,
            experiments and config files.
        adapters: By model, as it is named there or by the name of its file: the description, or the file that has it.
        output_dir: Folder of all runs.

    Raises:
        ConfigError: None is named, there is no such model, or an adapter is of none of them.
        CheckpointError: A run has no checkpoint, or a damaged one.
    """
    models = list(dict.fromkeys(models))
    if not models:
        raise ConfigError("no model: give at least one MODEL")
    unused = dict(adapters)
    found = []
    for model in models:
        name = model if model in unused else Path(model).name
        found.append(_find(model, unused.pop(name, None), output_dir))
    if unused:
        raise ConfigError(f"--adapter {next(iter(unused))}: none of the models is called so; give MODEL=FILE")
    names = [source.name for source in found]
    return [
        replace(source, name=model) if names.count(source.name) > 1 else source
        for model, source in zip(models, found, strict=True)
    ]


def _find(model: str, adapter: Any, output_dir: Path) -> Source:
    path = Path(model)
    if path.suffix in MODEL_SUFFIXES:
        if not path.is_file():
            raise ConfigError(f"model {model}: no such file")
        return Source(_name_of(path), file=path, adapter=_adapter_of(path, adapter))
    if adapter is not None:
        raise ConfigError(f"--adapter {model}: only files that end in {', '.join(MODEL_SUFFIXES)} are described by one")
    if path.suffix == ".pth" or _is_run(model, output_dir):
        checkpoints = best_checkpoints(model, output_dir)
        if len(checkpoints) > 1:
            raise ConfigError(f"model {model}: {len(checkpoints)} runs of several seeds; name one, {model}/seed_N")
        return Source(_name_of(checkpoints[0]), checkpoint=checkpoints[0], config=config_in_checkpoint(checkpoints[0]))
    experiments = [config.name for config in list_configs()]
    if model in experiments or path.suffix.lower() in SUFFIXES:
        config = resolve_given(model)
        return Source(config.name, config=config)
    runs = [run.root.relative_to(output_dir).as_posix() for run in list_runs(output_dir)]
    endings = ", ".join((*MODEL_SUFFIXES, ".pth"))
    raise ConfigError(
        f"model {model}: no file that ends in {endings}, no run in {output_dir} and no experiment"
        f"{did_you_mean(model, [*runs, *experiments])}"
    )


def _is_run(model: str, output_dir: Path) -> bool:
    """Whether ``model`` is a folder, which should be that of a run."""
    return Path(model).is_dir() or (output_dir / model).is_dir()


def _name_of(path: Path) -> str:
    """The run that a file lies in, else the name of the file."""
    run = run_paths_of_checkpoint(path)
    if path.stem != run.best.stem or not run.config.is_file():
        return path.stem
    return f"{run.root.parent.name}/{run.root.name}" if run.root.name.startswith("seed_") else run.root.name


def _adapter_of(model: Path, given: Any) -> Mapping[str, Any] | None:
    beside = model.with_suffix(ADAPTER_SUFFIX)
    if given is None and beside.is_file():
        given = beside
    return _read(Path(given)) if isinstance(given, str | Path) else given


def _read(path: Path) -> Mapping[str, Any]:
    """The description in ``path``, whose kind is checked; all else, beside the model file."""
    try:
        data: Mapping[str, Any] = parse_value(read_regular_file(path, max_bytes=_MAX_ADAPTER_BYTES).decode("utf-8-sig"))
        kind_of(data)
    except OSError as error:
        raise ConfigError(f"--adapter {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--adapter {path}: not a JSON or YAML text") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"--adapter {path}{line_of(error)}: {problem_of(error)}") from error
    except AdapterError as error:
        raise ConfigError(f"--adapter {path}: {error}") from error
    return data


def choose_reference(sources: list[Source], named: str | None, models: list[str]) -> Source:
    """What the others are compared with: what is named, else the teacher of another one, else the first.

    Args:
        sources: All that are measured.
        named: One of ``models``; None: none is.
        models: What was given for each of ``sources``.
    """
    if named is not None:
        return sources[models.index(named)]
    taught_by = {path for source in sources for path in source.taught_by}
    teachers = [source for source in sources if source.checkpoint and source.checkpoint.resolve() in taught_by]
    return (teachers or sources)[0]
