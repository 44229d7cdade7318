"""How each run was made: commands, versions, processor, data, in lines that name no place on this machine."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from human_edge_detection.experiments.difference import difference
from human_edge_detection.experiments.registry import list_configs
from human_edge_detection.runner.report.private import Private
from human_edge_detection.runner.report.runs import Run
from human_edge_detection.runs.artifacts import checkpoint_sha256
from human_edge_detection.runs.model_facts.sources import sources_in
from human_edge_detection.runs.provenance import read_provenance

_SHOWN: Final = 12
"""Characters of a hash."""


class MadeWith(NamedTuple):
    """How a run was made.

    Attributes:
        name: Of the run.
        command: What its process was called with.
        again: What trains the same from the beginning; None for an experiment that only a program knows.
        facts: Name and value.
    """

    name: str
    command: str | None
    again: str | None
    facts: tuple[tuple[str, str], ...]


def made_with(run: Run, hidden: Private) -> MadeWith:
    """How ``run`` was made, as far as its folder says."""
    provenance = read_provenance(run.record.paths)
    command = provenance.get("command")
    recorded = _called(command) if isinstance(command, list) and command else None
    again = _again(run)
    facts = tuple((name, hidden(value)) for name, value in _facts(run, provenance) if value)
    return MadeWith(
        run.name, None if recorded is None else hidden(recorded), None if again is None else hidden(again), facts
    )


def _called(command: Sequence[Any]) -> str:
    program, *arguments = map(str, command)
    name = PurePath(program).name
    return shlex.join(["hed" if name == "__main__.py" else name, *arguments])


def _again(run: Run) -> str | None:
    """One command with the preset and every difference from it."""
    config = run.record.config
    preset = None if config is None else next((one for one in list_configs() if one.name == config.name), None)
    if config is None or preset is None:
        return None
    words = ["hed", "train", "--config", preset.name]
    for path, (_, value) in difference(config, preset).items():
        if path == "distillation.teacher_checkpoint":
            words += ["--teacher_checkpoint", str(value)]
        elif path != "training.segments":
            words += ["--set", f"{path}={json.dumps(value, ensure_ascii=False)}"]
    return shlex.join(words)


def _facts(run: Run, provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    versions = provenance.get("versions")
    yield "versions", ", ".join(f"{name} {at}" for name, at in versions.items()) if isinstance(versions, dict) else ""
    for name in ("git", "platform", "processor", "accelerator", "device", "precision", "threads"):
        yield name, _text(provenance.get(name))
    starts = provenance.get("starts")
    yield "started", ", ".join(map(str, starts)) if isinstance(starts, list) else ""
    earlier = provenance.get("earlier")
    if isinstance(earlier, list) and earlier:
        yield "earlier", f"{len(earlier)} starts with other versions or machines; provenance.json has them"
    result, config = run.record.result, run.record.config
    if config is not None:
        yield "seed", str(config.training.seed)
        yield "grew", " → ".join(map(str, config.training.segments or ()))
    yield "best weights", _short(checkpoint_sha256(run.record.paths.best))
    if result is None:
        return
    yield "teacher", _short(result.teacher_sha256)
    sources = sources_in(provenance)
    if result.unlabelled is not None:
        count = "" if sources is None or sources.unlabelled is None else f"{sources.unlabelled:,}, "
        yield "images without labels", f"{count}{_short(result.unlabelled)}"
    yield "validation annotations", _short(result.data_fingerprint)
    yield "validation images", _short(result.validation_images)
    yield "training annotations", _short(result.training_fingerprint)
    yield "training images", _short(result.training_images)
    yield "left out", f"{len(result.skipped_samples)} images" if result.skipped_samples else ""
    if result.early_stopped:
        yield "ended", "by early stopping"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _short(digest: str | None) -> str:
    return "" if digest is None else "+".join(f"sha256 {part[:_SHOWN]}" for part in digest.split("+"))
