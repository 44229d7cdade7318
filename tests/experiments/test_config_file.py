"""Names of experiments and paths of config files, told apart, and the files that are shipped."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.config_file import split_config, split_configs
from human_edge_detection.experiments.older_words import OLDER_WORDS
from human_edge_detection.experiments.overrides import collect, resolve
from human_edge_detection.experiments.registry import DEFAULT_NAME, get_config
from human_edge_detection.experiments.schema.data import DataConfig
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_detection.experiments.schema.model import ModelConfig
from human_edge_detection.experiments.schema.training import TrainingConfig
from human_edge_detection.runs.dependencies import dependencies, dependency_config

ROOT = Path(__file__).parents[2]
SHIPPED = ("distillation.yaml", "quick_test.yaml")
SECTIONS = {"distillation": DistillationConfig, "training": TrainingConfig, "model": ModelConfig, "data": DataConfig}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "mine.json", "Mine.YAML", "a/b/mine.yaml"])
def test_a_path_with_a_suffix_is_a_config_file(name: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert split_config(name) == (None, path)
    assert split_config(str(path.resolve())) == (None, path.resolve())


def test_anything_else_is_a_name_whatever_lies_here() -> None:
    Path("baseline").touch()
    assert split_config("baseline") == ("baseline", None)
    assert split_config("rgb_v2.1") == ("rgb_v2.1", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("configs/mine.yaml", "--config configs/mine.yaml: no such file; .*--list_configs"),
        ("mine.json", "--config mine.json: no such file"),
        ("configs/baseline", r"--config configs/baseline: .* ends in \.yaml, \.yml, \.json"),
        ("a\0b.yaml", "no such file"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        split_config(text)


def test_a_command_line_has_one_config_file() -> None:
    for name in ("a.yaml", "b.yaml"):
        Path(name).touch()
    assert split_configs(["baseline", "a.yaml", "quickstart"]) == (["baseline", "quickstart"], Path("a.yaml"))
    assert split_configs([], Path("b.yaml")) == ([], Path("b.yaml"))
    assert split_configs(["baseline"]) == (["baseline"], None)
    for texts, file in ((["a.yaml", "b.yaml"], None), (["a.yaml"], Path("b.yaml"))):
        with pytest.raises(ConfigError, match=r"a\.yaml and b\.yaml: two config files"):
            split_configs(texts, file)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_is_found_from_any_folder_unless_one_of_that_name_is_there(name: str) -> None:
    found = split_config(f"configs/{name}").file
    assert found is not None
    assert found.read_bytes() == (ROOT / "configs" / name).read_bytes()
    Path("configs").mkdir()
    (Path("configs") / name).touch()
    assert split_config(f"configs/{name}").file == Path("configs") / name
    with pytest.raises(ConfigError, match=r"configs/distillation\.yaml and configs/quick_test\.yaml"):
        split_config(name)


def test_the_wheel_has_the_shipped_files() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"configs": "human_edge_detection/configs"}
    assert {path.name for path in (ROOT / "configs").iterdir()} == {*SHIPPED}


def test_the_shipped_distillation_is_its_base_and_so_is_its_teacher() -> None:
    overrides = collect(config_file=ROOT / "configs" / "distillation.yaml")
    config, preset = resolve(None, overrides)
    assert config == preset == get_config(DEFAULT_NAME)
    (teacher,) = (one for one in dependencies(config) if one.role == "the teacher")
    assert dependency_config(teacher, overrides)[0] == get_config(teacher.experiment)


def test_the_quick_test_is_a_small_student() -> None:
    config, _ = resolve(None, collect(config_file=ROOT / "configs" / "quick_test.yaml"))
    assert (config.name, config.data.max_train_images, config.distillation) == ("quick_test", 64, None)
    drawn = collect(config_file=ROOT / "configs" / "quick_test.yaml", flags={"--drawn_data": True})
    assert resolve(None, drawn)[0].data.sample is not None


@pytest.mark.parametrize("name", SHIPPED)
def test_the_ranges_in_a_shipped_file_are_those_of_the_schema(name: str) -> None:
    text = (ROOT / "configs" / name).read_text(encoding="utf-8")
    section, checked = "", 0
    for line in text.splitlines():
        setting, _, comment = line.partition("  # ")
        field, colon, _ = setting.strip().partition(":")
        if colon and not line.startswith(" "):
            section = field
        declared = getattr(SECTIONS.get(section), "model_fields", {}).get(field) if line.startswith("  ") else None
        if declared is None:
            continue
        for words in _allowed(declared.annotation, declared.metadata):
            assert words in comment, line
            checked += 1
    assert checked >= 6


def test_the_shipped_distillation_names_every_setting_of_it() -> None:
    text = (ROOT / "configs" / "distillation.yaml").read_text(encoding="utf-8")
    for field in (*DistillationConfig.model_fields, *(word.removeprefix("distillation.") for word in OLDER_WORDS)):
        assert re.search(rf"^  (# )?{field}: ", text, re.MULTILINE), field


def _allowed(annotation: Any, metadata: Sequence[Any]) -> Iterator[str]:
    """What the comment of a field must say: its range, or the words to choose among."""
    if get_origin(annotation) is Literal and len(get_args(annotation)) < 6:
        yield ", ".join(get_args(annotation))
    constraints = [part for one in metadata for part in (*getattr(one, "metadata", ()), one)]
    limits = {
        key: getattr(one, key)
        for one in constraints
        for key in ("ge", "gt", "le", "lt")
        if getattr(one, key, None) is not None
    }
    if not limits:
        return
    low = f"{limits['ge']:g}" if "ge" in limits else f"above {limits['gt']:g}"
    if isinstance(limits.get("lt"), int):
        limits["le"] = limits.pop("lt") - 1
    if "le" in limits:
        yield f"{low} to {limits['le']:.10g}"
    elif "lt" in limits:
        yield f"{low}, below {limits['lt']:g}"
    else:
        yield f"{low} or more" if "ge" in limits else low
