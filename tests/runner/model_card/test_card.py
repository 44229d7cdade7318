import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from carded_runs import DISTILLED, SOURCES, MakeRun
from huggingface_hub import ModelCard
from made_up_runs import made_up_counts, write_tested, write_weights

from human_edge_detection.runner.model_card.card import card_of
from human_edge_detection.runner.model_card.facts import Facts, facts_of
from human_edge_detection.runner.model_card.gain import controls_in
from human_edge_detection.runs.records import LatencyReport

LATENCY = LatencyReport(
    median_ms=12.34,
    p95_ms=20.0,
    cpu_ms=11.0,
    threads=1,
    rois=3,
    image_size=(256, 256),
    rounds=11,
    onnx_sha256="",
    measured="2030-01-01",
    processor="AMD EPYC",
    together_with="",
)


def card(facts: Facts, latency: LatencyReport | None = None) -> str:
    return card_of(facts, file="best_model.onnx", parity=None, latency=latency)


def test_hugging_face_reads_the_front_matter(facts: Facts) -> None:
    data: Any = ModelCard(card(facts)).data  # its fields are those of the card
    assert (data.library_name, data.pipeline_tag) == ("human-edge-detection", "image-segmentation")
    assert data.license == "other", "somebody said something of terms"
    assert [(one.metric_type, one.metric_value) for one in data.eval_results][:2] == [("mean_iou", 0.5), ("iou", 0.6)]
    unknown: Any = ModelCard(card(replace(facts, sources=None, metrics={}))).data
    assert (unknown.license, unknown.eval_results) == ("unknown", None)


def test_what_a_reader_has_to_know(facts: Facts) -> None:
    text = card(facts, LATENCY)
    for said in (
        "| mIoU: background, this person, other people, in boxes | 0.500 |",
        "the best one on this very split",
        "12.3 ms for an image of 256 × 256 pixels with 3 boxes",
        "AMD EPYC, 1 thread",
        "  - 5 images: CC BY 2.0 (https://a.org/by)",
        "  - 3 images: unknown",
        "`lite0.safetensors`, sha256 eeeeeeeeeeee, license Apache-2.0",
        "RGB in [0, 1]",
        "`best_model.detect.onnx` takes `images` alone",
        f"hed train --config {DISTILLED} --data_root DATA --teacher_checkpoint TEACHER.pth",
    ):
        assert said in text, said
    assert text.count("\n") < 150, "somebody reads it"


def test_no_place_of_a_machine_is_in_it(make_run: MakeRun) -> None:
    run = make_run("student", DISTILLED, "model.encoder_weights=/home/somebody/lite0.safetensors", sources=SOURCES)
    text = card(facts_of(run.best), LATENCY)
    assert "somebody" not in text
    assert not re.search(r"(?<![\w:/.<])~?/\w", text)


def test_distillation_is_said_to_help_only_with_its_interval(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("distilled", DISTILLED, teacher_checkpoint="teacher.pth", teacher_miou=0.625)
    make_run("control", skill=0.8)
    text = card(facts_of(run.best, controls_in(tmp_path / "experiments")))
    assert "it reaches 80% of that" in text
    assert re.search(r"Over `control`, .* gains \+0\.000 miou \(95 % interval .*\): not shown", text)
    assert "Over `" not in card(facts_of(run.best))


@pytest.mark.parametrize("terms", ["---", "a: [b", "```", "x | y", "<details>"])
def test_any_text_of_the_user_leaves_the_front_matter_whole(make_run: MakeRun, terms: str) -> None:
    run = make_run("student", "rgb_hierarchical_unet_v2_student_b0_edge", f"data.terms='{terms}'")
    text = card(facts_of(run.best))
    assert yaml.safe_load(text.split("---\n")[1])["library_name"] == "human-edge-detection"
    assert f"Terms of this model: {terms}" in text


def test_scores_on_a_test_split_come_first_and_say_what_was_seen(make_run: MakeRun) -> None:
    run = make_run("distilled", DISTILLED, sources=SOURCES)
    write_tested(run, made_up_counts(images=40), metrics={"miou": 0.4321}, also_in={"train": 2, "val": 0})
    text = card(facts_of(run.best))
    assert text.index("| on a test split |") < text.index("| on the validation split |")
    row = next(line for line in text.splitlines() if "| 0.432 |" in line)
    assert re.search(r"\| 0\.\d{3} to 0\.\d{3} \|$", row), "with an interval over the test images"
    assert "on these 40 images" in text
    assert "But 2 of them are also in train: these scores say little." in text
    data: Any = ModelCard(text).data
    first = data.eval_results[0]
    assert (first.dataset_split, first.metric_value) == ("test", 0.4321)
    write_weights(run.best, "trained on")
    assert "on a test split" not in card(facts_of(run.best)), "they are of other weights"
