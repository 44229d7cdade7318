"""Words for distillation that users know from other guides: translated into the fields of the schema, never stored.

``enabled``, ``student_encoder``, ``distill_logits``, ``freeze_teacher``, ``teacher_encoder`` and
``teacher_architecture``, in a config file and with ``--set`` alike. The last two say what the teacher is, which its own
checkpoint says too: :mod:`human_edge_detection.runs.teacher_claims` compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.change import NAMES_TEACHER, Change
from human_edge_detection.experiments.schema.distillation import (
    TERM_CONFIGS,
    DistillationConfig,
    FeatureTermSettings,
)

_SECTION: Final = "distillation"
_ENABLED: Final = "distillation.enabled"
_STUDENT_ENCODER: Final = "distillation.student_encoder"
_DISTILL_LOGITS: Final = "distillation.distill_logits"
_FREEZE_TEACHER: Final = "distillation.freeze_teacher"
TEACHER_ENCODER: Final = "distillation.teacher_encoder"
TEACHER_ARCHITECTURE: Final = "distillation.teacher_architecture"
_SWITCHES: Final = (_ENABLED, _DISTILL_LOGITS, _FREEZE_TEACHER)
OLDER_WORDS: Final = (*_SWITCHES, _STUDENT_ENCODER, TEACHER_ENCODER, TEACHER_ARCHITECTURE)
"""All of them, as dotted paths."""
_FEATURE_KINDS: Final = {kind for kind, section in TERM_CONFIGS.items() if issubclass(section, FeatureTermSettings)}
_DEFAULT_TERMS: Final = [term.model_dump(mode="json") for term in DistillationConfig.model_fields["terms"].default]


def check_older_words(changes: Sequence[Change]) -> None:
    """Refuses what one source says with these words when it cannot be meant.

    Raises:
        ConfigError: A value of another type, a teacher that is to learn, or a second name for the student's encoder.
    """
    encoder = next((change.value for change in reversed(changes) if change.path == "model.encoder"), None)
    for change in changes:
        source = f"{change.source}: {change.path}"
        if change.path in _SWITCHES and not isinstance(change.value, bool):
            raise ConfigError(f"{source}: expected true or false, got {change.value!r}")
        if change.path == _FREEZE_TEACHER and not change.value:
            raise ConfigError(
                f"{source}: false is not possible: a teacher that learns along would come to agree with its student, "
                "and would no longer be the one that was measured; give true, or leave it out"
            )
        if change.path == _STUDENT_ENCODER and encoder not in (None, change.value):
            raise ConfigError(
                f"{source}: {change.value!r}, and model.encoder, which is the same, {encoder!r}; give one"
            )


def translate(changes: Sequence[Change]) -> tuple[Change, ...]:
    """``changes`` in the words of the schema alone.

    ``enabled: false`` turns off what the same file or an earlier source says of distillation. A later source that
    names a teacher turns all of it on again.

    Raises:
        ConfigError: What turns distillation off stands beside a setting for it.
    """
    off = _turned_off(changes)
    if off is not None:
        others = [change for change in changes if not change.is_below((_SECTION,)) or change.path == _STUDENT_ENCODER]
        changes = [*others, Change(_SECTION, None, off.source)]
    return tuple(
        replace(change, path="model.encoder") if change.path == _STUDENT_ENCODER else change
        for change in changes
        if change.path not in OLDER_WORDS or change.path == _STUDENT_ENCODER
    )


def select_terms(fields: Mapping[str, Any], changes: Sequence[Change]) -> None:
    """Leaves the terms of features alone in ``fields`` when ``distill_logits`` is false.

    Args:
        fields: Of an experiment, with all changes made; changed in place.
        changes: What the user said; the last ``distill_logits`` counts.

    Raises:
        ConfigError: ``distill_logits`` is true or false, and there are no such terms.
    """
    said = next((change for change in reversed(changes) if change.path == _DISTILL_LOGITS), None)
    section = fields[_SECTION]
    if said is None or not isinstance(section, dict):
        return
    terms = section.get("terms", _DEFAULT_TERMS)
    if not isinstance(terms, list) or not all(isinstance(term, Mapping) for term in terms):
        return  # the schema says what is wrong with them
    of_features = [term for term in terms if term.get("kind") in _FEATURE_KINDS]
    source = f"{said.source}: {said.path}"
    if not said.value and not of_features:
        raise ConfigError(
            f"{source}: false leaves nothing to distil; give a term of features, too, such as "
            "distillation.terms: [{kind: feat}], or turn distillation off"
        )
    if said.value and len(of_features) == len(terms):
        raise ConfigError(f"{source}: true, and distillation.terms has none of logits; add one, such as {{kind: kl}}")
    if not said.value:
        section["terms"] = of_features


def _turned_off(changes: Sequence[Change]) -> Change | None:
    """What turns distillation off; None when nothing does."""
    off: Change | None = None
    for change in changes:
        if change.path == _ENABLED:
            off = None if change.value else change
        elif (
            off is not None
            and change.source != off.source
            and change.path in NAMES_TEACHER
            and change.value is not None
        ):
            off = None
    if off is None:
        return None
    for change in changes:
        # What else a file says is kept there for another time; on the command line the two contradict each other.
        if _is_setting(change) and not change.from_file:
            raise ConfigError(
                f"{change.source} ({change.path}): {off.source} turns distillation off ({_ENABLED}: false); "
                "leave one of them out"
            )
    return off


def _is_setting(change: Change) -> bool:
    """Whether it would have an effect on a distillation."""
    is_off = change.path == _SECTION and change.value is None
    return change.is_below((_SECTION,)) and change.path not in (_ENABLED, _STUDENT_ENCODER) and not is_off
