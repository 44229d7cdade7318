from collections import Counter
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.files.read import file_sha256
from human_edge_detection.runs.model_facts.sources import encoder_source, sources_in, split_source


def test_a_file_with_other_terms_for_each_image_is_kept_short() -> None:
    terms = Counter({"common": 50} | {f"text {number}": 1 for number in range(100)})
    source = split_source(images=150, persons=1, partly_labelled=0, terms=terms)
    assert (len(source.terms), source.terms["common"], source.other_terms) == (20, 50, 81)


def test_the_file_of_the_encoder_says_where_it_is_from(tmp_path: Path) -> None:
    file = tmp_path / "lite0.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, file, {"license": "Apache-2.0", "format": "pt"})
    source = encoder_source(ModelConfig(encoder_weights=str(file)), {})
    assert source is not None
    assert source.weights == "lite0.safetensors", "no path"
    assert source.sha256 == file_sha256(file)
    assert source.said["license"] == "Apache-2.0"
    unknown = encoder_source(ModelConfig(encoder_weights="imagenet"), {})
    assert unknown is not None
    assert (unknown.weights, unknown.sha256, unknown.said) == ("imagenet", None, {})
    assert encoder_source(ModelConfig(init_from="other.pth"), {}) is None


def test_an_older_or_an_edited_record_is_unknown() -> None:
    assert sources_in({}) is None
    assert sources_in({"sources": {"train": 3}}) is None
