"""What ``--sweep`` says, in fields and values."""

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import NO_OVERRIDES, Change, Overrides
from human_edge_detection.runner.sweep.search_space import Axis, Range, combinations, parse_axes, probes


def parse(*texts: str, overrides: Overrides = NO_OVERRIDES, searched: bool = True) -> tuple[Axis, ...]:
    return parse_axes(texts, overrides, searched=searched)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("distillation.temperature=1,2,4,8", (1, 2, 4, 8)),
        ("training.learning_rate=1e-3, 3e-3", (1e-3, 3e-3)),
        ("model.image_size=[96,96],[64,128]", ([96, 96], [64, 128])),
        ("loss.boundary={weight: 1.0, width: 3},null", ({"weight": 1.0, "width": 3}, None)),
        ("training.precision=fp32,bf16", ("fp32", "bf16")),
        ("model.encoder_weights='a,b.pth',none", ("a,b.pth", "none")),
        ("training.deterministic=true,false", (True, False)),
        ("training.seed=0,1,0,1", (0, 1)),
        ("data.root=../one,../two", ("../one", "../two")),
    ],
)
def test_values_are_those_of_set_each_once(text: str, values: tuple[object, ...]) -> None:
    (axis,) = parse(text)
    assert (axis.values, axis.bounds) == (values, None)


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("training.learning_rate=1e-4..3e-3:log", Range(1e-4, 3e-3, log=True)),
        ("distillation.alpha=0.1..1", Range(0.1, 1.0)),
        ("training.batch_size=2..16", Range(2, 16)),
    ],
)
def test_ranges(text: str, bounds: Range) -> None:
    (axis,) = parse(text)
    assert axis.bounds == bounds
    assert [type(end) for end in axis.ends] == [type(end) for end in bounds[:2]]


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (("distillation.temprature=1,2",), "unknown field 'distillation.temprature' (did you mean 'temperature'?)"),
        (("name=a,b",), "unknown field 'name'"),
        (("training.epochs",), "expected section.field=a,b,c"),
        (("=1",), "expected section.field=a,b,c"),
        (("training.epochs=1,,2",), "an empty value"),
        (("training.epochs=",), "an empty value"),
        (("training.epochs=[1,2",), "not YAML"),
        (("training.epochs=5..2",), "expected low < high"),
        (("training.learning_rate=0..1:log",), "both above 0"),
        (("training.learning_rate=1..2:lg",), "low..high:log, got ':lg'"),
        (("training.epochs=1,2", "training.epochs=3"), "change the same field"),
        (("loss.boundary=null,{}", "loss.boundary.width=1,2"), "change the same field"),
    ],
)
def test_what_is_wrong_is_one_line(texts: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(*texts)
    assert problem in str(caught.value)
    assert "--sweep" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_field_is_swept_or_set_and_a_config_file_is_there_to_be_overridden() -> None:
    def given(path: str, source: str) -> Overrides:
        return Overrides((Change(path, 3, source),))

    for path, source in (("training.epochs", "--epochs"), ("training", "--set")):
        with pytest.raises(ConfigError, match=source):
            parse("training.epochs=1,2", overrides=given(path, source))
    assert parse("training.epochs=1,2", overrides=given("training.epochs", "config file best_config.yaml"))
    assert parse("training.epochs=1,2", overrides=given("training.epochs_", "--set"))


def test_a_range_is_only_for_a_search() -> None:
    with pytest.raises(ConfigError, match="--trials"):
        parse("distillation.alpha=0.1..1", searched=False)


def test_a_grid_is_every_combination_and_probes_try_every_value_once() -> None:
    axes = parse("training.epochs=1,2,3", "distillation.alpha=0.1..0.9")
    tried = [tuple(change.value for change in probe) for probe in probes(axes)]
    assert tried == [(1, 0.1), (2, 0.1), (3, 0.1), (1, 0.9)]
    axes = parse("training.epochs=1,2", "distillation.alpha=0.3,0.5,0.7")
    grid = [tuple(change.value for change in combination) for combination in combinations(axes)]
    assert grid == [(1, 0.3), (1, 0.5), (1, 0.7), (2, 0.3), (2, 0.5), (2, 0.7)]
