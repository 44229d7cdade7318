"""What is asked for on the page, as words of the command line: they mean the same there."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from human_edge_detection.cli.arguments.experiment import Parser, given_overrides
from human_edge_detection.cli.run import add_arguments
from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import apply
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.ui.request import StartRequest, judge, overrides_of, words_of

STUDENT, DISTILLED = "quickstart_student_b0", "quickstart_distilled_b0_from_b3"
HERE = Path("experiments")


@pytest.mark.parametrize(
    ("experiment", "changes"),
    [
        (STUDENT, {}),
        (STUDENT, {"training.epochs": "3", "training.learning_rate": "1e-3", "training.precision": "fp32"}),
        (STUDENT, {"data.root": "2024 people", "data.num_workers": "0"}),  # the preset has drawn data
        ("rgb_hierarchical_unet_v2_student_b0", {"data.sample.train_images": "8", "data.sample": "{}"}),
        (STUDENT, {"training.ema.decay": "0.5", "training.ema": "{}", "training.gradient_clip": ""}),
        (STUDENT, {"distillation": "{}", "distillation.teacher_checkpoint": "-t.pth", "distillation.alpha": "0.2"}),
        (STUDENT, {"model.decoder.channels": "32", "model.feature_stride": "4", "model.decoder.kind": "fpn"}),
        (DISTILLED, {"distillation": "null"}),
        (DISTILLED, {"distillation.terms": "[{kind: dkd}, {kind: feat, weight: 0.5}]", "model.image_size": "[64, 96]"}),
    ],
)
def test_the_words_give_the_command_line_the_same_experiment(experiment: str, changes: dict[str, str]) -> None:
    request = StartRequest(experiment=experiment, changes=changes, seeds=(3, 1), export_onnx=True, also=("quickstart",))
    parser = Parser("hed run", "")
    add_arguments(parser)
    args = parser.parse(words_of(request, Path("-there")))
    preset = get_config(experiment)
    found = apply(preset, given_overrides(args))
    assert found == apply(preset, overrides_of(request))
    assert bool(judge(request, HERE).differences) == (found != preset)
    assert (args.configs, args.seeds, args.export_onnx) == ([experiment, "quickstart"], [3, 1], True)
    assert args.output_dir == Path("-there")


def test_flags_are_used_where_there_are_some() -> None:
    changes = {"training.epochs": "3", "data.sample": "{}", "training.keep_last": "1"}
    words = words_of(StartRequest(experiment="baseline", changes=changes), HERE)
    assert words == ["--configs", "baseline", "--epochs", "3", "--drawn_data", "--set", "training.keep_last=1"]


def test_a_batch_size_may_be_chosen_later() -> None:
    request = StartRequest(experiment=STUDENT, changes={"training.batch_size": "auto", "training.epochs": "2"})
    assert words_of(request, HERE)[2:] == ["--batch_size", "auto", "--epochs", "2"]
    found = judge(request, HERE)
    assert found.error is None
    assert found.differences == [("training.epochs", "6", "2"), ("training.batch_size", "", "auto")]
    assert [change.path for change in overrides_of(request).changes] == ["training.epochs"]


@pytest.mark.parametrize(
    ("changes", "said", "wrong"),
    [
        ({"training.epochs": "0"}, "greater than or equal to 1", ["training.epochs"]),
        ({"training.learning_rate": "quick"}, "valid number", ["training.learning_rate"]),
        ({"model.image_size": "[1"}, "not YAML", ["model.image_size"]),
        ({"model.image_size": "[50, 64]"}, "multiples of 32", ["model.image_size"]),
        ({"training.ema": "{}", "training.ema.decay": "2"}, "less than 1", ["training.ema.decay"]),
        ({"training.epoch": "2"}, "did you mean 'epochs'", []),
    ],
)
def test_what_is_wrong_is_said_and_its_field_is_known(changes: dict[str, str], said: str, wrong: list[str]) -> None:
    found = judge(StartRequest(experiment=STUDENT, changes=changes), HERE)
    assert found.error is not None
    assert said in found.error
    assert found.wrong == wrong
    assert found.differences == []


def test_a_section_stays_on_while_a_field_elsewhere_is_wrong() -> None:
    changes = {"distillation": "{}", "model.image_size": "[1"}
    form = judge(StartRequest(experiment=STUDENT, changes=changes), HERE).form
    assert next(section for section in form if section.path == "distillation").on


def test_it_is_told_what_differs_from_the_preset() -> None:
    found = judge(StartRequest(experiment=STUDENT, changes={"training.epochs": "2", "data.root": "x"}), HERE)
    assert found.error is None
    assert ("training.epochs", "6", "2") in found.differences
    assert [path for path, *_ in found.differences] == ["data.root", "data.sample", "training.epochs"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown experiment"):
        judge(StartRequest(experiment="quickstart_studnt_b0"), HERE)
    assert "unknown experiment" in str(judge(StartRequest(experiment=STUDENT, also=("nobody",)), HERE).error)
    with pytest.raises(ValidationError, match="seeds"):
        StartRequest.model_validate_json('{"experiment": "a", "seeds": ["x"]}')
