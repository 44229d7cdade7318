"""What a file of an exported model says of itself beside how it is used: short texts, or JSON, by name."""

from __future__ import annotations

import json

from human_edge_detection.runner.model_card.facts import MAIN_METRICS, Facts
from human_edge_detection.runner.model_card.limits import limits_of
from human_edge_detection.runner.model_card.terms import UNKNOWN, image_terms, starting_weights, stated_terms


def metadata_of(facts: Facts) -> dict[str, str]:
    """The same as the card says: data, terms, metrics with intervals, limits."""
    intervals = {name: [round(end, 4) for end in interval] for name, interval in facts.intervals.items()}
    metrics = {
        name: {"value": round(value, 4)} | ({"interval_95": intervals[name]} if name in intervals else {})
        for name, value in facts.metrics.items()
        if name in MAIN_METRICS
    }
    result = facts.result
    terms = {
        "stated": stated_terms(facts) or UNKNOWN,
        "training_images": "drawn by this package" if facts.is_drawn else image_terms(facts) or UNKNOWN,
        "starting_weights": starting_weights(facts),
    }
    return {
        "training_annotations": _fingerprint(None if result is None else result.training_fingerprint),
        "validation_annotations": _fingerprint(facts.data_fingerprint),
        "metrics_of": "the validation split, on which the best epoch was chosen",
        "metrics": json.dumps(metrics),
        "terms": json.dumps(terms, ensure_ascii=False),
        "limits": json.dumps(limits_of(facts), ensure_ascii=False),
    }


def _fingerprint(known: str | None) -> str:
    return UNKNOWN if known is None else known
