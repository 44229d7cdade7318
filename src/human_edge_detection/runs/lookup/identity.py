"""What makes a run this run and no other: its config, and the content of the files that it learns from.

A path says where a file lies today. Another spelling of it, a moved folder or another machine change the path and not
what is trained, so a run is told by content: annotations and weights by their sha256, drawn data by their parameters
(which are in the config) and version, a checkpoint that is yet to be trained by the run that will train it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import Field, JsonValue, TypeAdapter

from human_edge_detection.errors import CheckpointError, DataError
from human_edge_detection.experiments.difference import Difference, compare_fields
from human_edge_detection.experiments.flags import TEACHER_CHECKPOINT
from human_edge_detection.experiments.schema.base import BY_CONTENT, Section
from human_edge_detection.experiments.schema.data import DRAWN_VERSION, AugmentationConfig, DataConfig, UnlabelledConfig
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.files.data_folder import find_splits
from human_edge_detection.files.model_files import model_sha256
from human_edge_detection.files.read import file_sha256
from human_edge_detection.files.strict_json import read_json
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.encoder_weights import encoder_weights_file
from human_edge_detection.runs.model_facts.unlabelled import contents_of
from human_edge_detection.runs.paths import OLDER_SOFT_LABELS_METADATA, SOFT_LABELS_METADATA, RunPaths
from human_edge_detection.runs.provenance import read_provenance
from human_edge_detection.runs.records import read_section

PRETRAINED_UNET: Final = "model.pretrained_unet"
INIT_FROM: Final = "model.init_from"
_SEED: Final = "training.seed"
_SHOWN_DIGITS: Final = 12
_PLAIN: Final[TypeAdapter[dict[str, JsonValue]]] = TypeAdapter(dict[str, JsonValue])
_MAX_SOFT_LABELS_BYTES: Final = 1 << 28


PLACES: Final = frozenset(
    f"{section}.{field}"
    for section, kind in (
        ("data", DataConfig),
        ("data.unlabelled", UnlabelledConfig),
        ("data.augmentation", AugmentationConfig),
        ("model", ModelConfig),
        ("distillation", DistillationConfig),
    )
    for field, declared in kind.model_fields.items()
    if declared.json_schema_extra == BY_CONTENT
)
"""Dotted paths of the fields that say where something lies."""


class WeightFile(Section):
    """Weights that a run starts or learns from, as far as they are known: by content, by the run they come from."""

    sha256: str | None = None
    """Of the file; null while it is yet to be trained."""
    run: str | None = None
    """Digest of the identity of the run that it is a checkpoint of; null for a file outside of a run folder."""
    group: str | None = None
    """The same without the seed."""
    epochs: int | None = None
    """In all, of that run."""
    checkpoint: str | None = None
    """Its name in that run: ``best_model``, ``checkpoint_epoch_0048``."""

    def is_same(self, other: WeightFile, *, seeds: bool = True) -> bool:
        """Whether both are the same weights; with ``seeds`` false those of another seed are."""
        hashes = (self.sha256, other.sha256)
        if seeds and None not in hashes:
            return self.sha256 == other.sha256
        mine, its = (self.run, other.run) if seeds else (self.group, other.group)
        if mine is not None and its is not None:
            return (mine, self.epochs, self.checkpoint) == (its, other.epochs, other.checkpoint)
        return None not in hashes and self.sha256 == other.sha256

    def __str__(self) -> str:
        if self.epochs is not None:
            return f"{self.checkpoint} of a run of {self.epochs} epochs ({(self.run or '')[:_SHOWN_DIGITS]})"
        return "unknown" if self.sha256 is None else f"sha256 {self.sha256[:_SHOWN_DIGITS]}"


class RunContents(Section):
    """The content behind the paths of a config; ``contents.json`` of a run folder."""

    train_annotations: str | None = None
    """sha256; null for drawn data."""
    val_annotations: str | None = None
    drawn_version: int | None = None
    """Of the drawn images; null for other data."""
    encoder_weights: str
    """``imagenet``, ``none``, or the sha256 of the file."""
    soft_labels: str | None = None
    """Digest of the key of the stored soft labels."""
    unlabelled: str | None = None
    """Names and sizes of the images without labels, and whose boxes are on them; null: there are none."""
    pipeline: str | None = None
    """sha256 of the file of ``data.augmentation.pipeline``; null without one."""
    weights: dict[str, tuple[WeightFile, ...]] = Field(default_factory=dict)
    """By the field that names them; of several teachers, all."""


@dataclass(frozen=True)
class Identity:
    """What two runs are compared by.

    Attributes:
        fields: The config without fields that have no effect, say where something lies, or grow.
        contents: What lies there.
    """

    fields: Mapping[str, Any]
    contents: RunContents

    def differences(self, other: Identity, *, seeds: bool = True) -> Difference:
        """Dotted path -> (value here, value there); empty when both are one run. ``seeds`` false: for any seed."""
        changed = compare_fields(self.fields, other.fields)
        mine, its = self.contents, other.contents
        plain = {"weights"}
        changed |= compare_fields(mine.model_dump(exclude=plain), its.model_dump(exclude=plain))
        for field in dict.fromkeys([*mine.weights, *its.weights]):
            one, two = mine.weights.get(field, ()), its.weights.get(field, ())
            if len(one) != len(two) or not all(a.is_same(b, seeds=seeds) for a, b in zip(one, two, strict=True)):
                changed[field] = (_shown(one), _shown(two))
        if not seeds:
            changed.pop(_SEED, None)
        return changed

    @cached_property
    def shared_by_seeds(self) -> Hashable:
        """Equal where the fields of two runs are but for the seed; their contents may still differ."""
        training = {name: value for name, value in self.fields["training"].items() if f"training.{name}" != _SEED}
        return _hashable({**self.fields, "training": training})

    def is_same(self, other: Identity) -> bool:
        """Whether both are one run; quicker than :meth:`differences` where they are not."""
        return self.fields == other.fields and not self.differences(other)

    def digest(self, *, seeds: bool = True) -> str:
        """sha256 of all that; ``seeds`` false: the same for all seeds."""
        fields = dict(compare_fields({}, flat(self.fields)))
        if not seeds:
            fields.pop(_SEED, None)
        # Without what older versions did not know it is the digest that it was then.
        new = [name for name in ("unlabelled", "pipeline") if getattr(self.contents, name) is None]
        contents = self.contents.model_dump(mode="json", exclude={"weights", *new})
        return digest_of([fields, contents, weights_names(self.contents, seeds=seeds)])


def weights_names(contents: RunContents, *, seeds: bool = True) -> dict[str, Any]:
    """The weights of ``contents`` by field, each by the run that it comes from, else by its sha256."""
    return {field: [_name(file, seeds=seeds) for file in files] for field, files in contents.weights.items()}


def digest_of(content: Any) -> str:
    """sha256 of ``content`` as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def identity_fields(config: ExperimentConfig) -> dict[str, Any]:
    """``config`` without texts and without fields that the schema marks: those with no effect, paths, growth."""
    fields = _unmarked(config, config.model_dump(mode="json"))
    return {name: value for name, value in fields.items() if name not in ("name", "description")}


def identity_of(config: ExperimentConfig, contents: RunContents) -> Identity:
    """The identity of a run of ``config`` whose files have these ``contents``."""
    return Identity(identity_fields(config), contents)


def find_contents(config: ExperimentConfig, weights: Mapping[str, Sequence[WeightFile]] = {}) -> RunContents:
    """What lies at the paths of ``config`` now.

    Args:
        config: The experiment.
        weights: Those of files that are known otherwise, because they are yet to be trained; by field.

    Raises:
        DataError: The annotations that it names are not there.
    """
    data = config.data
    train, val = (None, None) if data.sample is not None else map(file_sha256, annotation_files(data))
    named = {
        field: tuple(map(weight_file, paths)) for field, paths in weight_paths(config).items() if field not in weights
    }
    return RunContents(
        train_annotations=train,
        val_annotations=val,
        drawn_version=None if data.sample is None else DRAWN_VERSION,
        encoder_weights=_encoder_weights(config),
        soft_labels=_soft_labels(config),
        unlabelled=contents_of(data),
        pipeline=pipeline_sha256(data),
        weights=named | {field: tuple(files) for field, files in weights.items()},
    )


def annotation_files(data: DataConfig) -> tuple[Path, Path]:
    """The annotations of the training and the validation split of ``data``, which is not drawn.

    Raises:
        DataError: ``data.root`` does not hold them.
    """
    if data.train_ann is not None and data.val_ann is not None:
        return Path(data.train_ann), Path(data.val_ann)
    train, val = find_splits(Path(data.root or ""))
    return train.annotations, val.annotations


def pipeline_sha256(data: DataConfig) -> str | None:
    """Of the file that makes the views; None without one, "unknown" for one that cannot be read."""
    if data.augmentation is None or data.augmentation.pipeline is None:
        return None
    return file_sha256(Path(data.augmentation.pipeline)) or "unknown"


def weight_paths(config: ExperimentConfig) -> dict[str, tuple[Path, ...]]:
    """The checkpoints that ``config`` names, by field; all teachers under the field of the first."""
    distillation, model = config.distillation, config.model
    paths = {
        TEACHER_CHECKPOINT: () if distillation is None else distillation.teacher_paths,
        PRETRAINED_UNET: () if model.pretrained_unet is None else (Path(model.pretrained_unet),),
        INIT_FROM: () if model.init_from is None else (Path(model.init_from),),
    }
    return {field: tuple(named) for field, named in paths.items() if named}


def weight_file(path: Path) -> WeightFile:
    """What is known of the weights at ``path``; nothing when there is no such file."""
    if not path.is_file():
        return WeightFile()
    run = RunPaths(path.absolute().parent.parent)
    known = WeightFile(sha256=model_sha256(path))
    stored = read_identity(run) if path.absolute().parent == run.checkpoints else None
    return known if stored is None else of_run(stored, path.stem, sha256=known.sha256)


def of_run(run: StoredIdentity, checkpoint: str, *, sha256: str | None = None) -> WeightFile:
    """The weights called ``checkpoint`` of ``run``, which need not be trained yet."""
    return WeightFile(
        sha256=sha256,
        run=run.identity.digest(),
        group=run.identity.digest(seeds=False),
        epochs=run.epochs,
        checkpoint=checkpoint,
    )


class StoredIdentity(NamedTuple):
    """A run folder's identity and the epochs that it has in all."""

    identity: Identity
    epochs: int


def read_identity(run: RunPaths) -> StoredIdentity | None:
    """The identity of the run in a folder; None when there is no run, or none that can be read."""
    try:
        config = read_section(ExperimentConfig, run.config)
        if config is None:
            return None
        return StoredIdentity(identity_of(config, read_contents(run, config)), config.training.epochs)
    except (CheckpointError, OSError):
        return None


def read_contents(run: RunPaths, config: ExperimentConfig) -> RunContents:
    """The contents of a run of ``config``: as stored, or found anew for a run of an older version.

    Raises:
        CheckpointError: contents.json is damaged.
    """
    stored = read_section(RunContents, run.contents)
    if stored is None:
        weights = {
            field: tuple(WeightFile(sha256=model_sha256(path)) for path in paths)
            for field, paths in weight_paths(config).items()
        }
        taught = _teachers_then(run)
        if len(taught) == len(weights.get(TEACHER_CHECKPOINT, ())):  # what taught it, not what lies there now
            weights[TEACHER_CHECKPOINT] = tuple(WeightFile(sha256=sha256) for sha256 in taught)
        try:
            stored = find_contents(config, weights)
        except DataError:  # the data have moved; an unknown content is no other run's
            stored = RunContents(encoder_weights=_encoder_weights(config), weights=weights)
    return _with_teachers(stored, run)


def _with_teachers(contents: RunContents, run: RunPaths) -> RunContents:
    """With the sha256 of teachers that were yet to be trained when it was stored, as the started run wrote it down."""
    teachers = contents.weights.get(TEACHER_CHECKPOINT, ())
    if all(file.sha256 for file in teachers):
        return contents
    hashes = _teachers_then(run)
    if len(hashes) != len(teachers):
        return contents
    filled = tuple(
        file.model_copy(update={"sha256": file.sha256 or sha256}) for file, sha256 in zip(teachers, hashes, strict=True)
    )
    return contents.model_copy(update={"weights": {**contents.weights, TEACHER_CHECKPOINT: filled}})


def _teachers_then(run: RunPaths) -> list[str]:
    """sha256 of the teachers of a run that has started, as it wrote them down; none for others."""
    return [sha256 for sha256 in str(read_provenance(run).get("teacher_sha256") or "").split("+") if sha256]


def write_contents(run: RunPaths, contents: RunContents) -> None:
    """Stores ``contents`` in the folder of ``run``.

    Raises:
        StorageError: It cannot be written.
    """
    write_json(run.contents, contents.model_dump(mode="json"))


def _encoder_weights(config: ExperimentConfig) -> str:
    file = encoder_weights_file(config.model, os.environ)
    return config.model.encoder_weights if file is None else file_sha256(file) or config.model.encoder_weights


def _soft_labels(config: ExperimentConfig) -> str | None:
    """Digest of the key beside the soft labels, which says of what they are; older ones are not read, and known."""
    distillation = config.distillation
    if distillation is None or distillation.soft_labels is None:
        return None
    folder = distillation.soft_labels.replace("{seed}", str(config.training.seed))
    for file in (Path(folder, SOFT_LABELS_METADATA), Path(folder, OLDER_SOFT_LABELS_METADATA)):
        with suppress(OSError, ValueError, KeyError):
            return digest_of(read_json(_PLAIN, file, max_bytes=_MAX_SOFT_LABELS_BYTES)["key"])
    return "unknown"


def _unmarked(section: Section, fields: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for name in _unmarked_names(type(section)):
        value = getattr(section, name)
        kept[name] = _unmarked(value, fields[name]) if isinstance(value, Section) else fields[name]
    return kept


@cache
def _unmarked_names(kind: type[Section]) -> tuple[str, ...]:
    declared = {name: field.json_schema_extra for name, field in kind.model_fields.items()}
    return tuple(name for name, extra in declared.items() if not (isinstance(extra, dict) and "identity" in extra))


def flat(fields: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The leaves of nested fields by their dotted path; a list is a leaf."""
    leaves: dict[str, Any] = {}
    for key, value in fields.items():
        leaves |= flat(value, f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return leaves


def _hashable(value: Any) -> Hashable:
    """``value``, plain data, as something equal exactly where it is, that can be looked up."""
    if isinstance(value, Mapping):
        return frozenset((name, _hashable(part)) for name, part in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _name(file: WeightFile, *, seeds: bool) -> list[Any]:
    run = file.run if seeds else file.group
    return [file.sha256] if run is None else [run, file.epochs, file.checkpoint]


def _shown(files: Sequence[WeightFile]) -> str | None:
    return ", ".join(map(str, files)) or None
