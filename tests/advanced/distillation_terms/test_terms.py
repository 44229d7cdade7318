"""The kinds that a config may name are those that the engine can build, with the same settings and defaults."""

from typing import get_args

import pytest

from human_edge_detection.advanced.distillation_terms.terms import TERMS, build_term
from human_edge_detection.advanced.knowledge_distillation import HEADS
from human_edge_detection.engine.build import build_distillation_loss
from human_edge_detection.experiments.schema.distillation import TERM_CONFIGS, DistillationConfig, Head

pytestmark = pytest.mark.usefixtures("small_networks")


@pytest.mark.parametrize("kind", TERM_CONFIGS)
def test_a_section_and_its_term_have_the_same_defaults(kind: str) -> None:
    assert build_term(TERM_CONFIGS[kind]().model_dump()) == TERMS[kind]()


def test_the_kinds_and_heads_are_the_same() -> None:
    assert list(TERM_CONFIGS) == list(TERMS)
    assert get_args(Head) == HEADS


def test_a_section_becomes_a_loss_whole() -> None:
    section = DistillationConfig.model_validate_json(
        '{"teacher_checkpoint": "a", "temperature": 2.0, "alpha": 0.4, "bg_fg": 0.0,'
        ' "terms": [{"kind": "dkd", "heads": ["main"], "weight": 2.0}, {"kind": "feat"}]}'
    )
    assert build_distillation_loss(section).to_config() == {
        "temperature": 2.0,
        "alpha": 0.4,
        "weights": {"main": 1.0, "target_nontarget": 0.3, "full_image": 0.3},
        "terms": [
            {"kind": "dkd", "weight": 2.0, "heads": ["main"], "target_weight": 1.0, "nontarget_weight": 8.0},
            {"kind": "feat", "weight": 1.0},
        ],
        "confidence_threshold": None,
    }
