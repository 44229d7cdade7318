import json
import sys

import albumentations as A
import pytest
from pipelines import transform, write_pipeline

from human_edge_detection.data.views import pipeline_file
from human_edge_detection.data.views.pipeline_file import build_pipeline, fingerprint, load_albumentations
from human_edge_detection.errors import ConfigError


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_what_albumentations_saves_is_read_as_it_was(tmp_path, kind):
    made = A.Compose(
        [
            A.HorizontalFlip(p=0.25),
            A.OneOf([A.GaussianBlur(sigma_limit=(0.5, 2.0)), A.MotionBlur()], p=0.5),
            A.SomeOf([A.Affine(rotate=(-10, 10), scale=(0.8, 1.2)), A.CoarseDropout()], n=1),
        ],
        p=0.9,
    )
    A.save(made, tmp_path / "file", data_format=kind)
    read, leaves = build_pipeline(tmp_path / "file")
    assert A.to_dict(read)["transform"]["transforms"] == A.to_dict(made)["transform"]["transforms"]
    assert read.p == 0.9
    assert [place for place, _ in leaves] == [
        "transforms.0: HorizontalFlip",
        "transforms.1.transforms.0: GaussianBlur",
        "transforms.1.transforms.1: MotionBlur",
        "transforms.2.transforms.0: Affine",
        "transforms.2.transforms.1: CoarseDropout",
    ]


@pytest.mark.parametrize(
    ("nodes", "arguments", "said"),
    [
        ([transform("Normalize")], {}, r"transforms\.0: Normalize: images stay uint8 RGB"),
        ([transform("albumentations.pytorch.transforms.ToTensorV2")], {}, "ToTensorV2: images stay uint8 RGB"),
        ([transform("Lambda", name="f")], {}, "Lambda: calls a function, which no file can hold"),
        ([transform("os.system")], {}, r"os\.system: no transform of albumentations"),
        ([transform("core.serialization.from_dict")], {}, "no transform of albumentations"),
        ([transform("HorizontalFlp")], {}, r"no transform .* \(did you mean 'HorizontalFlip'\?\)"),
        ([transform("OneOf", transforms=[transform("Blur"), transform("ToFloat")])], {}, r"0\.transforms\.1: ToFloat"),
        ([transform("NoOp", strength=3)], {}, r"'strength' are not valid"),
        ([transform("HorizontalFlip", p=7)], {}, "HorizontalFlip: p Input should be less than or equal to 1"),
        ([transform("Affine", fill_mask=1)], {}, "fill_mask is 1, expected 0"),
        ([transform("NoOp")], {"bbox_params": {"format": "coco"}}, "bbox_params: boxes are those of the changed masks"),
        ([transform("NoOp")], {"seed": 3}, "outermost Compose: no use for seed"),
        ([transform("NoOp")], {"p": "often"}, "p of the Compose: expected a number from 0 to 1, got 'often'"),
        ([{"p": 1.0}], {}, "no __class_fullname__"),
        (["NoOp"], {}, "expected a list of transforms"),
        ([], {}, "no transform in it"),
        ([transform("OneOf", transforms=[transform("NoOp", p=0.0)])], {}, "OneOf: float division by zero"),
    ],
)
def test_a_pipeline_that_cannot_be_used_is_one_line_that_says_where(tmp_path, nodes, arguments, said):
    file = write_pipeline(tmp_path / "pipeline.json", *nodes, **arguments)
    with pytest.raises(ConfigError, match=said) as caught:
        build_pipeline(file)
    assert str(caught.value).startswith(f"data.augmentation.pipeline {file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "not a YAML or JSON text"),
        (b"a: [", "line 1: expected"),
        (b"transform: !!python/object/apply:os.system [true]", "tags are not supported"),
        (b"[1, 2]", "not a pipeline of albumentations"),
        (b"base: quickstart_teacher_b3", "not a pipeline of albumentations"),
        (json.dumps({"transform": transform("Blur")}).encode(), "expected a Compose, got Blur"),
        (b" " * 1_000_001, "cannot be read"),
    ],
)
def test_a_file_that_is_no_pipeline_is_one_line(tmp_path, content, said):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        build_pipeline(tmp_path / "file")


@pytest.mark.parametrize("name", ["nothing.yaml", ""])
def test_no_file_there_is_one_line(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot be read"):
        build_pipeline(tmp_path / name)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"version": "1.4.24"}, r"albumentations 1\.4\.24 is installed, expected 2\.0\."),
        ({"spec": None}, "not installed; uv sync --inexact --extra albumentations"),
    ],
)
def test_another_version_and_none_say_how_to_install_the_right_one(tmp_path, monkeypatch, found, said):
    file = write_pipeline(tmp_path / "pipeline.json", transform("NoOp"))
    if "version" in found:
        monkeypatch.setattr(pipeline_file, "version", lambda name: found["version"])
    else:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=said):
        build_pipeline(file)


def test_the_fingerprint_is_of_the_content_and_the_version(tmp_path):
    one = write_pipeline(tmp_path / "one", transform("NoOp"))
    same = write_pipeline(tmp_path / "same", transform("NoOp"))
    other = write_pipeline(tmp_path / "other", transform("HorizontalFlip"))
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)
    assert fingerprint(one).endswith(f"albumentations {A.__version__}")


def test_nothing_is_looked_up_on_the_network(monkeypatch):
    def look_up():
        raise AssertionError("looked up")

    monkeypatch.setattr("albumentations.check_version.check_for_updates", look_up)
    monkeypatch.delenv("NO_ALBUMENTATIONS_UPDATE", raising=False)
    monkeypatch.delitem(sys.modules, "albumentations")  # imported anew, its parts are not
    assert load_albumentations().__version__ == A.__version__
