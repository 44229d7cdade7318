from dataclasses import replace

from carded_runs import MakeRun

from human_edge_detection.runner.model_card.facts import Facts, facts_of
from human_edge_detection.runner.model_card.terms import anything_known, image_terms, starting_weights, stated_terms


def test_terms_of_images_are_counted_and_what_is_unknown_is_called_so(facts: Facts) -> None:
    assert image_terms(facts) == {"CC BY 2.0 (https://a.org/by)": 5, "unknown": 3}
    assert anything_known(facts)
    older = replace(facts, sources=None)
    assert image_terms(older) is None
    assert not anything_known(older)


def test_what_the_user_states(make_run: MakeRun) -> None:
    facts = facts_of(make_run("student", "rgb_hierarchical_unet_v2_student_b0_edge", "data.terms=for  tests only").best)
    assert stated_terms(facts) == "for tests only"
    assert anything_known(facts)


def test_the_file_of_the_encoder_is_told_without_places_of_somebodys_machine(facts: Facts) -> None:
    assert starting_weights(facts) == "`lite0.safetensors`, sha256 eeeeeeeeeeee, license Apache-2.0"
    assert facts.contents is not None
    other = facts.contents.model_copy(update={"encoder_weights": "f" * 64})
    assert starting_weights(replace(facts, contents=other)) == (
        "a file, sha256 ffffffffffff, of unknown origin and terms"
    )


def test_weights_of_other_runs_have_cards_of_their_own(make_run: MakeRun) -> None:
    facts = facts_of(make_run("student", "rgb_hierarchical_unet_v2_student_b0_edge", "model.init_from=a.pth").best)
    assert starting_weights(facts) == "another run's: see its own card"
