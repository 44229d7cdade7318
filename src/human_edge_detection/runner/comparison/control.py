"""What may be compared with what: the one rule, for the table of all runs and for pairs of them.

A difference between the scores of two runs is due to distillation when all else is equal: settings, segments by which
they grew, starting weights, annotations and images of both splits. A share of the teacher's score is a share of the
score of what taught, told by its sha256, on the same validation data. What an older version did not write down is
unknown, and differs from nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from human_edge_detection.experiments.difference import Difference, compare_fields, known_to_differ
from human_edge_detection.experiments.flags import TEACHER_CHECKPOINT
from human_edge_detection.experiments.registry import list_configs
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.runs.lookup.identity import RunContents, identity_fields, weights_names
from human_edge_detection.runs.paths import RunPaths
from human_edge_detection.runs.records import RunResult

_TRAINED_ON: Final = {"training annotations": "training_fingerprint", "training images": "training_images"}
_VALIDATED_ON: Final = {"validation annotations": "data_fingerprint", "validation images": "validation_images"}
"""What is compared -> the field of result.json that says it."""


@dataclass(frozen=True)
class Finished:
    """What a finished run is compared by.

    Attributes:
        name: Its folder.
        config: What was trained.
        contents: What lay at its paths.
        result: What came of it.
        weights: The sha256 of its best weights, as they are now; None: unknown.
    """

    name: str
    config: ExperimentConfig
    contents: RunContents
    result: RunResult
    weights: str | None

    @cached_property
    def settings(self) -> str:
        """What is equal in a run and its control."""
        return json.dumps(shared_with_control(self.config, self.contents), sort_keys=True)


class Control(NamedTuple):
    """The control of a run, or why it has none."""

    run: Finished | None
    reason: str | None


class Taught(NamedTuple):
    """What taught a run.

    Attributes:
        metrics: Its validation metrics: all of them, or mIoU alone as the student's run measured it.
        parameters: Number of its weights.
        reason: Why the record of the teacher's own run does not count; None: it does.
    """

    metrics: Mapping[str, float | None]
    parameters: int | None
    reason: str | None


class Controls:
    """The runs without distillation, to look up: a scan of all of them for each run takes minutes for thousands."""

    def __init__(self, runs: Iterable[Finished]) -> None:
        self._by_settings: dict[str, list[Finished]] = {}
        for run in runs:
            if run.config.distillation is None:
                self._by_settings.setdefault(run.settings, []).append(run)

    def of(self, run: Finished) -> Control:
        """The first run that differs from ``run`` in its distillation and in nothing else."""
        candidates = self._by_settings.get(run.settings, [])
        if not candidates:
            return Control(None, "no finished run without distillation has its settings, seed and starting weights")
        for candidate in candidates:
            if not data_differences(candidate.result, run.result):
                return Control(candidate, None)
        other = ", ".join(data_differences(candidates[0].result, run.result))
        return Control(None, f"{candidates[0].name} has the same settings and other {other}")


def shared_with_control(config: ExperimentConfig, contents: RunContents) -> dict[str, Any]:
    """The settings and starting weights that are equal in a run and its control, as nested plain fields.

    Epochs count with the segments by which a run has grown: a learning rate that rose again is other training.
    """
    fields = identity_fields(config)
    fields.pop("distillation")
    fields["data"].pop("unlabelled")  # of which a control learns nothing, as nobody teaches it
    segments = config.training.segments
    fields["training"] |= {"epochs": config.training.epochs, "segments": segments and list(segments)}
    weights = weights_names(contents)
    weights.pop(TEACHER_CHECKPOINT, None)
    fields["pipeline"] = contents.pipeline
    fields["starts_from"] = weights | {"model.encoder_weights": contents.encoder_weights}
    return fields


def data_differences(one: RunResult, other: RunResult) -> Difference:
    """What two runs were trained or validated on that is known to differ: its name -> (of one, of the other)."""
    return _differences(_TRAINED_ON | _VALIDATED_ON, one, other)


def validation_differences(one: RunResult, other: RunResult) -> Difference:
    """As :func:`data_differences`, of the validation data alone: without these the scores are of the same thing."""
    return _differences(_VALIDATED_ON, one, other)


def different_teachers(one: RunResult, other: RunResult) -> Difference:
    """The teachers of two runs that both had one, by sha256, where these are known to differ."""
    return _differences({"teacher": "teacher_sha256"}, one, other)


def taught_by(config: ExperimentConfig, result: RunResult, own: RunResult | None, weights: str | None) -> Taught | None:
    """What taught the run with this ``config`` and ``result``; None when nobody did.

    Args:
        config: Of the student.
        result: Of the student.
        own: That of the run whose checkpoint taught, as it is now; None when it is not there.
        weights: The sha256 of the best weights of that run, as they are now; None: unknown.
    """
    if result.teacher_checkpoint is None or config.distillation is None:
        return None
    reason = _why_not_its_own(config, result, own, weights)
    if reason is None:
        assert own is not None
        return Taught(own.metrics, own.total_parameters, None)
    return Taught({"miou": result.teacher_miou}, result.teacher_parameters, reason)


class Presets:
    """The registered experiments as fields, each made once for all runs of its name."""

    def __init__(self) -> None:
        self._presets = {preset.name: preset for preset in list_configs()}
        self._fields: dict[str, dict[str, Any]] = {}

    def changes_of(self, config: ExperimentConfig) -> str | None:
        """How ``config`` differs from the registered experiment of its name, epochs included; None if there is none.

        Paths and settings without effect are left out: ``training.epochs=20 distillation.alpha=0.6``.
        """
        preset = self._presets.get(config.name)
        if preset is None:
            return None
        if config.name not in self._fields:
            self._fields[config.name] = _fields(preset)
        return " ".join(_changed(self._fields[config.name], config))


def changed_fields(config: ExperimentConfig, other: ExperimentConfig) -> list[str]:
    """How ``config`` differs from ``other``, each as ``--set`` takes it: ``training.epochs=20``; as above."""
    return _changed(_fields(other), config)


def _changed(before: Mapping[str, Any], config: ExperimentConfig) -> list[str]:
    return [f"{path}={json.dumps(new)}" for path, (_, new) in compare_fields(before, _fields(config)).items()]


def _fields(config: ExperimentConfig) -> dict[str, Any]:
    return {**identity_fields(config), "training.epochs": config.training.epochs}


def _differences(fields: Mapping[str, str], one: RunResult, other: RunResult) -> Difference:
    values = {name: (getattr(one, field), getattr(other, field)) for name, field in fields.items()}
    return {name: pair for name, pair in values.items() if known_to_differ(*pair)}


def _why_not_its_own(
    config: ExperimentConfig, result: RunResult, own: RunResult | None, weights: str | None
) -> str | None:
    """Why the metrics of the teacher's own run are not those of what taught on the student's validation data."""
    assert config.distillation is not None
    assert result.teacher_checkpoint is not None
    checkpoint, sha256 = Path(result.teacher_checkpoint), result.teacher_sha256
    if config.distillation.more_teacher_checkpoints or "+" in (sha256 or ""):
        return "several teachers taught as one"
    if result.teacher_kind is not None:
        return f"its teacher is an external one ({result.teacher_kind})"
    if own is None:
        return "the run of its teacher is not there any more, or has not finished"
    if checkpoint.name != RunPaths(Path()).best.name:
        return "its teacher is not the best checkpoint of its run"
    if sha256 is not None and weights != sha256:
        return "its teacher was trained anew since"
    other = ", ".join(validation_differences(own, result))
    return f"its teacher was validated on other {other}" if other else None
