import json
from dataclasses import replace

from human_edge_detection.runner.model_card.facts import Facts
from human_edge_detection.runner.model_card.metadata import metadata_of


def test_a_file_says_what_its_card_says(facts: Facts) -> None:
    metadata = metadata_of(facts)
    assert json.loads(metadata["metrics"])["miou"]["value"] == 0.5
    low, high = json.loads(metadata["metrics"])["miou"]["interval_95"]
    assert low < high
    assert json.loads(metadata["terms"])["training_images"] == {"CC BY 2.0 (https://a.org/by)": 5, "unknown": 3}
    assert metadata["validation_annotations"] == "data"
    assert any("not for identification" in limit for limit in json.loads(metadata["limits"]))
    assert "somebody" not in str(metadata)
    assert len(str(metadata)) < 4000


def test_what_is_unknown_is_called_so(facts: Facts) -> None:
    metadata = metadata_of(replace(facts, sources=None, result=None, data_fingerprint=None))
    assert json.loads(metadata["terms"])["training_images"] == "unknown"
    assert (metadata["training_annotations"], metadata["validation_annotations"]) == ("unknown", "unknown")
