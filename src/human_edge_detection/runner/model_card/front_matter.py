"""What Hugging Face reads at the beginning of a model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from human_edge_detection.runner.model_card.facts import Facts
from human_edge_detection.runner.model_card.terms import anything_known, short

LIBRARY: Final = "human-edge-detection"
_METRICS: Final = {
    "miou": ("mean_iou", "mIoU of background, this person and other people, in boxes"),
    "iou_target": ("iou", "IoU of this person, in boxes"),
    "boundary_f1": ("f1", "F1 of borders"),
    "full_image_iou": ("iou", "IoU of any person, in whole images"),
    "recall10": ("recall", "Recall of persons at IoU 0.5, ten boxes of an image"),
    "own_mask_AP": ("mask-ap", "COCO mask AP, in boxes that it found"),
}
"""Name here -> what the index calls it, and what it is."""


def front_matter(facts: Facts) -> str:
    """YAML between two lines of dashes."""
    fields: dict[str, Any] = {"library_name": LIBRARY, "pipeline_tag": "image-segmentation"}
    # The terms are texts of other people's; no word of a list of licences is theirs.
    if anything_known(facts):
        fields |= {"license": "other", "license_name": "terms-of-training-images"}
    else:
        fields |= {"license": "unknown"}
    taught = [] if facts.config.distillation is None else ["knowledge-distillation"]
    fields["tags"] = ["onnx", "person-segmentation", *taught, facts.config.model.encoder]
    results = _results(facts)
    if results:
        fields["model-index"] = [{"name": facts.config.name, "results": results}]
    return f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=100)}---\n"


def _results(facts: Facts) -> list[dict[str, Any]]:
    """Of the test split first, where it was measured: an index shows the first."""
    measured: list[tuple[str, Mapping[str, float | None], str | None]] = []
    if facts.tested is not None:
        measured.append(("test", facts.tested.metrics, facts.tested.data_fingerprint))
    measured.append(("validation", facts.metrics, facts.data_fingerprint))
    return [result for one in measured if (result := _result(facts, *one))["metrics"]]


def _result(facts: Facts, split: str, scores: Mapping[str, float | None], data: str | None) -> dict[str, Any]:
    metrics = [
        {"type": kind, "name": name, "value": round(value, 4)}
        for metric, (kind, name) in _METRICS.items()
        if (value := scores.get(metric)) is not None
    ]
    name = "drawn figures" if facts.is_drawn else f"annotations with {short(data)}"
    dataset = {"type": "coco-annotations", "name": name, "split": split}
    task = {"type": "image-segmentation", "name": "Person segmentation"}
    return {"task": task, "dataset": dataset, "metrics": metrics}
