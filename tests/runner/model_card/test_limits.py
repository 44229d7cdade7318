from dataclasses import replace

from carded_runs import DISTILLED, SOURCES, MakeRun

from human_edge_detection.runner.model_card.facts import Facts, facts_of
from human_edge_detection.runner.model_card.limits import limits_of


def test_limits_are_told_by_the_numbers_of_the_run(facts: Facts) -> None:
    text = "\n".join(limits_of(facts))
    assert "from 8 images with 30 persons; the validation scores are of 60 images with 150." in text
    assert "On 3 training and 0 validation images not every person is labelled" in text
    assert "stretched to 256 × 256 pixels" in text
    assert "where persons have less than 32 × 32 pixels" in text
    assert "Its own detector is weak: it finds 14% of the persons" in text
    assert "Other persons inside a box are told badly: IoU 0.20." in text
    assert "not for identification" in text
    assert "drawn" not in text


def test_images_that_only_the_teacher_spoke_about_are_told(make_run: MakeRun) -> None:
    texts = [
        "\n".join(limits_of(facts_of(make_run(name, DISTILLED, sources=sources).best)))
        for name, sources in {"with": {**SOURCES, "unlabelled": 1200}, "without": SOURCES}.items()
    ]
    assert "On 1,200 more images, without labels, it learned from its teacher alone" in texts[0]
    assert "without labels" not in texts[1]


def test_what_is_no_limit_is_not_told(facts: Facts) -> None:
    text = "\n".join(limits_of(replace(facts, metrics={"recall10": 0.95, "iou_nontarget": 0.8})))
    assert "weak" not in text
    assert "badly" not in text
    assert "It finds 95% of the persons itself" in text


def test_drawn_data_are_said_first(make_run: MakeRun) -> None:
    run = make_run("drawn", "quickstart_student_b0", "data.root=null")
    first, *others = limits_of(facts_of(run.best))
    assert "drawn figures only" in first
    assert any("finds nobody itself" in one for one in others)
    assert "How many images it was trained on is unknown." in others
